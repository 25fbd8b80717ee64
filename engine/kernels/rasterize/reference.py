# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing in plain torch, every gaussian at every pixel: the definition that the fast kernels are checked against."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_ALPHA = 1 / 255
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4


def rasterize(
    rows: Tensor,  # [M, 9] x, y, conic a, b, c, opacity, red, green, blue, nearest first
    width: int,
    height: int,
    background: Tensor,  # [3]
    chunk: int = 4096,
) -> Tensor:
    """Composites gaussians front to back.

    Args:
        chunk: pixels computed at once; memory grows with chunk times M.

    Returns:
        [4, H, W]: red, green, blue over the background, and the transmittance.
    """
    y, x = torch.meshgrid(
        torch.arange(height, dtype=rows.dtype, device=rows.device) + 0.5,
        torch.arange(width, dtype=rows.dtype, device=rows.device) + 0.5,
        indexing="ij",
    )
    pixels = torch.stack([x.flatten(), y.flatten()], -1)
    return torch.cat([_pixels(rows, part, background) for part in pixels.split(chunk)], 1).reshape(4, height, width)


def _pixels(rows: Tensor, pixels: Tensor, background: Tensor) -> Tensor:
    d = pixels[:, None, :] - rows[None, :, :2]  # [P, M, 2]
    a, b, c = rows[:, 2], rows[:, 3], rows[:, 4]
    sigma = 0.5 * (a * d[..., 0] ** 2 + c * d[..., 1] ** 2) + b * d[..., 0] * d[..., 1]
    alpha = (rows[:, 5] * torch.exp(-sigma)).clamp_max(MAX_ALPHA)
    alpha = torch.where(alpha >= MIN_ALPHA, alpha, torch.zeros_like(alpha))
    through = torch.cumprod(1 - alpha, 1)
    before = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], 1)
    # A finished pixel takes no more light: once the transmittance is below the limit, what follows has no weight.
    live = before >= MIN_TRANSMITTANCE
    weights = torch.where(live, before * alpha, torch.zeros_like(alpha))  # [P, M]
    left = torch.where(live, 1 - alpha, torch.ones_like(alpha)).prod(1)
    return torch.cat([(weights @ rows[:, 6:9] + left[:, None] * background).T, left[None]], 0)
