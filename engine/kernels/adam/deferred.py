# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam for gaussians out of view: steps without a gradient are put off, and made up for before they can show.

Adam moves what has no gradient on its momentum: to leave such steps out (sparse Adam) costs quality, and to make them moves all parameters
and moments through memory for little. Here a vector of sixteen gaussians that is not in the picture owes the step, as in GS-Scale (Lee et
al. 2025). Before each picture those that the view might show make what they owe in registers, bit for bit as if made in time. Whether it
might is told from bounds, because where they are is not known before: a step without a gradient is at most its pace times
first / sqrt(second), and with each further one that falls by BETA1 / sqrt(BETA2).
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from .. import simd
from ..math import OPTIONS
from ..project.cpu import LOG_SCALES, MEANS, placed, row, view_bounds
from .cpu import BETA1, BETA2, EPSILON, adam

# So many steps can be owed at most: their learning rates are kept.
LIMIT = 128
# Of an endless number of steps without a gradient to the first's bound; a little more, for what is rounded.
REACH = 1.01 / (1 - float(BETA1) / math.sqrt(float(BETA2)))
# Half axes at which an opaque gaussian falls below 1/255, and what the blur adds to them in px, a little more (kernels/project).
_EXTENT = np.float32(1.01 * math.sqrt(2 * math.log(255)))
_BLUR = np.float32(1.01 * math.sqrt(0.3 * 2 * math.log(255)))
_CHUNK = 32

_0, _1 = np.float32(0), np.float32(1)


@nb.njit(**OPTIONS)
def _drift(first, second, reach, number, i):
    """The most by which one parameter of sixteen gaussians may differ from what is written."""
    at = number * first.shape[1] + i
    return reach[number] * simd.absolute(simd.load(first, at)) / (simd.sqrt(simd.load(second, at)) + EPSILON)


@nb.njit(**OPTIONS)
def _may_show(table, first, second, reach, i, viewmat, lens, width, height, near, wide_x, wide_y):
    """Whether any of sixteen gaussians could reach the picture once it made the steps it owes."""
    _, _, _, x, y, z = placed(table, viewmat, i)
    off = _drift(first, second, reach, MEANS, i) + _drift(first, second, reach, MEANS + 1, i) + _drift(first, second, reach, MEANS + 2, i)
    largest = row(table, LOG_SCALES, i) + _drift(first, second, reach, LOG_SCALES, i)
    for k in range(LOG_SCALES + 1, LOG_SCALES + 3):
        largest = simd.larger(largest, row(table, k, i) + _drift(first, second, reach, k, i))
    size = _EXTENT * simd.exp(largest)
    # The picture's sides as planes through the camera, moved out by what the gaussian covers: fx x + cx z >= 0 and so on.
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    left, right, top, bottom = cx + _BLUR, np.float32(width) - cx + _BLUR, cy + _BLUR, np.float32(height) - cy + _BLUR
    seen = z + off > near
    seen = seen & (fx * x + left * z + (fx + abs(left)) * off + fx * wide_x * size >= _0)
    seen = seen & (right * z - fx * x + (fx + abs(right)) * off + fx * wide_x * size >= _0)
    seen = seen & (fy * y + top * z + (fy + abs(top)) * off + fy * wide_y * size >= _0)
    seen = seen & (bottom * z - fy * y + (fy + abs(bottom)) * off + fy * wide_y * size >= _0)
    return simd.any_of(seen)


@nb.njit(**OPTIONS)
def _widest(focal, center, size):
    """The most by which the projection's Jacobian is longer than focal / z."""
    low, high = view_bounds(focal, center, size)
    return np.float32(math.sqrt(_1 + max(low * low, high * high)))


@nb.njit(parallel=True, **OPTIONS)
def catch_up(table, first, second, done, time, paces, corrections, reach, everything, viewmat, position, lens, width, height, near):
    """Makes the steps that gaussians owe.

    Args:
        table, first, second: see kernels/project, updated in place. done: [C / 16] int32, the last step that each vector made.
        time: the last step that was made by any. paces: [LIMIT, rows] float32 and corrections: [LIMIT] float32, of each step at its number
            modulo LIMIT, see kernels/adam. reach: [rows], REACH times the largest paces among them.
        everything: whether all make them, or those that the view might show.
        viewmat … near: as for project.forward.
    """
    vectors = table.shape[1] // simd.WIDTH
    wide_x, wide_y = _widest(lens[0], lens[2], np.float32(width)), _widest(lens[1], lens[3], np.float32(height))
    nothing = simd.broadcast(_0)
    for chunk in nb.prange((vectors + _CHUNK - 1) // _CHUNK):
        for vector in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, vectors)):
            i = vector * simd.WIDTH
            if done[vector] == time or not (
                everything or _may_show(table, first, second, reach, i, viewmat, lens, width, height, near, wide_x, wide_y)
            ):
                continue
            for k in range(table.shape[0]):
                at = k * table.shape[1] + i
                value, one, two = simd.load(table, at), simd.load(first, at), simd.load(second, at)
                for step in range(done[vector] + 1, time + 1):
                    value, one, two = adam(value, nothing, one, two, paces[step % LIMIT, k], corrections[step % LIMIT])
                simd.store(table, at, value)
                simd.store(first, at, one)
                simd.store(second, at, two)
            done[vector] = time
