# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking up places in a picture in plain torch: the definition that the fast kernel is checked against."""

from __future__ import annotations

import torch
from torch import Tensor


def gather(
    places: Tensor,
    normals: Tensor,
    turn: Tensor,
    shift: Tensor,
    lens: Tensor,
    depth: Tensor,
    tolerance: float,
    picture: Tensor,
    trust: Tensor,
    unit: float,
    sharpness: float,
) -> Tensor:
    """What :func:`engine.kernels.sampling.cpu.gather` adds to totals, [P, C + 1]."""
    height, width, _ = picture.shape
    local = places @ turn.T + shift
    z = local[:, 2]
    u, v = lens[0] * local[:, 0] / z + lens[2], lens[1] * local[:, 1] / z + lens[3]
    inside = (z > 0) & (u >= 0) & (v >= 0) & (u < width) & (v < height)
    u, v = torch.where(inside, u, 0), torch.where(inside, v, 0)
    row, column = v.long(), u.long()
    front = depth[row, column]
    to_eye = -shift @ turn - places
    away = to_eye.norm(dim=1)
    square = (normals * to_eye).sum(1) / away
    seen = inside & (trust[row, column] > 0) & (front > 0) & (z <= front + tolerance) & (square > 0.05)
    weight = (square.clamp(min=0) * lens[:2].min() / (away * unit)) ** sharpness * trust[row, column]
    weight = torch.where(seen, weight, 0)
    left, top = (u - 0.5).floor().long().clamp(0, max(width - 2, 0)), (v - 0.5).floor().long().clamp(0, max(height - 2, 0))
    right, below = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    s, t = (u - 0.5 - left).clamp(0, 1)[:, None], (v - 0.5 - top).clamp(0, 1)[:, None]
    upper = picture[top, left] * (1 - s) + picture[top, right] * s
    lower = picture[below, left] * (1 - s) + picture[below, right] * s
    return torch.cat([weight[:, None] * (upper * (1 - t) + lower * t), weight[:, None]], dim=1)
