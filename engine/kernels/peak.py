# SPDX-License-Identifier: GPL-3.0-or-later
"""How much vector arithmetic this machine can do: what the kernels are measured against."""

from __future__ import annotations

import time

import numba as nb
import numpy as np

from . import simd
from .math import OPTIONS

# Chains of multiply-adds that do not wait for each other: latency times units, with some to spare.
_CHAINS = 12


@nb.njit(parallel=True, **OPTIONS)
def _multiply_add(rounds, workers, out):
    for worker in nb.prange(workers):
        f = simd.broadcast(np.float32(0.999))
        a = b = c = d = e = g = h = i = j = k = m = n = f
        for _ in range(rounds):
            a, b, c, d, e, g = a * f + f, b * f + f, c * f + f, d * f + f, e * f + f, g * f + f
            h, i, j, k, m, n = h * f + f, i * f + f, j * f + f, k * f + f, m * f + f, n * f + f
        simd.store(out, simd.WIDTH * worker, a + b + c + d + e + g + h + i + j + k + m + n)


def operations_per_second(workers: int) -> float:
    """Multiply-adds of sixteen numbers a second that all threads together do at best."""
    out, rounds = np.empty(simd.WIDTH * workers, np.float32), 1_000_000
    times = []
    for _ in range(8):
        begin = time.perf_counter()
        _multiply_add(rounds, workers, out)
        times.append(time.perf_counter() - begin)
    return _CHAINS * rounds * workers / min(times)
