# SPDX-License-Identifier: GPL-3.0-or-later
"""Normalized device coordinates for scenes that all cameras face from the front (Mildenhall et al. 2020, appendix C).

All is in a frame whose cameras look along -Z. What they see from the near plane to infinity becomes the cube from -1 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Frustum:
    """What becomes the cube: half its width and height at distance 1, and where it begins."""

    half_width: float
    half_height: float
    near: float

    def rays(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Rays in the cube, beginning on the near plane at 0 and reaching infinity at 1.

        Args:
            origins, directions: [R, 3]; directions have a Z below 0.

        Returns:
            origins and directions, [R, 3].
        """
        start = -(self.near + origins[:, 2]) / directions[:, 2]
        ox, oy, oz = (origins + start[:, None] * directions).unbind(-1)
        dx, dy, dz = directions.unbind(-1)
        moved = torch.stack([-ox / oz / self.half_width, -oy / oz / self.half_height, 1 + 2 * self.near / oz], dim=-1)
        turned = torch.stack([-(dx / dz - ox / oz) / self.half_width, -(dy / dz - oy / oz) / self.half_height, -2 * self.near / oz], dim=-1)
        return moved, turned

    def points(self, points: Tensor) -> Tensor:
        """Points [..., 3] with Z below 0 in the cube."""
        z = points[..., 2].clamp_max(-1e-6)
        return torch.stack([-points[..., 0] / z / self.half_width, -points[..., 1] / z / self.half_height, 1 + 2 * self.near / z], dim=-1)

    def back(self, points: Tensor) -> Tensor:
        """Points of the cube, [..., 3] with Z below 1, where they came from."""
        z = 2 * self.near / (points[..., 2] - 1)
        return torch.stack([-points[..., 0] * z * self.half_width, -points[..., 1] * z * self.half_height, z], dim=-1)
