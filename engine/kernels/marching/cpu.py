# SPDX-License-Identifier: GPL-3.0-or-later
"""Marching on the processor: one ray after the other, chunks of rays side by side."""

from __future__ import annotations

import numba as nb
import numpy as np

from ..math import OPTIONS, bits_of_float

_CHUNK = 64
_0, _1, _2 = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_TINY = np.float32(1e-12)


@nb.njit(inline="always", **OPTIONS)
def _exponent(x):
    """The least whole e with x <= 2^e, for positive x."""
    bits = bits_of_float(x)
    return ((bits + np.int32(0x7FFFFF)) >> np.int32(23)) - np.int32(127)


@nb.njit(inline="always", **OPTIONS)
def _inverse(x):
    return _1 / x if abs(x) >= _TINY else (-_1 if x < _0 else _1) / _TINY


@nb.njit(**OPTIONS)
def occupied_blocks(bits):
    """Whether anything is in blocks of 4³ cells, flat [C (N / 4)^3] uint8; see reference.occupied_blocks."""
    cascades, cells = bits.shape[0], bits.shape[1]
    side = cells // 4
    made = np.zeros((cascades, side, side, side), np.uint8)
    if cells % 16:
        made[:] = 1
        return made.reshape(-1)
    for cascade in range(cascades):
        for i in range(cells):
            for j in range(cells):
                for byte in range(cells // 8):
                    eight = bits[cascade, i, j, byte]
                    made[cascade, i // 4, j // 4, 2 * byte] |= (eight & np.uint8(15)) != 0
                    made[cascade, i // 4, j // 4, 2 * byte + 1] |= (eight >> np.uint8(4)) != 0
    return made.reshape(-1)


@nb.njit(**OPTIONS)
def walk(origin, direction, bits, blocks, step, cone, begin, jitter, most, found, at):
    """Writes the distances of a ray's samples into ``found`` from index ``at`` on; ``blocks`` are those of :func:`occupied_blocks`.

    Returns how many there are, and where it was left.
    """
    cascades, cells = np.int32(bits.shape[0]), np.int32(bits.shape[1])
    half = np.float32(1 << (cascades - 1))
    longest = max(step, _2 * half / np.float32(cells))
    ox, oy, oz = origin[0], origin[1], origin[2]
    dx, dy, dz = direction[0], direction[1], direction[2]
    ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
    ax, ay, az = (-half - ox) * ix, (-half - oy) * iy, (-half - oz) * iz
    bx, by, bz = (half - ox) * ix, (half - oy) * iy, (half - oz) * iz
    far = min(min(max(ax, bx), max(ay, by)), max(az, bz))
    near = max(max(max(min(ax, bx), min(ay, by)), min(az, bz)), begin)
    t = near + jitter * min(max(cone * near, step), longest)
    # NaN in one axis would be lost in the comparisons of the others.
    if np.isnan(ox + oy + oz + dx + dy + dz):
        far = -_1
    middle, quarter, side = np.float32(cells) / _2, np.float32(0.25), cells >> np.int32(2)
    last = cells - np.int32(1)
    # A step away from zero reaches the far side of a cell, one towards it the near side.
    px, py, pz = _1 if dx > _0 else _0, _1 if dy > _0 else _0, _1 if dz > _0 else _0
    flat = bits.reshape(-1)
    count = 0
    while t < far and count < most:
        dt = min(max(cone * t, step), longest)
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        cascade = np.int32(0)
        if cascades > 1:
            reach = max(max(abs(x), abs(y)), max(abs(z), np.float32(1e-9)))
            cascade = min(max(max(_exponent(reach), _exponent(dt * middle)), np.int32(0)), cascades - np.int32(1))
        size = np.float32(1 << cascade) / middle
        scale = _1 / size
        x, y, z = x * scale + middle, y * scale + middle, z * scale + middle
        i = min(max(np.int32(x), np.int32(0)), last)
        j = min(max(np.int32(y), np.int32(0)), last)
        k = min(max(np.int32(z), np.int32(0)), last)
        place = ((cascade * cells + i) * cells + j) * cells + k
        if (flat[np.uint64(place >> np.int32(3))] >> np.uint8(k & np.int32(7))) & np.uint8(1):
            found[at + count] = t
            count += 1
            on = t + dt
        else:
            block = ((cascade * side + (i >> np.int32(2))) * side + (j >> np.int32(2))) * side + (k >> np.int32(2))
            if not blocks[np.uint64(block)]:
                i, j, k = i >> np.int32(2), j >> np.int32(2), k >> np.int32(2)
                x, y, z, size = x * quarter, y * quarter, z * quarter, size * np.float32(4.0)
            across = min((np.float32(i) + px - x) * ix, (np.float32(j) + py - y) * iy)
            across = min(across, (np.float32(k) + pz - z) * iz) * size
            on = t + max(np.ceil(across / dt), _1) * dt
        # So far away that a step is lost in rounding.
        if not on > t:
            far = -_1
            break
        t = on
    return count, t if t < far else np.float32(np.inf)


@nb.njit(parallel=True, **OPTIONS)
def march(origins, directions, bits, step, cone, begin, jitter, most):
    """See :func:`engine.kernels.marching.march`. Returns the parts of Samples as arrays."""
    rays = origins.shape[0]
    step, cone = np.float32(step), np.float32(cone)
    cells, half = bits.shape[1], np.float32(1 << (bits.shape[0] - 1))
    longest = max(step, _2 * half / np.float32(cells))
    starts, ends = np.zeros(rays + 1, np.int64), np.empty(rays, np.float32)
    chunks = (rays + _CHUNK - 1) // _CHUNK
    # A chunk's rays lie close together: the system hands out memory page by page, as it is touched.
    found, blocks = np.empty(chunks * _CHUNK * most, np.float32), occupied_blocks(bits)
    for chunk in nb.prange(chunks):
        at = chunk * _CHUNK * most
        for ray in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, rays)):
            walked = walk(origins[ray], directions[ray], bits, blocks, step, cone, begin[ray], jitter[ray], most, found, at)
            starts[ray + 1], ends[ray] = walked
            at += walked[0]
    for ray in range(rays):
        starts[ray + 1] += starts[ray]
    total = starts[rays]
    index, positions = np.empty(total, np.int64), np.empty((total, 3), np.float32)
    t, dt = np.empty(total, np.float32), np.empty(total, np.float32)
    for chunk in nb.prange(chunks):
        away = chunk * _CHUNK * most - starts[chunk * _CHUNK]
        for ray in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, rays)):
            for k in range(starts[ray], starts[ray + 1]):
                far = found[k + away]
                index[k], t[k], dt[k] = ray, far, min(max(cone * far, step), longest)
                for axis in range(3):
                    positions[k, axis] = origins[ray, axis] + far * directions[ray, axis]
    return starts, index, t, dt, positions, ends
