# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing of samples along rays (Mildenhall et al. 2020, equation 3; Max 1995)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# What the last sample stands for: all that lies behind it, as published.
ENDLESS = 1e10


@dataclass(frozen=True, eq=False)
class Composite:
    """What rays see. Colors are multiplied by alpha."""

    color: Tensor  # [R, 3]
    alpha: Tensor  # [R]
    weights: Tensor  # [R, S], their sum is alpha
    places: Tensor  # [R, S]

    def expected_depth(self) -> Tensor:
        """The mean place of what is seen, [R]; 0 where nothing is."""
        depth = (self.weights * self.places).sum(-1)
        return depth / self.alpha.clamp_min(1e-10)

    def median_depth(self) -> Tensor:
        """The place at which half of the light is held up, [R]; 0 where less than half ever is."""
        passed = self.weights.cumsum(-1) >= 0.5
        first = passed.int().argmax(-1, keepdim=True)
        return torch.where(passed[:, -1], self.places.gather(-1, first)[:, 0], 0.0)


def composite(densities: Tensor, colors: Tensor, places: Tensor, lengths: Tensor, end: Tensor | float = ENDLESS) -> Composite:
    """Sums up what rays see. Each sample stands for the way to the next one.

    Args:
        densities: [R, S] per unit of length, not below 0.
        colors: [R, S, 3].
        places: [R, S] ascending, in multiples of the rays' directions.
        lengths: [R] of those directions.
        end: where the last sample's share ends: one place, or [R].

    Returns:
        Color, alpha and weights, in float32.
    """
    densities, colors = densities.float(), colors.float()
    if not isinstance(end, Tensor):
        end = torch.full_like(places[:, 0], end)
    steps = torch.diff(places, append=torch.maximum(end, places[:, -1])[:, None]) * lengths[:, None]
    held = densities * steps  # optical depth of each step
    before = torch.cat([torch.zeros_like(held[:, :1]), held[:, :-1].cumsum(-1)], dim=-1)
    weights = torch.exp(-before) * -torch.expm1(-held)
    return Composite((weights[..., None] * colors).sum(-2), weights.sum(-1), weights, places)
