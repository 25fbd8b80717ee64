# SPDX-License-Identifier: GPL-3.0-or-later
"""Fusion on the processor: block by block side by side, all pictures for one block after the other."""

from __future__ import annotations

import numba as nb
import numpy as np

from ..math import OPTIONS

# Grid points along a side of a block.
SIDE = 8
VOXELS = SIDE**3
# What a depth picture says where its ray meets nothing, and where it is not known what it meets.
EMPTY, UNKNOWN = -1.0, 0.0

_0, _HALF, _1, _2 = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)
# From here on, in truncations behind a surface, a picture counts less and less: there the other side of something thin may be.
_SURE = np.float32(-0.25)
_FADE = _1 / (_1 + _SURE)


@nb.njit(inline="always", **OPTIONS)
def _look_up(depths, n, u, v, width, height, together):
    """Depth of picture n at a place in pixels: between four that are alike, else the nearest one."""
    x, y = np.int64(u), np.int64(v)
    nearest = depths[n, y, x]
    if nearest <= _0:
        return nearest
    left, top = np.int64(np.floor(u - _HALF)), np.int64(np.floor(v - _HALF))
    if left < 0 or top < 0 or left + 1 >= width or top + 1 >= height:
        return nearest
    a, b, c, d = depths[n, top, left], depths[n, top, left + 1], depths[n, top + 1, left], depths[n, top + 1, left + 1]
    low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    if low <= _0 or high - low > together:
        return nearest
    s, t = u - _HALF - np.float32(left), v - _HALF - np.float32(top)
    return (a * (_1 - s) + b * s) * (_1 - t) + (c * (_1 - s) + d * s) * t


@nb.njit(parallel=True, **OPTIONS)
def fuse(blocks, size, reach, turns, shifts, lenses, strengths, depths, slants, distances, weights):
    """See :func:`engine.kernels.fusion.fuse`."""
    count, height, width = depths.shape
    size, reach = np.float32(size), np.float32(reach)
    ball = size * np.float32(SIDE * 0.8660254)
    for b in nb.prange(blocks.shape[0]):
        total, weight, hidden = np.zeros(VOXELS, np.float32), np.zeros(VOXELS, np.float32), np.zeros(VOXELS, np.float32)
        x0, y0, z0 = (
            size * np.float32(blocks[b, 0] * SIDE),
            size * np.float32(blocks[b, 1] * SIDE),
            size * np.float32(blocks[b, 2] * SIDE),
        )
        half = size * np.float32(SIDE / 2)
        for n in range(count):
            r = turns[n]
            fx, fy, cx, cy = lenses[n, 0], lenses[n, 1], lenses[n, 2], lenses[n, 3]
            mx = r[0, 0] * (x0 + half) + r[0, 1] * (y0 + half) + r[0, 2] * (z0 + half) + shifts[n, 0]
            my = r[1, 0] * (x0 + half) + r[1, 1] * (y0 + half) + r[1, 2] * (z0 + half) + shifts[n, 1]
            mz = r[2, 0] * (x0 + half) + r[2, 1] * (y0 + half) + r[2, 2] * (z0 + half) + shifts[n, 2]
            if mz + ball <= _0:
                continue
            if mz > _2 * ball:
                around = _2 * ball * max(fx, fy) / mz
                u, v = fx * mx / mz + cx, fy * my / mz + cy
                if u + around < 0 or v + around < 0 or u - around > width or v - around > height:
                    continue
            for i in range(SIDE):
                for j in range(SIDE):
                    px, py = x0 + size * np.float32(i), y0 + size * np.float32(j)
                    ax = r[0, 0] * px + r[0, 1] * py + shifts[n, 0]
                    ay = r[1, 0] * px + r[1, 1] * py + shifts[n, 1]
                    az = r[2, 0] * px + r[2, 1] * py + shifts[n, 2]
                    for k in range(SIDE):
                        pz = z0 + size * np.float32(k)
                        z = az + r[2, 2] * pz
                        if not z > _0:
                            continue
                        x, y = (ax + r[0, 2] * pz) / z, (ay + r[1, 2] * pz) / z
                        u, v = fx * x + cx, fy * y + cy
                        if not (u >= 0 and v >= 0 and u < width and v < height):
                            continue
                        depth = _look_up(depths, n, u, v, width, height, reach)
                        if depth == _0:
                            continue
                        at = (i * SIDE + j) * SIDE + k
                        if depth < _0:
                            total[at] += strengths[n]
                            weight[at] += strengths[n]
                            continue
                        if depth < z:
                            hidden[at] = _1
                        slant = slants[n, np.int64(v), np.int64(u)]
                        if not slant > _0:
                            continue
                        distance = (depth - z) * slant / reach
                        # Written so that NaN fails.
                        if not distance > -_1:
                            continue
                        # The share of the surface that faces the camera.
                        share = slant / np.sqrt(_1 + x * x + y * y) * strengths[n]
                        if distance < _SURE:
                            share *= (distance + _1) * _FADE
                        total[at] += share * min(distance, _1)
                        weight[at] += share
        for at in range(VOXELS):
            weights[b, at] = weight[at] if weight[at] > _0 else -hidden[at]
            distances[b, at] = total[at] / weight[at] if weight[at] > _0 else _0
