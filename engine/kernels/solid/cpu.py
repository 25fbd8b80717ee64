# SPDX-License-Identifier: GPL-3.0-or-later
"""Solid voxels of triangles on the processor, in float64: a separating axis that rounding hides would leave a hole."""

from __future__ import annotations

import numba as nb
import numpy as np

from ..math import OPTIONS
from . import ASIDE, VOTES

_SHORT = 1e-18


@nb.njit(inline="always", **OPTIONS)
def _apart(ax, ay, az, t, k, cx, cy, cz):
    """Whether an axis separates triangle k from the inside of the cell with a middle."""
    if ax * ax + ay * ay + az * az < _SHORT:
        return False
    p = ax * (t[k, 0, 0] - cx) + ay * (t[k, 0, 1] - cy) + az * (t[k, 0, 2] - cz)
    q = ax * (t[k, 1, 0] - cx) + ay * (t[k, 1, 1] - cy) + az * (t[k, 1, 2] - cz)
    r = ax * (t[k, 2, 0] - cx) + ay * (t[k, 2, 1] - cy) + az * (t[k, 2, 2] - cz)
    reach = 0.5 * (abs(ax) + abs(ay) + abs(az))
    return min(p, q, r) >= reach or max(p, q, r) <= -reach


@nb.njit(inline="always", **OPTIONS)
def _touches(t, k, i, j, m):
    """Whether triangle k passes through the inside of a cell within whose reach its box lies."""
    cx, cy, cz = i + 0.5, j + 0.5, m + 0.5
    ux, uy, uz = t[k, 1, 0] - t[k, 0, 0], t[k, 1, 1] - t[k, 0, 1], t[k, 1, 2] - t[k, 0, 2]
    vx, vy, vz = t[k, 2, 0] - t[k, 0, 0], t[k, 2, 1] - t[k, 0, 1], t[k, 2, 2] - t[k, 0, 2]
    if _apart(uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx, t, k, cx, cy, cz):
        return False
    for corner in range(3):
        after = (corner + 1) % 3
        ex = t[k, after, 0] - t[k, corner, 0]
        ey = t[k, after, 1] - t[k, corner, 1]
        ez = t[k, after, 2] - t[k, corner, 2]
        # The cross products of an edge with the axes.
        if _apart(0.0, -ez, ey, t, k, cx, cy, cz) or _apart(ez, 0.0, -ex, t, k, cx, cy, cz) or _apart(-ey, ex, 0.0, t, k, cx, cy, cz):
            return False
    return True


@nb.njit(**OPTIONS)
def surface(t, side):
    """Which cells triangles pass through."""
    full = np.zeros((side, side, side), np.bool_)
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for k in range(len(t)):
        for axis in range(3):
            low[axis] = max(int(np.floor(min(t[k, 0, axis], t[k, 1, axis], t[k, 2, axis]))), 0)
            high[axis] = min(int(np.floor(max(t[k, 0, axis], t[k, 1, axis], t[k, 2, axis]))), side - 1)
        for i in range(low[0], high[0] + 1):
            for j in range(low[1], high[1] + 1):
                for m in range(low[2], high[2] + 1):
                    if not full[i, j, m] and _touches(t, k, i, j, m):
                        full[i, j, m] = True
    return full


@nb.njit(**OPTIONS)
def air(full):
    """Which cells air from outside reaches."""
    side = len(full)
    reached = np.zeros((side, side, side), np.bool_)
    queue = np.empty((side * side * side, 3), np.int32)
    count = 0
    for i in range(side):
        for j in range(side):
            for m in range(side):
                at_edge = min(i, j, m) == 0 or max(i, j, m) == side - 1
                if at_edge and not full[i, j, m]:
                    reached[i, j, m] = True
                    queue[count] = (i, j, m)
                    count += 1
    done = 0
    while done < count:
        for axis in range(3):
            for step in (-1, 1):
                i, j, m = queue[done, 0], queue[done, 1], queue[done, 2]
                if axis == 0:
                    i += step
                elif axis == 1:
                    j += step
                else:
                    m += step
                if min(i, j, m) >= 0 and max(i, j, m) < side and not full[i, j, m] and not reached[i, j, m]:
                    reached[i, j, m] = True
                    queue[count] = (i, j, m)
                    count += 1
        done += 1
    return reached


@nb.njit(**OPTIONS)
def votes(t, side):
    """How many of the six rays from a cell's middle cross the surface an odd number of times."""
    count = np.zeros((side, side, side), np.uint8)
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        # odd[a, b, c]: crossings between the middles c - 1 and c of the column (a, b), odd or not.
        odd = np.zeros((side, side, side + 1), np.uint8)
        for k in range(len(t)):
            ux, uy, uh = t[k, 1, u] - t[k, 0, u], t[k, 1, v] - t[k, 0, v], t[k, 1, axis] - t[k, 0, axis]
            vx, vy, vh = t[k, 2, u] - t[k, 0, u], t[k, 2, v] - t[k, 0, v], t[k, 2, axis] - t[k, 0, axis]
            area = ux * vy - uy * vx
            if abs(area) < 1e-12:
                continue
            low_u = max(int(np.floor(min(t[k, 0, u], t[k, 1, u], t[k, 2, u]) - 0.5)), 0)
            high_u = min(int(np.floor(max(t[k, 0, u], t[k, 1, u], t[k, 2, u]))), side - 1)
            low_v = max(int(np.floor(min(t[k, 0, v], t[k, 1, v], t[k, 2, v]) - 0.5)), 0)
            high_v = min(int(np.floor(max(t[k, 0, v], t[k, 1, v], t[k, 2, v]))), side - 1)
            for a in range(low_u, high_u + 1):
                for b in range(low_v, high_v + 1):
                    px, py = a + 0.5 + ASIDE[u] - t[k, 0, u], b + 0.5 + ASIDE[v] - t[k, 0, v]
                    first, second = (px * vy - py * vx) / area, (ux * py - uy * px) / area
                    if first > 0 and second > 0 and first + second < 1:
                        height = t[k, 0, axis] + first * uh + second * vh - 0.5 - ASIDE[axis]
                        odd[a, b, min(max(int(np.ceil(height)), 0), side)] ^= 1
        for a in range(side):
            for b in range(side):
                whole = np.uint8(0)
                for c in range(side + 1):
                    whole ^= odd[a, b, c]
                below = np.uint8(0)
                for c in range(side):
                    below ^= odd[a, b, c]
                    both = below + (whole ^ below)
                    if axis == 0:
                        count[c, a, b] += both
                    elif axis == 1:
                        count[b, c, a] += both
                    else:
                        count[a, b, c] += both
    return count


@nb.njit(**OPTIONS)
def solid(t, side):
    """See :func:`engine.kernels.solid.solid`, for triangles as they count."""
    full = surface(t, side)
    reached = air(full)
    odd = votes(t, side)
    made = np.empty((side, side, side), np.bool_)
    for i in range(side):
        for j in range(side):
            for m in range(side):
                made[i, j, m] = full[i, j, m] or not reached[i, j, m] or odd[i, j, m] >= VOTES
    return made
