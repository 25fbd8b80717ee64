# SPDX-License-Identifier: GPL-3.0-or-later
"""The two small networks of instant-ngp on blocks of samples, a sample in a row: products of matrices small enough for the caches.

Weights lie in one flat array, matrix after matrix, each [inputs, outputs]; see reference.shapes for their order. Where ``spare`` of
:func:`spare_room` has room, products are of bfloat16 by the processor's units for matrices, and weights as :func:`packed` makes them.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import amx, simd
from ..math import OPTIONS, aligned
from .reference import DIRECTIONS, GEOMETRY, HIDDEN, RAW

_0 = np.float32(0.0)


@nb.njit(**OPTIONS)
def multiply(a, a_at, a_row, a_deep, b, b_at, out, out_at, rows, deep, columns, add):
    """out[r, c] = sum over d of a[r, d] b[d, c], added to what is there where ``add`` is true.

    Args:
        a, b, out: flat float32, from a_at, b_at and out_at on. Element (r, d) of a lies at r a_row + d a_deep; b and out have rows of
            ``columns`` elements.
        rows: a multiple of 4. columns: a multiple of 16.
    """
    if columns % 64 == 0:
        for c in range(0, columns, 64):
            for r in range(0, rows, 4):
                tile = simd.zeros(16)
                for d in range(deep):
                    tile = simd.multiply_add(tile, a, a_at + r * a_row + d * a_deep, a_row, b, b_at + d * columns + c, 4)
                if add:
                    tile = simd.add_tile(tile, out, out_at + r * columns + c, columns, 4)
                simd.store_tile(tile, out, out_at + r * columns + c, columns, 4)
        return
    if columns % 32 == 0 and rows % 8 == 0:
        for c in range(0, columns, 32):
            for r in range(0, rows, 8):
                tile = simd.zeros(16)
                for d in range(deep):
                    tile = simd.multiply_add(tile, a, a_at + r * a_row + d * a_deep, a_row, b, b_at + d * columns + c, 2)
                if add:
                    tile = simd.add_tile(tile, out, out_at + r * columns + c, columns, 2)
                simd.store_tile(tile, out, out_at + r * columns + c, columns, 2)
        return
    for c in range(0, columns, 16):
        r = 0
        while r + 16 <= rows:
            tile = simd.zeros(16)
            for d in range(deep):
                tile = simd.multiply_add(tile, a, a_at + r * a_row + d * a_deep, a_row, b, b_at + d * columns + c, 1)
            if add:
                tile = simd.add_tile(tile, out, out_at + r * columns + c, columns, 1)
            simd.store_tile(tile, out, out_at + r * columns + c, columns, 1)
            r += 16
        while r < rows:
            part = simd.zeros(4)
            for d in range(deep):
                part = simd.multiply_add(part, a, a_at + r * a_row + d * a_deep, a_row, b, b_at + d * columns + c, 1)
            if add:
                part = simd.add_tile(part, out, out_at + r * columns + c, columns, 1)
            simd.store_tile(part, out, out_at + r * columns + c, columns, 1)
            r += 4


@nb.njit(**OPTIONS)
def rectify(values, at, count):
    """Negative numbers become 0."""
    for i in range(at, at + count, simd.WIDTH):
        simd.store(values, i, simd.larger(simd.load(values, i), _0))


@nb.njit(**OPTIONS)
def rectify_backward(values, at, v_values, v_at, count):
    """Cotangents become 0 where the rectified values are."""
    for i in range(0, count, simd.WIDTH):
        there = simd.load(values, at + i) > _0
        simd.store(v_values, v_at + i, simd.where(there, simd.load(v_values, v_at + i), _0))


@nb.njit(**OPTIONS)
def _shapes(inputs):
    return (inputs, HIDDEN), (HIDDEN, GEOMETRY), (DIRECTIONS, HIDDEN), (GEOMETRY, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, RAW)


@nb.njit(**OPTIONS)
def transposed(weights, inputs):
    """The same matrices, each [outputs, inputs]."""
    made = aligned(weights.size)
    at = 0
    for rows, columns in _shapes(inputs):
        for r in range(rows):
            for c in range(columns):
                made[at + c * rows + r] = weights[at + r * columns + c]
        at += rows * columns
    return made


@nb.njit(**OPTIONS)
def packed(weights, inputs, turned):
    """The same matrices, ``turned`` ones of :func:`transposed`, in pairs of bfloat16 for products by amx."""
    made = aligned(weights.size)
    at = 0
    for rows, columns in _shapes(inputs):
        deep, wide = (columns, rows) if turned else (rows, columns)
        amx.pack_right(weights, at, deep, wide, made, at)
        at += rows * columns
    return made


@nb.njit(**OPTIONS)
def spare_room(rows, inputs, narrow):
    """Room for both sides of a product of up to so many rows, a multiple of 32, in bfloat16; none where products are of float32."""
    wide = max(HIDDEN, (inputs + amx.DEEP - 1) // amx.DEEP * amx.DEEP)
    return aligned(rows // 2 * wide if narrow else 0), aligned(rows // 2 * HIDDEN if narrow else 0)


@nb.njit(**OPTIONS)
def _through(x, at, row, rows, deep, weights, w_at, out, out_at, columns, add, spare):
    """``deep`` numbers of each of the rows through a matrix. Where products are of bfloat16, ``rows`` is rounded up to 16, and what follows
    the ``deep`` numbers in a row has to be 0 until there are 16.
    """
    left, _ = spare
    if left.size:
        # Numba compiles a function anew for each constant that it is given, unless that is hidden from it: once is enough here.
        many, whole = np.int64((rows + amx.ROWS - 1) // amx.ROWS * amx.ROWS), np.int64(deep)
        amx.pack_left(x, np.int64(at), np.int64(row), many, whole, left)
        amx.multiply(left, weights, np.int64(w_at), out, np.int64(out_at), many, whole, np.int64(columns), add != 0)
    else:
        multiply(x, at, row, 1, weights, w_at, out, out_at, rows, deep, columns, add)


@nb.njit(**OPTIONS)
def _gather(x, at, width, v_out, v_at, columns, rows, v_weights, w_at, spare):
    """Adds to the cotangents of a matrix what rows of its inputs [rows, width] and of its outputs' cotangents [rows, columns] make."""
    left, right = spare
    if left.size:
        # As above.
        wide, many = np.int64(width), np.int64(columns)
        amx.pack_left_turned(x, np.int64(at), wide, wide, rows, left)
        amx.pack_right(v_out, np.int64(v_at), rows, many, right, np.int64(0))
        amx.multiply(left, right, np.int64(0), v_weights, np.int64(w_at), wide, rows, many, rows > 0)
    else:
        multiply(x, at, 1, width, v_out, v_at, v_weights, w_at, width, rows, columns, True)


