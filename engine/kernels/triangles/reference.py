# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangles in a picture in plain torch: the definition that the fast kernel is checked against."""

from __future__ import annotations

import torch
from torch import Tensor


def rasterize(points: Tensor, triangles: Tensor, width: int, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """What :func:`engine.kernels.triangles.cpu.rasterize` writes: faces, depth and shares."""
    across = torch.arange(width, device=points.device, dtype=points.dtype) + 0.5
    down = torch.arange(height, device=points.device, dtype=points.dtype) + 0.5
    faces = torch.full((height, width), -1, device=points.device, dtype=torch.int32)
    depth = points.new_full((height, width), torch.inf)
    shares = points.new_zeros(height, width, 2)
    for number, corners in enumerate(triangles.tolist()):
        a, b, c = points[corners]
        if not bool((points[corners][:, 2] > 0).all()):
            continue
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        x, y = across[None, :] - a[0], down[:, None] - a[1]
        u = (x * (c[1] - a[1]) - y * (c[0] - a[0])) / area
        v = (y * (b[0] - a[0]) - x * (b[1] - a[1])) / area
        # One over the depth is what is even across a picture.
        z = 1 / ((1 - u - v) / a[2] + u / b[2] + v / c[2])
        nearer = (u >= 0) & (v >= 0) & (u + v <= 1) & (z < depth)
        faces[nearer] = number
        depth[nearer] = z[nearer]
        shares[nearer] = torch.stack([u * z / b[2], v * z / c[2]], dim=-1)[nearer]
    return faces, torch.where(faces < 0, 0, depth), shares
