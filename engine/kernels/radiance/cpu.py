# SPDX-License-Identifier: GPL-3.0-or-later
"""Instant-ngp's field along rays on the processor: from samples to pictures, and back from the loss, while all is in the caches.

Rays are shared out to slots, whatever the number of threads, and each slot sums on its own. Within a slot, a ray's samples get their
densities sixteen at a time until no light is left; what lies behind is never looked at, and where it is learnt from, not even walked
through. When enough samples have come together they get their colours, and their gradients.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import amx, simd
from ..hashgrid.cpu import encode_block
from ..marching.cpu import occupied_blocks, walk
from ..math import OPTIONS, aligned, exp, srgb_encode, srgb_encode_slope
from ..volume.cpu import LEAST, opacity
from .networks import backward, color_forward, density_forward, multiply, packed, spare_room, transposed
from .reference import DIRECTIONS, GEOMETRY, HIDDEN, HUBER, MOST, NEAREST, RAW

SLOTS = 32
# Samples of a slot that get their colours together: their activations fill half of the second cache.
_TOGETHER = 256
# Samples that go back together: what is made on the way stays in the first cache.
_BACK = 64
_MARGIN = 64
# One of so many faint samples stays.
_FEWER = 4
_LANES = simd.WIDTH
_0, _1 = np.float32(0.0), np.float32(1.0)
_MOST, _HUBER, _NEAREST = np.float32(MOST), np.float32(HUBER), np.float32(NEAREST)


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
def _turn(ray, seed):
    """Which of its faint samples is the first of a ray to stay, by chance, from 0 to _FEWER - 1."""
    # Seeds are one after the other, as rays are: one has to be mixed before they meet. And products of unsigned numbers grow to 64 bits
    # unless they are cut.
    bits = np.uint32((np.uint32(ray) ^ np.uint32(np.uint32(seed) * np.uint32(0xC2B2AE35))) * np.uint32(0x9E3779B1))
    bits = np.uint32((bits ^ (bits >> np.uint32(15))) * np.uint32(0x85EBCA77))
    bits = np.uint32((bits ^ (bits >> np.uint32(13))) * np.uint32(0xC2B2AE3D))
    return np.int64(np.uint32(bits ^ (bits >> np.uint32(16))) % np.uint32(_FEWER))


@nb.njit(inline="always", **OPTIONS)
def _move(values, source, target, width):
    for i in range(0, width, _LANES):
        simd.store(values, target * width + i, simd.load(values, source * width + i))


@nb.njit(**OPTIONS)
def _trace(positions, t, dt, first, last, through, scale, table, levels, like, weights, scratch, rows, faint, turn, solid, marks):
    """Densities and weights of a ray's samples first..last, into the rows from ``rows`` on, until no light is left of ``through``.

    Of the samples whose weight is below ``faint``, one of _FEWER stays, when it is its turn, and stands for the others. Neighbours are much
    alike, so that taking turns is closer to the sum than each by its own chance.

    Returns:
        The number of samples that count, of those that stay, the transmittance that is left, and whose turn it is.
    """
    places, index, weight, spare = scratch
    features, hidden, geometry = solid
    density, share, after, counts, far, length, spots = marks
    inputs = len(like) * levels.shape[0]
    k, row = first, rows
    while k < last and through >= LEAST:
        count, at = min(_LANES, last - k), row
        _places(positions, k, count, scale, places)
        encode_block(places, count, table, levels, like, index, weight, features, at * inputs)
        density_forward(features, at, (count + 3) // 4 * 4, inputs, weights, hidden, geometry, spare)
        for s in range(count):
            if through < LEAST:
                break
            thick = exp(min(geometry[(at + s) * GEOMETRY], _MOST))
            w = through * opacity(thick * dt[k])
            through -= w
            k += 1
            if w < faint:
                turn = (turn + 1) % _FEWER
                if turn:
                    continue
            if row < at + s:
                _move(features, at + s, row, inputs)
                _move(hidden, at + s, row, HIDDEN)
                _move(geometry, at + s, row, GEOMETRY)
            density[row], share[row], after[row], far[row], length[row] = thick, w, through, t[k - 1], dt[k - 1]
            counts[row] = np.float32(_FEWER) if w < faint else _1
            for axis in range(3):
                spots[3 * row + axis] = places[axis * _LANES + s]
            row += 1
    return k - first, row - rows, through, turn


@nb.njit(**OPTIONS)
def _colors(harmonics, rays, begins, inputs, weights, matrices, spare, solid, tinted):
    """Colours of the samples of rays; ray i of them has the rows begins[i]..begins[i + 1]. They take the place of the logits in raw.

    ``weights`` are those as they are, for the directions, one product a ray; ``matrices`` what networks wants for the products of samples.

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
        color_forward(geometry, row, min(_BACK, padded - row), inputs, matrices, first, second, raw, spare)
    for at in range(0, padded * RAW, _LANES):
        simd.store(raw, at, _1 / (_1 + simd.exp(-simd.load(raw, at))))
    return padded


