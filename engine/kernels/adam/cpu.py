# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam (Kingma and Ba 2015) in one pass over a parameter, rows in parallel."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ..math import OPTIONS

BETA1 = np.float32(0.9)
BETA2 = np.float32(0.999)
EPSILON = np.float32(1e-15)

_CHUNK = 1024


@nb.njit(parallel=True, **OPTIONS)
def step(values, gradients, first, second, seen, rate, time):
    """Updates a parameter in place.

    Args:
        values, gradients, first, second: [N, D] float32, the parameter, its gradient and Adam's two moments.
        seen: [N] bool; a row that is not seen has gradient 0, whatever ``gradients`` holds there.
        rate: learning rate. time: number of this step, from 1.
    """
    count, width = values.shape
    correction1 = np.float32(1.0 / (1.0 - 0.9**time))
    correction2 = np.float32(1.0 / (1.0 - 0.999**time))
    rate = np.float32(rate) * correction1
    for chunk in nb.prange((count + _CHUNK - 1) // _CHUNK):
        for i in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, count)):
            here = np.float32(1.0) if seen[i] else np.float32(0.0)
            for j in range(width):
                g = gradients[i, j] if here > np.float32(0.0) else np.float32(0.0)
                m = BETA1 * first[i, j] + (np.float32(1.0) - BETA1) * g
                v = BETA2 * second[i, j] + (np.float32(1.0) - BETA2) * g * g
                first[i, j], second[i, j] = m, v
                values[i, j] -= rate * m / (math.sqrt(v * correction2) + EPSILON)
