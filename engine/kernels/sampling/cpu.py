# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking up places of a surface in a picture, on the processor: chunks of places side by side."""

from __future__ import annotations

import numba as nb
import numpy as np

from ..math import OPTIONS

_0, _HALF, _1 = np.float32(0.0), np.float32(0.5), np.float32(1.0)
_CHUNK = 1024


@nb.njit(parallel=True, **OPTIONS)
def gather(places, normals, turn, shift, lens, depth, tolerance, picture, trust, unit, sharpness, totals):
    """See :func:`engine.kernels.sampling.gather`."""
    height, width, channels = picture.shape
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    tolerance, sharpness, unit = np.float32(tolerance), np.float32(sharpness), np.float32(unit)
    ex = -(turn[0, 0] * shift[0] + turn[1, 0] * shift[1] + turn[2, 0] * shift[2])
    ey = -(turn[0, 1] * shift[0] + turn[1, 1] * shift[1] + turn[2, 1] * shift[2])
    ez = -(turn[0, 2] * shift[0] + turn[1, 2] * shift[1] + turn[2, 2] * shift[2])
    count = places.shape[0]
    for chunk in nb.prange((count + _CHUNK - 1) // _CHUNK):
        for p in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, count)):
            px, py, pz = places[p, 0], places[p, 1], places[p, 2]
            z = turn[2, 0] * px + turn[2, 1] * py + turn[2, 2] * pz + shift[2]
            if not z > _0:
                continue
            u = fx * (turn[0, 0] * px + turn[0, 1] * py + turn[0, 2] * pz + shift[0]) / z + cx
            v = fy * (turn[1, 0] * px + turn[1, 1] * py + turn[1, 2] * pz + shift[1]) / z + cy
            if not (u >= _0 and v >= _0 and u < width and v < height):
                continue
            column, row = np.int64(u), np.int64(v)
            if trust[row, column] <= _0 or depth[row, column] <= _0 or z > depth[row, column] + tolerance:
                continue
            vx, vy, vz = ex - px, ey - py, ez - pz
            away = np.sqrt(vx * vx + vy * vy + vz * vz)
            square = (normals[p, 0] * vx + normals[p, 1] * vy + normals[p, 2] * vz) / away
            if not square > np.float32(0.05):
                continue
            weight = (square * min(fx, fy) / (away * unit)) ** sharpness * trust[row, column]
            # Half a pixel from the edge there are no four around.
            left = min(max(np.int64(np.floor(u - _HALF)), 0), max(width - 2, 0))
            top = min(max(np.int64(np.floor(v - _HALF)), 0), max(height - 2, 0))
            right, below = min(left + 1, width - 1), min(top + 1, height - 1)
            s = min(max(u - _HALF - np.float32(left), _0), _1)
            t = min(max(v - _HALF - np.float32(top), _0), _1)
            for c in range(channels):
                upper = picture[top, left, c] * (_1 - s) + picture[top, right, c] * s
                lower = picture[below, left, c] * (_1 - s) + picture[below, right, c] * s
                totals[p, c] += weight * (upper * (_1 - t) + lower * t)
            totals[p, channels] += weight
