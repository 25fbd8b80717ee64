# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing in plain torch, every gaussian at every pixel: the definition that the fast kernels are checked against."""

from __future__ import annotations

from collections.abc import Callable

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

    def composite(pixels: Tensor) -> Tensor:
        weights, _, left = _weights(rows, pixels)
        return torch.cat([(weights @ rows[:, 6:9] + left[:, None] * background).T, left[None]], 0)

    return _at_pixels(rows, width, height, chunk, composite)


def expected_depth(rows: Tensor, depths: Tensor, width: int, height: int, chunk: int = 4096) -> Tensor:
    """The mean of planar z, weighted as colours are. depths: [M]. Returns [H, W], 0 where no gaussian is."""

    def mean(pixels: Tensor) -> Tensor:
        weights, _, _ = _weights(rows, pixels)
        total = weights.sum(1)
        return torch.where(total > 0, weights @ depths / total.clamp_min(MIN_ALPHA), 0)[None]

    return _at_pixels(rows, width, height, chunk, mean)[0]


def median_depth(rows: Tensor, depths: Tensor, width: int, height: int, chunk: int = 4096) -> Tensor:
    """Planar z of the gaussian that brings the transmittance below a half. depths: [M]. Returns [H, W], 0 where none does."""

    def middle(pixels: Tensor) -> Tensor:
        _, through, _ = _weights(rows, pixels)
        passed = through < 0.5
        return torch.where(passed.any(1), depths[passed.int().argmax(1)], 0)[None]

    return _at_pixels(rows, width, height, chunk, middle)[0]


def normals(rows: Tensor, facing: Tensor, width: int, height: int, chunk: int = 4096) -> Tensor:
    """Normals composited as colours are. facing: [M, 3], see :func:`facing_axes`. Returns [3, H, W], unit, 0 where no gaussian is."""

    def direction(pixels: Tensor) -> Tensor:
        weights, _, _ = _weights(rows, pixels)
        return torch.nn.functional.normalize(weights @ facing, dim=1).T

    return _at_pixels(rows, width, height, chunk, direction)


def facing_axes(means: Tensor, log_scales: Tensor, rotations: Tensor, position: Tensor) -> Tensor:
    """The shortest axis of each gaussian, on the camera's side.

    Args:
        means, log_scales: [M, 3]. rotations: [M, 3, 3]. position: [3], the camera's place.

    Returns:
        [M, 3] unit, world.
    """
    index = log_scales.argmin(1)[:, None, None].expand(-1, 3, 1)
    axes = rotations.gather(2, index)[..., 0]
    away = (axes * (means - position)).sum(1) > 0
    return torch.where(away[:, None], -axes, axes)


def _at_pixels(rows: Tensor, width: int, height: int, chunk: int, values: Callable[[Tensor], Tensor]) -> Tensor:
    """[C, H, W] of what ``values`` gives, [C, P], at pixel centres [P, 2]."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=rows.dtype, device=rows.device) + 0.5,
        torch.arange(width, dtype=rows.dtype, device=rows.device) + 0.5,
        indexing="ij",
    )
    pixels = torch.stack([x.flatten(), y.flatten()], -1)
    return torch.cat([values(part) for part in pixels.split(chunk)], 1).reshape(-1, height, width)


def _weights(rows: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What each gaussian adds to each pixel [P, M], the transmittance behind each [P, M], and behind all that count [P]."""
    d = pixels[:, None, :] - rows[None, :, :2]  # [P, M, 2]
    a, b, c = rows[:, 2], rows[:, 3], rows[:, 4]
    sigma = 0.5 * (a * d[..., 0] ** 2 + c * d[..., 1] ** 2) + b * d[..., 0] * d[..., 1]
    alpha = (rows[:, 5] * torch.exp(-sigma)).clamp_max(MAX_ALPHA)
    alpha = torch.where(alpha >= MIN_ALPHA, alpha, torch.zeros_like(alpha))
    through = torch.cumprod(1 - alpha, 1)
    before = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], 1)
    # A finished pixel takes no more light: once the transmittance is below the limit, what follows has no weight.
    live = before >= MIN_TRANSMITTANCE
    weights = torch.where(live, before * alpha, torch.zeros_like(alpha))
    return weights, through, torch.where(live, 1 - alpha, torch.ones_like(alpha)).prod(1)
