# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of triangles on the processor: threads over views, each with a depth buffer of its own."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ..math import OPTIONS
from . import AXIS, DARKENS, KIND, MIRRORS, NEAR, OFTEN, SAMPLES, SHARP

f = np.float32
_0, _1, _HALF = f(0.0), f(1.0), f(0.5)


@nb.njit(inline="always", **OPTIONS)
def _hashed(x, y, z):
    h = np.uint32(np.int64(x)) * np.uint32(374761393) + np.uint32(np.int64(y)) * np.uint32(668265263)
    h = np.uint32(h + np.uint32(np.int64(z)) * np.uint32(2147483647))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(1274126177))
    return f((h ^ (h >> np.uint32(16))) & np.uint32(0xFFFF)) / f(65535.0)


@nb.njit(**OPTIONS)
def _pattern(kind, along, across, third):
    if kind == 1:
        wave = across + f(0.35) * math.sin(f(1.1) * along) + f(0.6) * math.sin(f(0.23) * along + f(0.7) * third)
        return _HALF + _HALF * math.sin(f(6.2832) * wave)
    if kind == 2:
        return _1 if across - math.floor(across) < _HALF else _0
    if kind == 3:
        return _hashed(math.floor(along), math.floor(across), math.floor(third))
    return _0


@nb.njit(inline="always", **OPTIONS)
def _clamped(x, low, high):
    """From ``low`` to ``high``; ``low`` for NaN, which min and max keep, and which would become any index."""
    x = x if x > low else low
    return x if x < high else high


@nb.njit(**OPTIONS)
def _crowding(grid, x, y, z):
    n = len(grid)
    top = f(n - 1)
    x, y, z = (x + _HALF) * f(n) - _HALF, (y + _HALF) * f(n) - _HALF, (z + _HALF) * f(n) - _HALF
    x, y, z = _clamped(x, _0, top), _clamped(y, _0, top), _clamped(z, _0, top)
    i, j, k = min(int(x), n - 2), min(int(y), n - 2), min(int(z), n - 2)
    x, y, z = x - f(i), y - f(j), z - f(k)
    a = grid[i, j, k] * (_1 - z) + grid[i, j, k + 1] * z
    b = grid[i, j + 1, k] * (_1 - z) + grid[i, j + 1, k + 1] * z
    c = grid[i + 1, j, k] * (_1 - z) + grid[i + 1, j, k + 1] * z
    d = grid[i + 1, j + 1, k] * (_1 - z) + grid[i + 1, j + 1, k + 1] * z
    return (a * (_1 - y) + b * y) * (_1 - x) + (c * (_1 - y) + d * y) * x