@nb.njit(**OPTIONS)
def density_forward(features, at, rows, inputs, weights, hidden, geometry, spare):
    """From rows of features to the geometry, whose first number is the logarithm of the density; ``at`` is the first row.

    ``weights`` are packed where ``spare`` has room, here and in what follows.
    """
    _through(features, at * inputs, inputs, rows, inputs, weights, 0, hidden, at * HIDDEN, HIDDEN, False, spare)
    rectify(hidden, at * HIDDEN, rows * HIDDEN)
    two = inputs * HIDDEN
    _through(hidden, at * HIDDEN, HIDDEN, rows, HIDDEN, weights, two, geometry, at * GEOMETRY, GEOMETRY, False, spare)


@nb.njit(**OPTIONS)
def color_forward(geometry, at, rows, inputs, weights, first, second, raw, spare):
    """From the geometry to the logits of the colour. ``first`` holds what the directions give it."""
    turned = inputs * HIDDEN + HIDDEN * GEOMETRY + DIRECTIONS * HIDDEN
    across = turned + GEOMETRY * HIDDEN
    last = across + HIDDEN * HIDDEN
    _through(geometry, at * GEOMETRY, GEOMETRY, rows, GEOMETRY, weights, turned, first, at * HIDDEN, HIDDEN, True, spare)
    rectify(first, at * HIDDEN, rows * HIDDEN)
    _through(first, at * HIDDEN, HIDDEN, rows, HIDDEN, weights, across, second, at * HIDDEN, HIDDEN, False, spare)
    rectify(second, at * HIDDEN, rows * HIDDEN)
    _through(second, at * HIDDEN, HIDDEN, rows, HIDDEN, weights, last, raw, at * RAW, RAW, False, spare)


