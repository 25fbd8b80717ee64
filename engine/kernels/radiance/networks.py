# SPDX-License-Identifier: GPL-3.0-or-later
"""The two small networks of instant-ngp on blocks of samples, a sample in a row: products of matrices small enough for the caches.

Weights lie in one flat array, matrix after matrix, each [inputs, outputs]; see reference.SHAPES for their order.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import simd
from ..math import OPTIONS
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
def transposed(weights, inputs):
    """The same matrices, each [outputs, inputs]."""
    made = np.empty_like(weights)
    at = 0
    for rows, columns in ((inputs, HIDDEN), (HIDDEN, GEOMETRY), (DIRECTIONS, HIDDEN), (GEOMETRY, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, RAW)):
        for r in range(rows):
            for c in range(columns):
                made[at + c * rows + r] = weights[at + r * columns + c]
        at += rows * columns
    return made


@nb.njit(**OPTIONS)
def density_forward(features, at, rows, inputs, weights, hidden, geometry):
    """From rows of features to the geometry, whose first number is the logarithm of the density; ``at`` is the first row."""
    multiply(features, at * inputs, inputs, 1, weights, 0, hidden, at * HIDDEN, rows, inputs, HIDDEN, False)
    rectify(hidden, at * HIDDEN, rows * HIDDEN)
    multiply(hidden, at * HIDDEN, HIDDEN, 1, weights, inputs * HIDDEN, geometry, at * GEOMETRY, rows, HIDDEN, GEOMETRY, False)


@nb.njit(**OPTIONS)
def color_forward(geometry, at, rows, inputs, weights, first, second, raw):
    """From the geometry to the logits of the colour. ``first`` holds what the directions give it."""
    turned = inputs * HIDDEN + HIDDEN * GEOMETRY + DIRECTIONS * HIDDEN
    across = turned + GEOMETRY * HIDDEN
    multiply(geometry, at * GEOMETRY, GEOMETRY, 1, weights, turned, first, at * HIDDEN, rows, GEOMETRY, HIDDEN, True)
    rectify(first, at * HIDDEN, rows * HIDDEN)
    multiply(first, at * HIDDEN, HIDDEN, 1, weights, across, second, at * HIDDEN, rows, HIDDEN, HIDDEN, False)
    rectify(second, at * HIDDEN, rows * HIDDEN)
    multiply(second, at * HIDDEN, HIDDEN, 1, weights, across + HIDDEN * HIDDEN, raw, at * RAW, rows, HIDDEN, RAW, False)


@nb.njit(**OPTIONS)
def backward(features, hidden, geometry, first, second, at, rows, inputs, turned_weights, v_raw, v_density, v_hidden, v_first, v_geometry,
             v_features, v_at, v_weights):  # fmt: skip
    """Cotangents of features and weights, for ``rows`` rows from row ``at`` on.

    Args:
        features, hidden, geometry, first, second: what the forward functions took and made.
        turned_weights: from transposed.
        v_raw: flat [rows, RAW], from row ``at`` on. v_density: [rows], of the geometry's first number, from row ``at`` on.
        v_hidden: flat [rows, HIDDEN], scratch. v_first: flat, receives the cotangent of ``first`` from row ``at`` on.
        v_geometry: flat [rows, GEOMETRY], scratch.
        v_features: flat, receives rows from row ``v_at`` on. v_weights: flat, added to.
    """
    two = inputs * HIDDEN
    three = two + HIDDEN * GEOMETRY + DIRECTIONS * HIDDEN
    four = three + GEOMETRY * HIDDEN
    five = four + HIDDEN * HIDDEN
    w = turned_weights
    multiply(second, at * HIDDEN, 1, HIDDEN, v_raw, at * RAW, v_weights, five, HIDDEN, rows, RAW, True)
    # Three of the raw numbers are colours, the rest is there to fill the lanes.
    multiply(v_raw, at * RAW, RAW, 1, w, five, v_hidden, 0, rows, 3, HIDDEN, False)
    rectify_backward(second, at * HIDDEN, v_hidden, 0, rows * HIDDEN)
    multiply(first, at * HIDDEN, 1, HIDDEN, v_hidden, 0, v_weights, four, HIDDEN, rows, HIDDEN, True)
    multiply(v_hidden, 0, HIDDEN, 1, w, four, v_first, at * HIDDEN, rows, HIDDEN, HIDDEN, False)
    rectify_backward(first, at * HIDDEN, v_first, at * HIDDEN, rows * HIDDEN)
    multiply(geometry, at * GEOMETRY, 1, GEOMETRY, v_first, at * HIDDEN, v_weights, three, GEOMETRY, rows, HIDDEN, True)
    multiply(v_first, at * HIDDEN, HIDDEN, 1, w, three, v_geometry, 0, rows, HIDDEN, GEOMETRY, False)
    for r in range(rows):
        v_geometry[r * GEOMETRY] += v_density[at + r]
    multiply(hidden, at * HIDDEN, 1, HIDDEN, v_geometry, 0, v_weights, two, HIDDEN, rows, GEOMETRY, True)
    multiply(v_geometry, 0, GEOMETRY, 1, w, two, v_hidden, 0, rows, GEOMETRY, HIDDEN, False)
    rectify_backward(hidden, at * HIDDEN, v_hidden, 0, rows * HIDDEN)
    multiply(features, at * inputs, 1, inputs, v_hidden, 0, v_weights, 0, inputs, rows, HIDDEN, True)
    multiply(v_hidden, 0, HIDDEN, 1, w, 0, v_features, v_at * inputs, rows, HIDDEN, inputs, False)
