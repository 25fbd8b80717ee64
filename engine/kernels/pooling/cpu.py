# SPDX-License-Identifier: GPL-3.0-or-later
"""Pooling and rectifying on the processor, in float32 and bfloat16: a bfloat16 is the upper half of a float32's bits.

A window's pixels are numbered 0, 1, 2, 3 by row and column. Beyond the edge a window has the pixel at the edge once more, which changes
no maximum; so there the row or the column of the one chosen says nothing.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from ..math import OPTIONS, bits_of_float, float_of_bits

_0, _16 = np.int32(0), np.int32(16)
# Set where what was chosen is not positive.
_LEAKS = np.uint8(4)


@nb.njit(inline="always", **OPTIONS)
def _value(bits, shift):
    return float_of_bits(np.int32(np.int32(bits) << shift))


@nb.njit(inline="always", **OPTIONS)
def _rounded(value, shift):
    """The bits of a number, the nearest one of as many digits, and the even one between two."""
    bits = bits_of_float(value)
    half = np.int32(0x7FFF) + ((bits >> _16) & np.int32(1)) if shift else _0
    return np.int32(bits + half) >> shift


@nb.njit(parallel=True, **OPTIONS)
def forward(x, leak, made, places):
    """See :func:`engine.kernels.pooling.forward`. x: bits [N, H, W, C]. Writes the bits of what is pooled, and places."""
    count, high, wide, channels = x.shape
    rows, columns = made.shape[1:3]
    shift = _16 if x.itemsize == 2 else _0
    leak = np.float32(leak)
    for row in nb.prange(count * rows):
        n, i = row // rows, row % rows
        upper, lower = max(2 * i - 1, 0), min(2 * i, high - 1)
        for j in range(columns):
            left, right = max(2 * j - 1, 0), min(2 * j, wide - 1)
            first, second = x[n, upper, left], x[n, upper, right]
            third, fourth = x[n, lower, left], x[n, lower, right]
            to, chosen = made[n, i, j], places[n, i, j]
            for c in range(channels):
                best, place = _value(first[c], shift), np.uint8(0)
                # What is no number wins, so that it shows.
                value = _value(second[c], shift)
                if value > best or value != value:
                    best, place = value, np.uint8(1)
                value = _value(third[c], shift)
                if value > best or value != value:
                    best, place = value, np.uint8(2)
                value = _value(fourth[c], shift)
                if value > best or value != value:
                    best, place = value, np.uint8(3)
                if not best > np.float32(0):
                    best, place = best * leak, place | _LEAKS
                to[c] = _rounded(best, shift)
                chosen[c] = place


@nb.njit(parallel=True, **OPTIONS)
def backward(v_made, places, leak, v_x):
    """See :func:`engine.kernels.pooling.backward`. v_made: bits [N, H // 2 + 1, W // 2 + 1, C]. Writes those of v_x [N, H, W, C]."""
    count, high, wide, channels = v_x.shape
    shift = _16 if v_x.itemsize == 2 else _0
    leak = np.float32(leak)
    for row in nb.prange(count * high):
        n, y = row // high, row % high
        # A lower row has an even number; the other one of its window may lie beyond the edge.
        row_bit = 2 if (y > 0 if y % 2 == 0 else y + 1 < high) else 0
        for x in range(wide):
            column_bit = 1 if (x > 0 if x % 2 == 0 else x + 1 < wide) else 0
            told = np.uint8(row_bit | column_bit)
            mine = np.uint8((2 * (1 - y % 2) + (1 - x % 2)) & told)
            gradients, chosen, to = v_made[n, (y + 1) // 2, (x + 1) // 2], places[n, (y + 1) // 2, (x + 1) // 2], v_x[n, y, x]
            for c in range(channels):
                gradient = _value(gradients[c], shift)
                gradient = gradient * leak if chosen[c] & _LEAKS else gradient
                to[c] = _rounded(gradient, shift) if (chosen[c] & told) == mine else _0