@nb.njit(**OPTIONS)
def _composite(rays, begins, marks, raw, color, depth, alpha):
    _, share, _, _, t, _, _ = marks
    for i in range(rays.size):
        ray = rays[i]
        red, green, blue, far, full = _0, _0, _0, _0, _0
        for row in range(begins[i], begins[i + 1]):
            w = share[row]
            red += w * raw[row * RAW]
            green += w * raw[row * RAW + 1]
            blue += w * raw[row * RAW + 2]
            far += w * t[row]
            full += w
        color[ray, 0], color[ray, 1], color[ray, 2], depth[ray], alpha[ray] = red, green, blue, far, full


@nb.njit(inline="always", **OPTIONS)
def _bounds(rays, slot):
    return rays * slot // SLOTS, rays * (slot + 1) // SLOTS


def room(most: int, expected: int) -> int:
    """The places that a slot of :func:`learn` needs for rays of at most so many samples, where twice as many as expected may come."""
    return 2 * expected + _TOGETHER + most + _MARGIN


@nb.njit(**OPTIONS)
def _longest(starts):
    longest = 0
    for ray in range(starts.size - 1):
        longest = max(longest, starts[ray + 1] - starts[ray])
    return longest


@nb.njit(**OPTIONS)
def _buffers(capacity, inputs):
    """Activations: features, hidden and geometry; first, second and raw. And of each sample its density, its weight, the transmittance
    after it, how many it stands for, its distance, its length, and its place in [0, 1]."""
    return (
        (_rows(capacity, inputs), _rows(capacity, HIDDEN), _rows(capacity, GEOMETRY)),
        (_rows(capacity, HIDDEN), _rows(capacity, HIDDEN), _rows(capacity, RAW)),
        (
            _rows(capacity, 1),
            _rows(capacity, 1),
            _rows(capacity, 1),
            _rows(capacity, 1),
            _rows(capacity, 1),
            _rows(capacity, 1),
            _rows(capacity, 3),
        ),
    )


@nb.njit(**OPTIONS)
def _scratch(inputs, narrow):
    """For sixteen places: themselves, the rows and weights of their cells' corners; and for products, see networks."""
    return _rows(3, _LANES), np.empty(16 * _LANES, np.uint32), _rows(16, _LANES), spare_room(_BACK, inputs, narrow)