@nb.njit(**OPTIONS)
def _cover(triangles, viewmat, lens, nearness, which, screen):
    """Fills the buffers of one view: one over depth, and the triangle that is seen. ``screen`` receives the corners as they are drawn."""
    fine = len(nearness)
    for k in range(len(triangles)):
        ahead = True
        for corner in range(3):
            x, y, z = triangles[k, corner, 0], triangles[k, corner, 1], triangles[k, corner, 2]
            depth = viewmat[2, 0] * x + viewmat[2, 1] * y + viewmat[2, 2] * z + viewmat[2, 3]
            ahead = ahead and depth > f(NEAR)
            over = _1 / max(depth, f(NEAR))
            across = viewmat[0, 0] * x + viewmat[0, 1] * y + viewmat[0, 2] * z + viewmat[0, 3]
            down = viewmat[1, 0] * x + viewmat[1, 1] * y + viewmat[1, 2] * z + viewmat[1, 3]
            screen[k, corner, 0] = (across * over * lens[0] + lens[2]) * f(SAMPLES)
            screen[k, corner, 1] = (down * over * lens[1] + lens[3]) * f(SAMPLES)
            screen[k, corner, 2] = over
        ax, ay, az = screen[k, 0, 0], screen[k, 0, 1], screen[k, 0, 2]
        bx, by = screen[k, 1, 0] - ax, screen[k, 1, 1] - ay
        cx, cy = screen[k, 2, 0] - ax, screen[k, 2, 1] - ay
        area = bx * cy - by * cx
        if not ahead or not abs(area) > f(1e-9):
            continue
        inverse = _1 / area
        bz, cz = screen[k, 1, 2] - az, screen[k, 2, 2] - az
        # Pixels whose middle lies in the triangle's box.
        left = max(int(math.ceil(_clamped(ax + min(_0, bx, cx), f(-1.0), f(fine)) - _HALF)), 0)
        right = min(int(math.floor(_clamped(ax + max(_0, bx, cx), f(-1.0), f(fine)) - _HALF)), fine - 1)
        top = max(int(math.ceil(_clamped(ay + min(_0, by, cy), f(-1.0), f(fine)) - _HALF)), 0)
        bottom = min(int(math.floor(_clamped(ay + max(_0, by, cy), f(-1.0), f(fine)) - _HALF)), fine - 1)
        for row in range(top, bottom + 1):
            py = f(row) + _HALF - ay
            for column in range(left, right + 1):
                px = f(column) + _HALF - ax
                second = (px * cy - py * cx) * inverse
                third = (bx * py - by * px) * inverse
                if second >= _0 and third >= _0 and second + third <= _1:
                    over = az + second * bz + third * cz
                    if over > nearness[row, column]:
                        nearness[row, column] = over
                        which[row, column] = k


@nb.njit(**OPTIONS)
def _shade(k, w0, w1, w2, triangles, normals, colors, finishes, table, crowded, eye, sky, ground, lamps, light):
    """Light from a place on triangle k, into ``light`` [3]."""
    x = w0 * triangles[k, 0, 0] + w1 * triangles[k, 1, 0] + w2 * triangles[k, 2, 0]
    y = w0 * triangles[k, 0, 1] + w1 * triangles[k, 1, 1] + w2 * triangles[k, 2, 1]
    z = w0 * triangles[k, 0, 2] + w1 * triangles[k, 1, 2] + w2 * triangles[k, 2, 2]
    nx = w0 * normals[k, 0, 0] + w1 * normals[k, 1, 0] + w2 * normals[k, 2, 0]
    ny = w0 * normals[k, 0, 1] + w1 * normals[k, 1, 1] + w2 * normals[k, 2, 1]
    nz = w0 * normals[k, 0, 2] + w1 * normals[k, 1, 2] + w2 * normals[k, 2, 2]
    bx, by, bz = eye[0] - x, eye[1] - y, eye[2] - z
    over = _1 / math.sqrt(bx * bx + by * by + bz * bz)
    bx, by, bz = bx * over, by * over, bz * over
    over = _1 / max(math.sqrt(nx * nx + ny * ny + nz * nz), f(1e-12))
    if nx * bx + ny * by + nz * bz < _0:
        over = -over
    nx, ny, nz = nx * over, ny * over, nz * over
    row = finishes[k]
    kind = int(table[row, KIND])
    dark = _0
    if kind > 0:
        often = table[row, OFTEN]
        axis = int(table[row, AXIS])
        if axis == 0:
            dark = _pattern(kind, x * often, y * often, z * often)
        elif axis == 1:
            dark = _pattern(kind, y * often, z * often, x * often)
        else:
            dark = _pattern(kind, z * often, x * often, y * often)
    matte = _1 - table[row, DARKENS] * dark
    away = f(2.5) / f(len(crowded))
    free = _1 - f(0.8) * _crowding(crowded, x + away * nx, y + away * ny, z + away * nz)
    up = _HALF + _HALF * nz
    for c in range(3):
        light[c] = (up * sky[c] + (_1 - up) * ground[c]) * free
    mirrored0, mirrored1, mirrored2 = _0, _0, _0
    for lamp in range(len(lamps)):
        lx, ly, lz = lamps[lamp, 0], lamps[lamp, 1], lamps[lamp, 2]
        faces = nx * lx + ny * ly + nz * lz
        if faces > _0:
            part = faces * (_HALF + _HALF * free)
            hx, hy, hz = lx + bx, ly + by, lz + bz
            toward = (nx * hx + ny * hy + nz * hz) / max(math.sqrt(hx * hx + hy * hy + hz * hz), f(1e-12))
            gleam = table[row, MIRRORS] * max(toward, _0) ** table[row, SHARP] if table[row, MIRRORS] > _0 else _0
            for c in range(3):
                light[c] += part * lamps[lamp, 3 + c]
            mirrored0 += gleam * lamps[lamp, 3]
            mirrored1 += gleam * lamps[lamp, 4]
            mirrored2 += gleam * lamps[lamp, 5]
    for c in range(3):
        light[c] *= matte * (w0 * colors[k, 0, c] + w1 * colors[k, 1, c] + w2 * colors[k, 2, c])
    light[0] += mirrored0
    light[1] += mirrored1
    light[2] += mirrored2


