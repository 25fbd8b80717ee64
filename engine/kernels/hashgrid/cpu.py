# SPDX-License-Identifier: GPL-3.0-or-later
"""Hash encoding on the processor: rows and weights of sixteen samples at a time, then each sample's eight corners.

Forward, threads share samples. Backward, they share levels: a level's gradients fit the second cache, and each sum has one order.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .. import simd
from ..math import OPTIONS
from . import reference

WIDTH = simd.WIDTH
_CORNERS = 8
_BLOCK = _CORNERS * WIDTH
_BLOCKS = 8
_1 = np.float32(1.0)
_PRIME_Y, _PRIME_Z = np.uint32(reference.PRIMES[1]), np.uint32(reference.PRIMES[2])
_BETA1, _BETA2, _EPSILON = (np.float32(value) for value in (reference.BETA1, reference.BETA2, reference.EPSILON))


def _row_at(context, builder, kind, array, row, *indices):
    """Pointer to a row of features at the sum of flat indices."""
    pointer = context.make_array(kind)(context, builder, array).data
    for index in indices:
        # One after the other: what is the same for all samples is then added once.
        pointer = cgutils.gep_inbounds(builder, pointer, index)
    return builder.bitcast(pointer, row.as_pointer())


def _corner(context, builder, sig, index, weight, corner, sample, row):
    """The flat index of a corner's row within its level, and its weight, repeated for each feature."""
    at = builder.add(sample, ir.Constant(sample.type, corner * WIDTH))
    rows = context.make_array(sig.args[0])(context, builder, index)
    weights = context.make_array(sig.args[1])(context, builder, weight)
    which = builder.zext(builder.load(cgutils.gep_inbounds(builder, rows.data, at)), ir.IntType(64))
    share = builder.load(cgutils.gep_inbounds(builder, weights.data, at))
    nothing = ir.Constant(row, ir.Undefined)
    first = builder.insert_element(nothing, share, ir.Constant(ir.IntType(32), 0))
    shares = builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), row.count), [0] * row.count))
    return which, shares


@intrinsic
def _gather(typingctx, index, weight, sample, table, first, out, place, like):
    """out[place : place + F] = the weighted sum of a sample's eight rows; ``first`` is the level's flat index in the table."""
    row = ir.VectorType(ir.FloatType(), len(like))

    def codegen(context, builder, sig, values):
        index, weight, sample, table, first, out, place, _ = values
        total = ir.Constant(row, [0.0] * row.count)
        for corner in range(_CORNERS):
            which, shares = _corner(context, builder, sig, index, weight, corner, sample, row)
            features = builder.load(_row_at(context, builder, sig.args[3], table, row, first, which), align=4)
            total = builder.fadd(total, builder.fmul(features, shares))
        builder.store(total, _row_at(context, builder, sig.args[5], out, row, place), align=4)
        return context.get_dummy_value()

    return types.void(index, weight, types.int64, table, types.int64, out, types.int64, like), codegen


@intrinsic
def _scatter(typingctx, index, weight, sample, v_table, first, v_features, place, like):
    """Adds v_features[place : place + F] to a sample's eight rows by their weights, one after the other, since two may be the same."""
    row = ir.VectorType(ir.FloatType(), len(like))

    def codegen(context, builder, sig, values):
        index, weight, sample, v_table, first, v_features, place, _ = values
        given = builder.load(_row_at(context, builder, sig.args[5], v_features, row, place), align=4)
        for corner in range(_CORNERS):
            which, shares = _corner(context, builder, sig, index, weight, corner, sample, row)
            target = _row_at(context, builder, sig.args[3], v_table, row, first, which)
            builder.store(builder.fadd(builder.load(target, align=4), builder.fmul(given, shares)), target, align=4)
        return context.get_dummy_value()

    return types.void(index, weight, types.int64, v_table, types.int64, v_features, types.int64, like), codegen


# Of 32 bits whatever they are made of: sums and products of unsigned numbers grow to 64 in Numba, and fill half the lanes.
@nb.njit(inline="always", **OPTIONS)
def _plus(a, b):
    return np.uint32(a + b)


@nb.njit(inline="always", **OPTIONS)
def _times(a, b):
    return np.uint32(np.uint32(a) * np.uint32(b))


@nb.njit(inline="always", **OPTIONS)
def _mixed(a, b, c, mask):
    return np.uint32(np.uint32(np.uint32(a ^ b) ^ c) & mask)


