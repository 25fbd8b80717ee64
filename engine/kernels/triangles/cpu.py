# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangles in a picture on the processor: bands of rows side by side, each with its own part of the depth."""

from __future__ import annotations

import numba as nb
import numpy as np

from ..math import OPTIONS

_BAND = 32


@nb.njit(parallel=True, **OPTIONS)
def rasterize(points, triangles, faces, depth, shares):
    """See :func:`engine.kernels.triangles.rasterize`, for points float64 and triangles int32 below their number; writes faces, depth and
    shares."""
    height, width = faces.shape
    for band in nb.prange((height + _BAND - 1) // _BAND):
        top, bottom = band * _BAND, min((band + 1) * _BAND, height)
        nearest = np.full((bottom - top, width), np.inf)
        faces[top:bottom] = -1
        depth[top:bottom] = 0
        shares[top:bottom] = 0
        for f in range(triangles.shape[0]):
            a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
            ay, by, cy = points[a, 1], points[b, 1], points[c, 1]
            # Written so that NaN fails.
            first, last = max(min(ay, by, cy) - 0.5, float(top)), min(max(ay, by, cy) - 0.5, float(bottom - 1))
            if not first <= last:
                continue
            ax, bx, cx = points[a, 0], points[b, 0], points[c, 0]
            left, right = max(min(ax, bx, cx) - 0.5, 0.0), min(max(ax, bx, cx) - 0.5, float(width - 1))
            az, bz, cz = points[a, 2], points[b, 2], points[c, 2]
            if not (left <= right and az > 0 and bz > 0 and cz > 0):
                continue
            abx, aby, acx, acy = bx - ax, by - ay, cx - ax, cy - ay
            area = abx * acy - aby * acx
            if not abs(area) > 1e-12:
                continue
            inverse, ia, ib, ic = 1 / area, 1 / az, 1 / bz, 1 / cz
            for row in range(int(np.ceil(first)), int(last) + 1):
                y = row + 0.5 - ay
                for column in range(int(np.ceil(left)), int(right) + 1):
                    x = column + 0.5 - ax
                    u, v = (x * acy - y * acx) * inverse, (y * abx - x * aby) * inverse
                    if u < 0 or v < 0 or u + v > 1:
                        continue
                    z = 1 / ((1 - u - v) * ia + u * ib + v * ic)
                    if z < nearest[row - top, column]:
                        nearest[row - top, column] = z
                        faces[row, column] = f
                        depth[row, column] = z
                        shares[row, column, 0], shares[row, column, 1] = u * z * ib, v * z * ic
