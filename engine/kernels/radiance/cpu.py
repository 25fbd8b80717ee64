# SPDX-License-Identifier: GPL-3.0-or-later
"""Instant-ngp's field along rays on the processor: from samples to pictures, and back from the loss, while all is in the caches.

Rays are shared out to slots, whatever the number of threads, and each slot sums on its own. Within a slot, a ray's samples get their
densities sixteen at a time until no light is left; what lies behind is never looked at. When enough samples have come together they get
their colours, and their gradients.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import simd
from ..hashgrid.cpu import encode_block
from ..math import OPTIONS, aligned, exp, srgb_encode, srgb_encode_slope
from ..volume.cpu import LEAST, opacity
from .networks import backward, color_forward, density_forward, multiply, transposed
from .reference import DIRECTIONS, GEOMETRY, HIDDEN, HUBER, MOST, RAW

SLOTS = 32
# Samples of a slot that get their colours together: their activations fill half of the second cache.
_TOGETHER = 256
# Samples that go back together: what is made on the way stays in the first cache.
_BACK = 64
_MARGIN = 64
# The share of rare samples that stays.
_KEPT = np.float32(0.25)
_LANES = simd.WIDTH
_0, _1 = np.float32(0.0), np.float32(1.0)
_MOST, _HUBER = np.float32(MOST), np.float32(HUBER)


@nb.njit(**OPTIONS)
def _rows(count, columns):
    """Uninitialised flat float32 on a cache line's edge."""
    return aligned(count * columns)


@nb.njit(inline="always", **OPTIONS)
def _places(positions, start, count, scale, places):
    """Sixteen positions from the field's space to [0, 1]."""
    for s in range(_LANES):
        for axis in range(3):
            places[axis * _LANES + s] = positions[start + s, axis] * scale + np.float32(0.5) if s < count else _0


@nb.njit(inline="always", **OPTIONS)
def _chance(sample, seed):
    """A number in [0, 1) of a sample and a seed."""
    # Products of unsigned numbers grow to 64 bits unless they are cut.
    bits = np.uint32((np.uint32(sample) ^ np.uint32(seed)) * np.uint32(0x9E3779B1))
    bits = np.uint32((bits ^ (bits >> np.uint32(15))) * np.uint32(0x85EBCA77))
    bits = np.uint32((bits ^ (bits >> np.uint32(13))) * np.uint32(0xC2B2AE3D))
    return np.float32(np.uint32(bits ^ (bits >> np.uint32(16))) >> np.uint32(8)) * np.float32(1 / (1 << 24))


@nb.njit(inline="always", **OPTIONS)
def _move(values, source, target, width):
    for i in range(0, width, _LANES):
        simd.store(values, target * width + i, simd.load(values, source * width + i))


