# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise on the places of gaussians that are nearly transparent, sixteen gaussians at a time."""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import simd
from ..math import OPTIONS
from ..project.cpu import LOG_SCALES, LOGITS, MEANS, rotation, row, turned

_STEEPNESS, _HALF_AT = np.float32(100.0), np.float32(0.005)
# Above this opacity the noise is less than 1e-4 of its strength.
_LEAST = np.float32(0.1)
_0, _1 = np.float32(0.0), np.float32(1.0)
_CHUNK = 64


@nb.njit(parallel=True, **OPTIONS)
def shake(table, normal, offset, strength):
    """Moves means by their covariance times noise times ``strength``; see reference.moves.

    Args:
        table: see kernels/project.
        normal: [L] float32, standard normal numbers, L a multiple of 16. offset: where in it to begin, a multiple of 16; the end is joined
            to the beginning.
    """
    columns = table.shape[1]
    vectors = columns // simd.WIDTH
    strength = np.float32(strength)
    for chunk in nb.prange((vectors + _CHUNK - 1) // _CHUNK):
        for vector in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, vectors)):
            i = vector * simd.WIDTH
            opacity = _1 / (_1 + simd.exp(-row(table, LOGITS, i)))
            if not simd.any_of(opacity <= _LEAST):
                continue
            share = strength / (_1 + simd.exp(_STEEPNESS * (opacity - _HALF_AT)))
            at = (offset + 3 * i) % (normal.size - 2 * simd.WIDTH)
            n0, n1, n2 = simd.load(normal, at), simd.load(normal, at + simd.WIDTH), simd.load(normal, at + 2 * simd.WIDTH)
            qw, qx, qy, qz, _ = turned(table, i)
            r = rotation(qw, qx, qy, qz)
            s0, s1, s2 = (
                simd.exp(row(table, LOG_SCALES, i)),
                simd.exp(row(table, LOG_SCALES + 1, i)),
                simd.exp(row(table, LOG_SCALES + 2, i)),
            )
            # In the gaussian's own axes the covariance is diagonal.
            t0 = share * s0 * s0 * (r[0] * n0 + r[3] * n1 + r[6] * n2)
            t1 = share * s1 * s1 * (r[1] * n0 + r[4] * n1 + r[7] * n2)
            t2 = share * s2 * s2 * (r[2] * n0 + r[5] * n1 + r[8] * n2)
            x, y, z = row(table, MEANS, i), row(table, MEANS + 1, i), row(table, MEANS + 2, i)
            simd.store(table, MEANS * columns + i, x + r[0] * t0 + r[1] * t1 + r[2] * t2)
            simd.store(table, (MEANS + 1) * columns + i, y + r[3] * t0 + r[4] * t1 + r[5] * t2)
            simd.store(table, (MEANS + 2) * columns + i, z + r[6] * t0 + r[7] * t1 + r[8] * t2)
