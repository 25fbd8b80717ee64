# SPDX-License-Identifier: GPL-3.0-or-later
"""Fusion in plain torch: the definition that the fast kernel is checked against."""

from __future__ import annotations

import torch
from torch import Tensor

SIDE = 8
SURE = -0.25


def fuse(
    blocks: Tensor,
    size: float,
    reach: float,
    turns: Tensor,
    shifts: Tensor,
    lenses: Tensor,
    strengths: Tensor,
    depths: Tensor,
    slants: Tensor,
) -> tuple[Tensor, Tensor]:
    """Distances and weights [B, 512] as :func:`engine.kernels.fusion.cpu.fuse` writes them."""
    axis = torch.arange(SIDE, device=blocks.device)
    inner = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3)
    places = (blocks[:, None] * SIDE + inner).to(depths.dtype) * size
    total = places.new_zeros(places.shape[:2])
    weight, hidden = total.clone(), total.clone()
    height, width = depths.shape[1:]
    for turn, shift, lens, strength, depth, slant in zip(turns, shifts, lenses, strengths, depths, slants, strict=True):
        local = places @ turn.T + shift
        z = local[..., 2]
        x, y = local[..., 0] / z, local[..., 1] / z
        u, v = lens[0] * x + lens[2], lens[1] * y + lens[3]
        seen = (z > 0) & (u >= 0) & (v >= 0) & (u < width) & (v < height)
        column, row = torch.where(seen, u, 0).long(), torch.where(seen, v, 0).long()
        met = _looked_up(depth, torch.where(seen, u, 0), torch.where(seen, v, 0), reach)
        tilt = slant[row, column]
        distance = (met - z) * tilt / reach
        share = tilt / torch.sqrt(1 + x * x + y * y) * strength * ((distance + 1) / (1 + SURE)).clamp(max=1)
        empty = seen & (met < 0)
        near = seen & (met > 0) & (tilt > 0) & (distance > -1)
        hidden[seen & (met > 0) & (met < z)] = 1
        total += torch.where(empty, strength, torch.where(near, share * distance.clamp(max=1), 0))
        weight += torch.where(empty, strength, torch.where(near, share, 0))
    return torch.where(weight > 0, total / weight, 0), torch.where(weight > 0, weight, -hidden)


def _looked_up(depth: Tensor, u: Tensor, v: Tensor, together: float) -> Tensor:
    """Depth at places in pixels: between four that are alike, else the nearest one."""
    height, width = depth.shape
    nearest = depth[v.long(), u.long()]
    left, top = torch.floor(u - 0.5).long(), torch.floor(v - 0.5).long()
    inside = (left >= 0) & (top >= 0) & (left + 1 < width) & (top + 1 < height)
    x, y = left.clamp(0, max(width - 2, 0)), top.clamp(0, max(height - 2, 0))
    right, below = (x + 1).clamp(max=width - 1), (y + 1).clamp(max=height - 1)
    four = torch.stack([depth[y, x], depth[y, right], depth[below, x], depth[below, right]])
    alike = inside & (nearest > 0) & (four > 0).all(0) & (four.amax(0) - four.amin(0) <= together)
    s, t = u - 0.5 - left, v - 0.5 - top
    between = (four[0] * (1 - s) + four[1] * s) * (1 - t) + (four[2] * (1 - s) + four[3] * s) * t
    return torch.where(alike, between, nearest)
