# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing in plain torch: the definition that the fast kernel is checked against."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_TRANSMITTANCE = 1e-4


def padded(values: Tensor, starts: Tensor) -> Tensor:
    """Values [S, ...] of samples side by side, ray by ray: [R, L, ...] with L for the most samples of a ray, 0 where there is none."""
    counts = starts.diff()
    longest = int(counts.max()) if len(counts) else 0
    inside = torch.arange(longest, device=values.device) < counts[:, None]
    like = inside.reshape(*inside.shape, *[1] * (values.ndim - 1)).expand(*inside.shape, *values.shape[1:])
    return torch.zeros_like(like, dtype=values.dtype).masked_scatter(like, values)


def weights(density: Tensor, dt: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """What samples give to the colour of their ray, [R, L]; and which of them count [R, L], those that enough light reaches."""
    thickness = padded(density * dt, starts)
    before = torch.exp(-(thickness.cumsum(1) - thickness))
    used = (padded(torch.ones_like(dt), starts) > 0) & (before >= MIN_TRANSMITTANCE)
    return torch.where(used, before * -torch.expm1(-thickness), 0), used


def composite(density: Tensor, color: Tensor, t: Tensor, dt: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`engine.kernels.volume.forward`. Differentiable by density and color, in any float type."""
    weight, used = weights(density, dt, starts)
    return (weight[..., None] * padded(color, starts)).sum(1), (weight * padded(t, starts)).sum(1), weight.sum(1), used.sum(1)
