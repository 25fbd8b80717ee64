# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing in plain torch: the definition that the fast kernel is checked against."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_TRANSMITTANCE = 1e-4


def composite(density: Tensor, color: Tensor, t: Tensor, dt: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`engine.kernels.volume.forward`. Differentiable by density and color, in any float type."""
    counts = starts.diff()
    rays, longest = len(counts), int(counts.max()) if len(counts) else 0
    inside = torch.arange(longest, device=t.device) < counts[:, None]

    def padded(values: Tensor) -> Tensor:
        return values.new_zeros(rays, longest, *values.shape[1:]).masked_scatter(_like(inside, values), values)

    thickness = padded(density * dt)
    before = torch.exp(-(thickness.cumsum(1) - thickness))
    used = inside & (before >= MIN_TRANSMITTANCE)
    weight = torch.where(used, before * -torch.expm1(-thickness), 0)
    return (weight[..., None] * padded(color)).sum(1), (weight * padded(t)).sum(1), weight.sum(1), used.sum(1)


def _like(mask: Tensor, values: Tensor) -> Tensor:
    """The mask with the further dimensions of the values."""
    return mask.reshape(*mask.shape, *[1] * (values.ndim - 1)).expand(*mask.shape, *values.shape[1:])