@nb.njit(**OPTIONS)
def _code(value):
    value = min(max(value, _0), _1)
    if value <= f(0.0031308):
        return f(12.92) * value
    return f(1.055) * value ** f(1 / 2.4) - f(0.055)


@nb.njit(parallel=True, **OPTIONS)
def draw(triangles, normals, colors, finishes, table, crowded, viewmats, lenses, sky, ground, lamps, size):
    """See :func:`engine.kernels.drawing.draw`."""
    count, fine = len(viewmats), size * SAMPLES
    pictures = np.zeros((count, size, size, 4), np.uint8)
    for view in nb.prange(count):
        nearness = np.zeros((fine, fine), np.float32)
        which = np.full((fine, fine), -1, np.int32)
        screen = np.empty((len(triangles), 3, 3), np.float32)
        light, eye = np.empty(3, np.float32), np.empty(3, np.float32)
        mean = np.empty(3, np.float32)
        m = viewmats[view]
        for axis in range(3):
            eye[axis] = -(m[0, axis] * m[0, 3] + m[1, axis] * m[1, 3] + m[2, axis] * m[2, 3])
        _cover(triangles, m, lenses[view], nearness, which, screen)
        for row in range(size):
            for column in range(size):
                seen = 0
                mean[0], mean[1], mean[2] = _0, _0, _0
                for sample in range(SAMPLES * SAMPLES):
                    i, j = row * SAMPLES + sample // SAMPLES, column * SAMPLES + sample % SAMPLES
                    k = which[i, j]
                    if k < 0:
                        continue
                    seen += 1
                    ax, ay = screen[k, 0, 0], screen[k, 0, 1]
                    bx, by = screen[k, 1, 0] - ax, screen[k, 1, 1] - ay
                    cx, cy = screen[k, 2, 0] - ax, screen[k, 2, 1] - ay
                    px, py = f(j) + _HALF - ax, f(i) + _HALF - ay
                    inverse = _1 / (bx * cy - by * cx)
                    w1 = (px * cy - py * cx) * inverse
                    w2 = (bx * py - by * px) * inverse
                    # Straight lines on the screen are not evenly divided in the world.
                    p0, p1, p2 = (_1 - w1 - w2) * screen[k, 0, 2], w1 * screen[k, 1, 2], w2 * screen[k, 2, 2]
                    over = _1 / (p0 + p1 + p2)
                    _shade(
                        k,
                        p0 * over,
                        p1 * over,
                        p2 * over,
                        triangles,
                        normals,
                        colors,
                        finishes,
                        table,
                        crowded,
                        eye,
                        sky[view],
                        ground[view],
                        lamps[view],
                        light,
                    )
                    for c in range(3):
                        mean[c] += light[c]
                if seen > 0:
                    for c in range(3):
                        pictures[view, row, column, c] = np.uint8(_code(mean[c] / f(seen)) * f(255.0) + _HALF)
                    pictures[view, row, column, 3] = np.uint8(f(seen * 255) / f(SAMPLES * SAMPLES) + _HALF)
    return pictures