@nb.njit(inline="always", **OPTIONS)
def _clamped(x, most):
    """From 0 to ``most``; 0 for NaN, which min and max keep, and which would become any index."""
    x = x if x > np.float32(0.0) else np.float32(0.0)
    return x if x < most else most


@nb.njit(inline="always", **OPTIONS)
def _corners(places, cells, rows, features, index, weight):
    """Flat indices and weights of the corners about sixteen places: places [3 * 16], index and weight [8 * 16]."""
    most, last = np.float32(cells), np.int32(cells - 1)
    dense = (cells + 1) ** 3 <= rows
    # Rows have a power of two of features, so a flat index is as well mixed of flat ones.
    along, mask = np.uint32(features), _times(rows - 1, features)
    up = _times(cells + 1, along) if dense else _times(_PRIME_Y, along)
    deep = _times(up, cells + 1) if dense else _times(_PRIME_Z, along)
    for s in range(WIDTH):
        x, y, z = _clamped(places[s] * most, most), _clamped(places[WIDTH + s] * most, most), _clamped(places[2 * WIDTH + s] * most, most)
        i, j, k = min(np.int32(x), last), min(np.int32(y), last), min(np.int32(z), last)
        x, y, z = x - np.float32(i), y - np.float32(j), z - np.float32(k)
        a, b, c = _times(i, along), _times(j, up), _times(k, deep)
        a1, b1, c1 = _plus(a, along), _plus(b, up), _plus(c, deep)
        if dense:
            ab, a1b, ab1, a1b1 = _plus(a, b), _plus(a1, b), _plus(a, b1), _plus(a1, b1)
            index[s], index[WIDTH + s] = _plus(ab, c), _plus(a1b, c)
            index[2 * WIDTH + s], index[3 * WIDTH + s] = _plus(ab1, c), _plus(a1b1, c)
            index[4 * WIDTH + s], index[5 * WIDTH + s] = _plus(ab, c1), _plus(a1b, c1)
            index[6 * WIDTH + s], index[7 * WIDTH + s] = _plus(ab1, c1), _plus(a1b1, c1)
        else:
            index[s], index[WIDTH + s] = _mixed(a, b, c, mask), _mixed(a1, b, c, mask)
            index[2 * WIDTH + s], index[3 * WIDTH + s] = _mixed(a, b1, c, mask), _mixed(a1, b1, c, mask)
            index[4 * WIDTH + s], index[5 * WIDTH + s] = _mixed(a, b, c1, mask), _mixed(a1, b, c1, mask)
            index[6 * WIDTH + s], index[7 * WIDTH + s] = _mixed(a, b1, c1, mask), _mixed(a1, b1, c1, mask)
        u, v, w = _1 - x, _1 - y, _1 - z
        vw, yw, vz, yz = v * w, y * w, v * z, y * z
        weight[s], weight[WIDTH + s], weight[2 * WIDTH + s], weight[3 * WIDTH + s] = u * vw, x * vw, u * yw, x * yw
        weight[4 * WIDTH + s], weight[5 * WIDTH + s] = u * vz, x * vz
        weight[6 * WIDTH + s], weight[7 * WIDTH + s] = u * yz, x * yz


@nb.njit(**OPTIONS)
def encode_block(places, count, table, levels, like, index, weight, out, place):
    """Encodes the first ``count`` of sixteen places.

    Args:
        places: [3 * 16] float32, x, y and z side by side. table: flat. levels, like: Layout.table and Layout.like.
        index, weight: [2 * 8 * 16] uint32 and float32, scratch.
        out: flat, receives a row of features for each place from ``place`` on.
    """
    features = len(like)
    width = features * levels.shape[0]
    _corners(places, levels[0, 0], levels[0, 2], features, index[:_BLOCK], weight[:_BLOCK])
    for level in range(levels.shape[0]):
        at = level % 2 * _BLOCK
        if level + 1 < levels.shape[0]:
            # A level's rows are far apart in memory: they are on their way while those of the level before are summed.
            other, first = _BLOCK - at, features * levels[level + 1, 1]
            _corners(places, levels[level + 1, 0], levels[level + 1, 2], features, index[other:], weight[other:])
            for corner in range(other, other + _BLOCK):
                simd.prefetch(table, first + np.int64(index[corner]))
        for s in range(count):
            _gather(index, weight, at + s, table, features * levels[level, 1], out, place + s * width + features * level, like)