@nb.njit(parallel=True, **OPTIONS)
def density(positions, table, levels, like, weights, scale):
    """Densities [P] at positions [P, 3]; the other arguments as for :func:`render`."""
    count, inputs = positions.shape[0], len(like) * levels.shape[0]
    made = np.empty(count, np.float32)
    scale = np.float32(scale)
    chunk = 32 * _LANES
    for part in nb.prange((count + chunk - 1) // chunk):
        (features, hidden, geometry), _, _ = _buffers(_LANES, inputs)
        places, index, weight, spare = _scratch(inputs, False)
        for start in range(part * chunk, min((part + 1) * chunk, count), _LANES):
            some = min(_LANES, count - start)
            _places(positions, start, some, scale, places)
            encode_block(places, some, table, levels, like, index, weight, features, 0)
            density_forward(features, 0, _LANES, inputs, weights, hidden, geometry, spare)
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
        scratch = _scratch(inputs, False)
        rays, begins = np.empty(end - begin, np.int64), np.zeros(end - begin + 1, np.int64)
        held = 0
        for ray in range(begin, end):
            at = begins[held]
            given = (positions, t, dt, starts[ray], starts[ray + 1], _1, scale, table, levels, like, weights, scratch)
            used[ray], kept, _, _ = _trace(*given, at, _0, 0, solid, marks)
            rays[held], begins[held + 1] = ray, at + kept
            held += 1
            if begins[held] >= _TOGETHER or ray == end - 1:
                _colors(harmonics, rays[:held], begins, inputs, weights, weights, scratch[3], solid, tinted)
                _composite(rays[:held], begins, marks, tinted[2], color, depth, alpha)
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


@nb.njit(**OPTIONS)
def _follow(origin, direction, bits, blocks, step, cone, longest, begin, jitter, most, given, rows, faint, turn, solid, marks, block):
    """Walks along a ray and traces what it meets, sixteen samples at a time, until no light is left. ``block`` is scratch for positions,
    distances and lengths of these; all else as for :func:`learn` and :func:`_trace`.

    Returns:
        The number of samples that count, of those that stay, and the transmittance that is left.
    """
    positions, t, dt = block
    seen, row, through = 0, rows, _1
    while through >= LEAST and seen < most:
        count, begin = walk(origin, direction, bits, blocks, step, cone, begin, jitter, min(_LANES, most - seen), t, 0)
        jitter = _0
        for s in range(count):
            dt[s] = min(max(cone * t[s], step), longest)
            for axis in range(3):
                positions[s, axis] = origin[axis] + t[s] * direction[axis]
        counted, kept, through, turn = _trace(positions, t, dt, 0, count, through, *given, row, faint, turn, solid, marks)
        seen, row = seen + counted, row + kept
        if begin == np.inf:
            break
    return seen, row - rows, through


@nb.njit(parallel=True, **OPTIONS)
def learn(
    origins, directions, bits, step, cone, begin, jitter, most, harmonics, table, levels, like, weights, scale, target, background, linear,
    distortion, faint, seed, narrow, places, v_features
):  # fmt: skip
    """Loss and gradients of rays. A slot of which the samples do not fit in its share of ``places`` leaves its last rays out.

    Args:
        origins … most: see marching.Walk. harmonics … scale: as for :func:`render`.
        target: [R, 3] float32 displayed codes. background: [R, 3] in the light of blending. linear: whether that is not the codes.
        distortion: what the distortion of a ray counts beside its colour's error, see reference.
        faint: of samples of less weight some are learnt from for all. seed: of the chance by which these are chosen.
        narrow: whether the networks' products are of bfloat16, which needs amx.available().
        places, v_features: [P, 3 and levels * F] float32, P of at least SLOTS * room(most, 0), receive the samples that count, as
            positions in [0, 1], and the cotangents of their features.

    Returns:
        The loss; cotangents of the weights; segments [SLOTS, 2] int64, from where to where in places and v_features there is something;
        and how many samples the loss is of.
    """
    count, inputs = origins.shape[0], len(like) * levels.shape[0]
    scale, faint, step, cone = np.float32(scale), np.float32(faint), np.float32(step), np.float32(cone)
    longest = max(step, np.float32(1 << bits.shape[0]) / np.float32(bits.shape[1]))
    share_of_loss, distortion = np.float32(1.0 / max(3 * count, 1)), np.float32(distortion / max(count, 1))
    blocks = occupied_blocks(bits)
    capacity, share_of_places = _TOGETHER + most + _MARGIN, places.shape[0] // SLOTS
    # Each slot's on cache lines of its own.
    v_weights, losses = aligned(SLOTS * weights.size).reshape(SLOTS, weights.size), np.zeros(SLOTS)
    segments, counted = np.zeros((SLOTS, 2), np.int64), np.zeros(SLOTS, np.int64)
    flat, matrices, turned_weights = v_features.reshape(-1), weights, transposed(weights, inputs)
    if narrow:
        matrices, turned_weights = packed(weights, inputs, False), packed(turned_weights, inputs, True)
    from_directions = inputs * HIDDEN + HIDDEN * GEOMETRY
    for slot in nb.prange(SLOTS):
        first_ray, end = _bounds(count, slot)
        v_weights[slot] = _0
        solid, tinted, marks = _buffers(capacity, inputs)
        features, hidden, geometry = solid
        first, second, raw = tinted
        thick, share, after, counts, far, length, spots = marks
        v_raw, v_density, v_first = _rows(capacity, RAW), _rows(capacity, 1), _rows(capacity, HIDDEN)
        v_hidden, v_geometry = _rows(_BACK, HIDDEN), _rows(_BACK, GEOMETRY)
        made, v_made, one = np.empty(3, np.float32), _rows(1, RAW), _rows(1, HIDDEN)
        # Only three of the raw numbers are colours.
        v_made[:] = _0
        scratch = _scratch(inputs, narrow)
        spare = scratch[3]
        block = np.empty((_LANES, 3), np.float32), _rows(1, _LANES), _rows(1, _LANES)
        given = (scale, table, levels, like, matrices, scratch)
        rays, begins = np.empty(end - first_ray, np.int64), np.zeros(end - first_ray + 1, np.int64)
        left = np.empty(end - first_ray, np.float32)
        out = share_of_places * slot
        segments[slot, 0] = out
        held, fits = 0, True
        if narrow:
            tiles_before = amx.begin()
        for ray in range(first_ray, end):
            if not fits:
                break
            at = begins[held]
            way = (origins[ray], directions[ray], bits, blocks, step, cone, longest, begin[ray], jitter[ray], most)
            seen, kept, left[held] = _follow(*way, given, at, faint, _turn(ray, seed), solid, marks, block)
            counted[slot] += seen
            rays[held], begins[held + 1] = ray, at + kept
            held += 1
            fits = out + begins[held] + most + _MARGIN <= share_of_places * (slot + 1)
            if begins[held] < _TOGETHER and ray < end - 1 and fits:
                continue
            rows, padded = begins[held], _colors(harmonics, rays[:held], begins, inputs, weights, matrices, spare, solid, tinted)
            for i in range(held):
                one_ray = rays[i]
                made[:] = _0
                for row in range(begins[i], begins[i + 1]):
                    for c in range(3):
                        made[c] += counts[row] * share[row] * raw[row * RAW + c]
                loss, v_through = _loss(made, left[i], target[one_ray], background[one_ray], linear, share_of_loss, v_made)
                losses[slot] += loss
                red, green, blue = v_made[0], v_made[1], v_made[2]
                # For the distortion, see reference: depths, and how far each sample is from those before it, in places that cotangents
                # take later.
                full, before, last = _0, _0, _0
                for row in range(begins[i], begins[i + 1]):
                    depth = np.log(max(far[row], _NEAREST))
                    before += full * (depth - last)
                    v_raw[row * RAW], v_density[row] = depth, before
                    full, last = full + counts[row] * share[row], depth
                behind, full, beyond = _0, _0, _0
                for row in range(begins[i + 1] - 1, begins[i] - 1, -1):
                    w = counts[row] * share[row]
                    gain = red * raw[row * RAW] + green * raw[row * RAW + 1] + blue * raw[row * RAW + 2] - v_through
                    beyond += full * (last - v_raw[row * RAW])
                    full, last = full + w, v_raw[row * RAW]
                    apart = v_density[row] + beyond + share[row] * length[row] / (np.float32(3.0) * max(far[row], _NEAREST))
                    losses[slot] += distortion * w * apart
                    gain += distortion * np.float32(2.0) * apart
                    # As in volume, and on to the logarithm of the density.
                    v_density[row] = counts[row] * _slope(thick[row]) * length[row] * (after[row] * gain - behind)
                    behind += w * gain
                    shown = simd.load(raw, row * RAW)
                    simd.store(v_raw, row * RAW, w * shown * (_1 - shown) * simd.load(v_made, 0))
                    for axis in range(3):
                        places[out + row, axis] = spots[3 * row + axis]
            v_density[rows:padded] = _0
            v_raw[rows * RAW : padded * RAW] = _0
            for row in range(0, padded, _BACK):
                some = min(_BACK, padded - row)
                backward(
                    features, hidden, geometry, first, second, row, some, inputs, turned_weights,
                    v_raw, v_density, v_hidden, v_first, v_geometry, flat, out + row, v_weights[slot], spare,
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
        if narrow:
            amx.end(tiles_before)
    total = np.zeros(weights.size, np.float32)
    for slot in range(SLOTS):
        total += v_weights[slot]
    return losses.sum(), total, segments, counted.sum()


@nb.njit(inline="always", **OPTIONS)
def _slope(density):
    """Of the density by its logarithm; none where that was cut off."""
    return density if density < np.float32(np.exp(MOST) * 0.999) else _0