@nb.njit(**OPTIONS)
def backward(features, hidden, geometry, first, second, at, rows, inputs, turned_weights, v_raw, v_density, v_hidden, v_first, v_geometry,
             v_features, v_at, v_weights, spare):  # fmt: skip
    """Cotangents of features and weights, for ``rows`` rows from row ``at`` on.

    Args:
        features, hidden, geometry, first, second: what the forward functions took and made.
        turned_weights: from transposed, packed where ``spare`` has room.
        v_raw: flat [rows, RAW], from row ``at`` on. v_density: [rows], of the geometry's first number, from row ``at`` on.
        v_hidden: flat [rows, HIDDEN], scratch. v_first: flat, receives the cotangent of ``first`` from row ``at`` on.
        v_geometry: flat [rows, GEOMETRY], scratch.
        v_features: flat, receives rows from row ``v_at`` on. v_weights: flat, added to.
    """
    two = inputs * HIDDEN
    three = two + HIDDEN * GEOMETRY + DIRECTIONS * HIDDEN
    four = three + GEOMETRY * HIDDEN
    five = four + HIDDEN * HIDDEN
    w, v_raw_at, v_first_at = turned_weights, at * RAW, at * HIDDEN
    _gather(second, at * HIDDEN, HIDDEN, v_raw, v_raw_at, RAW, rows, v_weights, five, spare)
    # Three of the raw numbers are colours, the rest is there to fill the lanes.
    _through(v_raw, v_raw_at, RAW, rows, 3, w, five, v_hidden, 0, HIDDEN, False, spare)
    rectify_backward(second, at * HIDDEN, v_hidden, 0, rows * HIDDEN)
    _gather(first, at * HIDDEN, HIDDEN, v_hidden, 0, HIDDEN, rows, v_weights, four, spare)
    _through(v_hidden, 0, HIDDEN, rows, HIDDEN, w, four, v_first, v_first_at, HIDDEN, False, spare)
    rectify_backward(first, at * HIDDEN, v_first, v_first_at, rows * HIDDEN)
    _gather(geometry, at * GEOMETRY, GEOMETRY, v_first, v_first_at, HIDDEN, rows, v_weights, three, spare)
    _through(v_first, v_first_at, HIDDEN, rows, HIDDEN, w, three, v_geometry, 0, GEOMETRY, False, spare)
    for r in range(rows):
        v_geometry[r * GEOMETRY] += v_density[at + r]
    _gather(hidden, at * HIDDEN, HIDDEN, v_geometry, 0, GEOMETRY, rows, v_weights, two, spare)
    _through(v_geometry, 0, GEOMETRY, rows, GEOMETRY, w, two, v_hidden, 0, HIDDEN, False, spare)
    rectify_backward(hidden, at * HIDDEN, v_hidden, 0, rows * HIDDEN)
    _gather(features, at * inputs, inputs, v_hidden, 0, HIDDEN, rows, v_weights, 0, spare)
    _through(v_hidden, 0, HIDDEN, rows, HIDDEN, w, 0, v_features, v_at * inputs, inputs, False, spare)