@nb.njit(inline="always", **OPTIONS)
def _take(positions, start, count, places):
    for s in range(WIDTH):
        for axis in range(3):
            places[axis * WIDTH + s] = positions[start + s, axis] if s < count else np.float32(0.0)


@nb.njit(parallel=True, **OPTIONS)
def encode(positions, table, levels, like, features):
    """Writes the features [S, levels * F] of positions [S, 3]."""
    samples, flat = positions.shape[0], features.reshape(-1)
    step = _BLOCKS * WIDTH
    for chunk in nb.prange((samples + step - 1) // step):
        places, index, weight = np.empty(3 * WIDTH, np.float32), np.empty(2 * _BLOCK, np.uint32), np.empty(2 * _BLOCK, np.float32)
        for start in range(chunk * step, min((chunk + 1) * step, samples), WIDTH):
            count = min(WIDTH, samples - start)
            _take(positions, start, count, places)
            encode_block(places, count, table, levels, like, index, weight, flat, start * features.shape[1])


@nb.njit(**OPTIONS)
def _level_backward(positions, v_features, segments, level, cells, rows, like, v_table, first):
    """Adds a level's gradients to its rows, from the flat index ``first`` on."""
    width, flat = v_features.shape[1], v_features.reshape(-1)
    places, index, weight = np.empty(3 * WIDTH, np.float32), np.empty(8 * WIDTH, np.uint32), np.empty(8 * WIDTH, np.float32)
    for segment in range(segments.shape[0]):
        for start in range(segments[segment, 0], segments[segment, 1], WIDTH):
            count = min(WIDTH, segments[segment, 1] - start)
            _take(positions, start, count, places)
            _corners(places, cells, rows, len(like), index, weight)
            for s in range(count):
                _scatter(index, weight, s, v_table, first, flat, (start + s) * width + len(like) * level, like)


@nb.njit(parallel=True, **OPTIONS)
def backward(positions, v_features, segments, levels, like, v_table, workers):
    """Adds the gradients of the table to v_table, flat; arguments as for backward_and_step."""
    count = levels.shape[0]
    for worker in nb.prange(workers):
        for level in range(worker, count, workers):
            cells, first, rows = levels[level]
            _level_backward(positions, v_features, segments, level, cells, rows, like, v_table, len(like) * first)


@nb.njit(parallel=True, **OPTIONS)
def backward_and_step(
    positions, v_features, segments, levels, like, table, first_moment, second_moment, gradients, rate, correction2, workers
):
    """Gradients of the table, and a step of Adam on the rows that have any; others are left as they are, moments too.

    Args:
        positions: [S, 3]. v_features: [S, levels * F]. segments: [G, 2] int64, from where to where in both the samples lie.
        levels, like: Layout.table and Layout.like.
        table, first_moment, second_moment: flat, changed.
        gradients: flat like the table, zero before and after.
        rate: learning rate over 1 - BETA1^t. correction2: 1 / (1 - BETA2^t). workers: number of threads.
    """
    count = levels.shape[0]
    rate, correction2 = np.float32(rate), np.float32(correction2)
    for worker in nb.prange(workers):
        for level in range(worker, count, workers):
            cells, begin, rows = levels[level]
            _level_backward(positions, v_features, segments, level, cells, rows, like, gradients, len(like) * begin)
            nothing = simd.broadcast(np.float32(0.0))
            for i in range(len(like) * begin, len(like) * (begin + rows), WIDTH):
                gradient = simd.load(gradients, i)
                touched = simd.absolute(gradient) > np.float32(0.0)
                if simd.any_of(touched):
                    simd.store(gradients, i, nothing)
                    one, two, value = simd.load(first_moment, i), simd.load(second_moment, i), simd.load(table, i)
                    new_one = _BETA1 * one + (_1 - _BETA1) * gradient
                    new_two = _BETA2 * two + (_1 - _BETA2) * gradient * gradient
                    moved = value - rate * new_one / (simd.sqrt(new_two * correction2) + _EPSILON)
                    simd.store(first_moment, i, simd.where(touched, new_one, one))
                    simd.store(second_moment, i, simd.where(touched, new_two, two))
                    simd.store(table, i, simd.where(touched, moved, value))
