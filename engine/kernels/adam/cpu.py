# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam (Kingma and Ba 2015) in one pass over a parameter, rows in parallel."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ..math import OPTIONS, U

BETA1 = np.float32(0.9)
BETA2 = np.float32(0.999)
EPSILON = np.float32(1e-15)

_CHUNK = 1024


@nb.njit(parallel=True, **OPTIONS)
def step(values, gradients, first, second, seen, rate, time):
    """Updates a parameter in place.

    Args:
        values, gradients, first, second: [N, D] float32, the parameter, its gradient and Adam's two moments.
        seen: [N] bool; a row that is not seen has gradient 0, whatever ``gradients`` holds there: it is set to 0.
        rate: learning rate. time: number of this step, from 1.
    """
    count, width = values.shape
    correction1 = np.float32(1.0 / (1.0 - 0.9**time))
    correction2 = np.float32(1.0 / (1.0 - 0.999**time))
    rate = np.float32(rate) * correction1
    # Rows are a few numbers long, too short for vectors; flat, all numbers of a chunk make one loop.
    p, g, m, v = values.reshape(-1), gradients.reshape(-1), first.reshape(-1), second.reshape(-1)
    for chunk in nb.prange((count + _CHUNK - 1) // _CHUNK):
        begin, end = chunk * _CHUNK, min((chunk + 1) * _CHUNK, count)
        for i in range(begin, end):
            if not seen[i]:
                for j in range(width):
                    g[i * width + j] = np.float32(0.0)
        for k in range(U(begin * width), U(end * width)):
            m[k] = BETA1 * m[k] + (np.float32(1.0) - BETA1) * g[k]
            v[k] = BETA2 * v[k] + (np.float32(1.0) - BETA2) * g[k] * g[k]
            p[k] -= rate * m[k] / (math.sqrt(v[k] * correction2) + EPSILON)