@nb.njit(**OPTIONS)
def _trace(positions, dt, first, last, scale, table, levels, like, weights, scratch, rows, rare, seed, solid, marks):
    """Densities and weights of a ray's samples first..last, into the rows from ``rows`` on, until no light is left.

    Of the samples whose weight is below ``rare``, only a share stays, by chance, which then stands for the others.

    Returns:
        The number of samples that count, of those that stay, and the transmittance that is left.
    """
    places, index, weight = scratch
    features, hidden, geometry = solid
    density, share, after, counts, source = marks
    inputs = len(like) * levels.shape[0]
    through, k, row = _1, first, rows
    while k < last and through >= LEAST:
        count, at = min(_LANES, last - k), row
        _places(positions, k, count, scale, places)
        encode_block(places, count, table, levels, like, index, weight, features, at * inputs)
        density_forward(features, at, (count + 3) // 4 * 4, inputs, weights, hidden, geometry)
        for s in range(count):
            if through < LEAST:
                break
            thick = exp(min(geometry[(at + s) * GEOMETRY], _MOST))
            w = through * opacity(thick * dt[k])
            through -= w
            k += 1
            if w < rare and _chance(k, seed) >= _KEPT:
                continue
            if row < at + s:
                _move(features, at + s, row, inputs)
                _move(hidden, at + s, row, HIDDEN)
                _move(geometry, at + s, row, GEOMETRY)
            density[row], share[row], after[row], source[row] = thick, w, through, k - 1
            counts[row] = _1 / _KEPT if w < rare else _1
            row += 1
    return k - first, row - rows, through


@nb.njit(**OPTIONS)
def _colors(harmonics, rays, begins, inputs, weights, solid, tinted):
    """Colours of the samples of rays; ray i of them has the rows begins[i]..begins[i + 1]. They take the place of the logits in raw.

    Returns the number of rows with those that fill the last block, which are zero.
    """
    features, hidden, geometry = solid
    first, second, raw = tinted
    rows = begins[rays.size]
    padded = (rows + _LANES - 1) // _LANES * _LANES
    # Whatever lies in memory there, NaN too, would go into sums.
    features[rows * inputs : padded * inputs] = _0
    hidden[rows * HIDDEN : padded * HIDDEN] = _0
    geometry[rows * GEOMETRY : padded * GEOMETRY] = _0
    first[rows * HIDDEN : padded * HIDDEN] = _0
    turned = inputs * HIDDEN + HIDDEN * GEOMETRY
    one = _rows(1, HIDDEN)
    for i in range(rays.size):
        if begins[i] == begins[i + 1]:
            continue
        one[:] = _0
        ray = rays[i]
        for d in range(DIRECTIONS):
            factor = simd.broadcast(harmonics[ray, d])
            for c in range(0, HIDDEN, _LANES):
                simd.store(one, c, simd.load(one, c) + factor * simd.load(weights, turned + d * HIDDEN + c))
        for row in range(begins[i], begins[i + 1]):
            for c in range(0, HIDDEN, _LANES):
                simd.store(first, row * HIDDEN + c, simd.load(one, c))
    for row in range(0, padded, _BACK):
        color_forward(geometry, row, min(_BACK, padded - row), inputs, weights, first, second, raw)
    for at in range(0, padded * RAW, _LANES):
        simd.store(raw, at, _1 / (_1 + simd.exp(-simd.load(raw, at))))
    return padded


@nb.njit(**OPTIONS)
def _composite(rays, begins, t, marks, raw, color, depth, alpha):
    _, share, _, _, source = marks
    for i in range(rays.size):
        ray = rays[i]
        red, green, blue, far, full = _0, _0, _0, _0, _0
        for row in range(begins[i], begins[i + 1]):
            w = share[row]
            red += w * raw[row * RAW]
            green += w * raw[row * RAW + 1]
            blue += w * raw[row * RAW + 2]
            far += w * t[source[row]]
            full += w
        color[ray, 0], color[ray, 1], color[ray, 2], depth[ray], alpha[ray] = red, green, blue, far, full


@nb.njit(inline="always", **OPTIONS)
def _bounds(rays, slot):
    return rays * slot // SLOTS, rays * (slot + 1) // SLOTS


@nb.njit(**OPTIONS)
def _longest(starts):
    longest = 0
    for ray in range(starts.size - 1):
        longest = max(longest, starts[ray + 1] - starts[ray])
    return longest


@nb.njit(**OPTIONS)
def _buffers(capacity, inputs):
    """Activations: features, hidden and geometry; first, second and raw. And of each sample its density, its weight, the transmittance
    after it, how many it stands for, and which it is."""
    return (
        (_rows(capacity, inputs), _rows(capacity, HIDDEN), _rows(capacity, GEOMETRY)),
        (_rows(capacity, HIDDEN), _rows(capacity, HIDDEN), _rows(capacity, RAW)),
        (_rows(capacity, 1), _rows(capacity, 1), _rows(capacity, 1), _rows(capacity, 1), np.empty(capacity, np.int64)),
    )


@nb.njit(**OPTIONS)
def _scratch():
    return _rows(3, _LANES), np.empty(8 * _LANES, np.uint32), _rows(8, _LANES)


@nb.njit(parallel=True, **OPTIONS)
def density(positions, table, levels, like, weights, scale):
    """Densities [P] at positions [P, 3]; the other arguments as for :func:`render`."""
    count, inputs = positions.shape[0], len(like) * levels.shape[0]
    made = np.empty(count, np.float32)
    scale = np.float32(scale)
    chunk = 32 * _LANES
    for part in nb.prange((count + chunk - 1) // chunk):
        (features, hidden, geometry), _, _ = _buffers(_LANES, inputs)
        places, index, weight = _scratch()
        for start in range(part * chunk, min((part + 1) * chunk, count), _LANES):
            some = min(_LANES, count - start)
            _places(positions, start, some, scale, places)
            encode_block(places, some, table, levels, like, index, weight, features, 0)
            density_forward(features, 0, _LANES, inputs, weights, hidden, geometry)
            for s in range(some):
                made[start + s] = exp(min(geometry[s * GEOMETRY], _MOST))
    return made


@nb.njit(parallel=True, **OPTIONS)
def render(starts, t, dt, positions, harmonics, table, levels, like, weights, scale):
    """Colour, depth and alpha of rays.

    Args:
        starts, t, dt, positions: see marching.Samples. harmonics: [R, 16] float32 of the rays' directions.
        table: flat float32, levels, like: see hashgrid. weights: flat, see networks. scale: 1 over the side of the field's cube.

    Returns:
        [R, 3], [R], [R] float32, and how many samples of each ray count [R] int64.
    """
    count, inputs = starts.size - 1, len(like) * levels.shape[0]
    color, depth, alpha = np.empty((count, 3), np.float32), np.empty(count, np.float32), np.empty(count, np.float32)
    used = np.empty(count, np.int64)
    scale = np.float32(scale)
    capacity = _TOGETHER + _longest(starts) + _MARGIN
    for slot in nb.prange(SLOTS):
        begin, end = _bounds(count, slot)
        solid, tinted, marks = _buffers(capacity, inputs)
        scratch = _scratch()
        rays, begins = np.empty(end - begin, np.int64), np.zeros(end - begin + 1, np.int64)
        held = 0
        for ray in range(begin, end):
            at = begins[held]
            given = (positions, dt, starts[ray], starts[ray + 1], scale, table, levels, like, weights, scratch)
            used[ray], kept, _ = _trace(*given, at, _0, 0, solid, marks)
            rays[held], begins[held + 1] = ray, at + kept
            held += 1
            if begins[held] >= _TOGETHER or ray == end - 1:
                _colors(harmonics, rays[:held], begins, inputs, weights, solid, tinted)
                _composite(rays[:held], begins, t, marks, tinted[2], color, depth, alpha)
                held = 0
    return color, depth, alpha, used


@nb.njit(**OPTIONS)
def _loss(made, through, target, background, linear, scale, v_made):
    """Huber's loss of one ray over its background, times ``scale``, and its cotangents: of the colour [3] and the transmittance."""
    total, v_through = _0, _0
    for c in range(3):
        light = made[c] + through * background[c]
        error = (srgb_encode(light) if linear else light) - target[c]
        size = abs(error)
        total += error * error * (np.float32(0.5) / _HUBER) if size < _HUBER else size - np.float32(0.5) * _HUBER
        v = min(max(error / _HUBER, -_1), _1) * scale
        v = v * srgb_encode_slope(light) if linear else v
        v_made[c] = v
        v_through += v * background[c]
    return total * scale, v_through


@nb.njit(parallel=True, **OPTIONS)
def learn(
    starts, t, dt, positions, harmonics, table, levels, like, weights, scale, target, background, linear, rare, seed, places, v_features
):
    """Loss and gradients of rays.

    Args:
        starts … scale: as for :func:`render`.
        target: [R, 3] float32 displayed codes. background: [R, 3] in the light of blending. linear: whether that is not the codes.
        rare: samples of less weight are learnt from by chance, a share of them for all. seed: of that chance.
        places, v_features: [>= S + 64 (SLOTS + 1), 3 and levels * F] float32, receive the samples that count, as positions in [0, 1], and
            the cotangents of their features.

    Returns:
        The loss; cotangents of the weights; segments [SLOTS, 2] int64, from where to where in places and v_features there is something;
        and how many samples the loss is of.
    """
    count, inputs = starts.size - 1, len(like) * levels.shape[0]
    scale, rare = np.float32(scale), np.float32(rare)
    share_of_loss = np.float32(1.0 / max(3 * count, 1))
    capacity = _TOGETHER + _longest(starts) + _MARGIN
    v_weights, losses = np.zeros((SLOTS, weights.size), np.float32), np.zeros(SLOTS)
    segments, counted = np.zeros((SLOTS, 2), np.int64), np.zeros(SLOTS, np.int64)
    flat, turned_weights = v_features.reshape(-1), transposed(weights, inputs)
    from_directions = inputs * HIDDEN + HIDDEN * GEOMETRY
    for slot in nb.prange(SLOTS):
        begin, end = _bounds(count, slot)
        solid, tinted, marks = _buffers(capacity, inputs)
        features, hidden, geometry = solid
        first, second, raw = tinted
        thick, share, after, counts, source = marks
        v_raw, v_density, v_first = _rows(capacity, RAW), _rows(capacity, 1), _rows(capacity, HIDDEN)
        v_hidden, v_geometry = _rows(_BACK, HIDDEN), _rows(_BACK, GEOMETRY)
        made, v_made, one = np.empty(3, np.float32), _rows(1, RAW), _rows(1, HIDDEN)
        # Only three of the raw numbers are colours.
        v_made[:] = _0
        scratch = _scratch()
        rays, begins = np.empty(end - begin, np.int64), np.zeros(end - begin + 1, np.int64)
        left = np.empty(end - begin, np.float32)
        out = starts[begin] + _MARGIN * slot
        segments[slot, 0] = out
        held = 0
        for ray in range(begin, end):
            at = begins[held]
            given = (positions, dt, starts[ray], starts[ray + 1], scale, table, levels, like, weights, scratch)
            seen, kept, left[held] = _trace(*given, at, rare, seed, solid, marks)
            counted[slot] += seen
            rays[held], begins[held + 1] = ray, at + kept
            held += 1
            if begins[held] < _TOGETHER and ray < end - 1:
                continue
            rows, padded = begins[held], _colors(harmonics, rays[:held], begins, inputs, weights, solid, tinted)
            for i in range(held):
                one_ray = rays[i]
                made[:] = _0
                for row in range(begins[i], begins[i + 1]):
                    for c in range(3):
                        made[c] += counts[row] * share[row] * raw[row * RAW + c]
                loss, v_through = _loss(made, left[i], target[one_ray], background[one_ray], linear, share_of_loss, v_made)
                losses[slot] += loss
                red, green, blue = v_made[0], v_made[1], v_made[2]
                behind = _0
                for row in range(begins[i + 1] - 1, begins[i] - 1, -1):
                    w, k = counts[row] * share[row], source[row]
                    gain = red * raw[row * RAW] + green * raw[row * RAW + 1] + blue * raw[row * RAW + 2] - v_through
                    # As in volume, and on to the logarithm of the density.
                    v_density[row] = counts[row] * _slope(thick[row]) * dt[k] * (after[row] * gain - behind)
                    behind += w * gain
                    shown = simd.load(raw, row * RAW)
                    simd.store(v_raw, row * RAW, w * shown * (_1 - shown) * simd.load(v_made, 0))
                    for axis in range(3):
                        places[out + row, axis] = positions[k, axis] * scale + np.float32(0.5)
            v_density[rows:padded] = _0
            v_raw[rows * RAW : padded * RAW] = _0
            for row in range(0, padded, _BACK):
                some = min(_BACK, padded - row)
                backward(
                    features, hidden, geometry, first, second, row, some, inputs, turned_weights,
                    v_raw, v_density, v_hidden, v_first, v_geometry, flat, out + row, v_weights[slot],
                )  # fmt: skip
            for i in range(held):
                if begins[i] == begins[i + 1]:
                    continue
                one[:] = _0
                for row in range(begins[i], begins[i + 1]):
                    for c in range(0, HIDDEN, _LANES):
                        simd.store(one, c, simd.load(one, c) + simd.load(v_first, row * HIDDEN + c))
                harmonic = harmonics[rays[i]]
                multiply(harmonic, 0, 1, 1, one, 0, v_weights[slot], from_directions, DIRECTIONS, 1, HIDDEN, True)
            out += rows
            held = 0
        segments[slot, 1] = out
    total = np.zeros(weights.size, np.float32)
    for slot in range(SLOTS):
        total += v_weights[slot]
    return losses.sum(), total, segments, counted.sum()


@nb.njit(inline="always", **OPTIONS)
def _slope(density):
    """Of the density by its logarithm; none where that was cut off."""
    return density if density < np.float32(np.exp(MOST) * 0.999) else _0
