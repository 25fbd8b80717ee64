# SPDX-License-Identifier: GPL-3.0-or-later
"""Real spherical harmonics of sixteen directions and their slopes, in the sign order of INRIA's files."""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import simd
from ..math import OPTIONS

# A plain Python number would make the arithmetic around it double.
_2, _3, _4, _6, _8 = (np.float32(value) for value in (2, 3, 4, 6, 8))
_C0 = np.float32(0.28209479177387814)
_C1 = np.float32(0.4886025119029199)
_C20, _C21, _C22, _C23, _C24 = (
    np.float32(value) for value in (1.0925484305920792, 1.0925484305920792, 0.31539156525252005, 1.0925484305920792, 0.5462742152960396)
)
_C30, _C31, _C32, _C33, _C34, _C35, _C36 = (
    np.float32(value)
    for value in (
        0.5900435899266435,
        2.890611442640554,
        0.4570457994644658,
        0.3731763325901154,
        0.4570457994644658,
        1.445305721320277,
        0.5900435899266435,
    )
)


@nb.njit(**OPTIONS)
def put(basis, k, value):
    simd.store(basis, simd.WIDTH * k, value)


@nb.njit(**OPTIONS)
def sh_basis(degree, x, y, z, basis):
    """Real spherical harmonics at unit directions, in the sign order of INRIA's files. basis: [16 * 16], (degree+1)^2 lanes are written."""
    put(basis, 0, simd.broadcast(_C0))
    if degree > 0:
        put(basis, 1, -_C1 * y)
        put(basis, 2, _C1 * z)
        put(basis, 3, -_C1 * x)
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        put(basis, 4, _C20 * x * y)
        put(basis, 5, -_C21 * y * z)
        put(basis, 6, _C22 * (_2 * zz - xx - yy))
        put(basis, 7, -_C23 * x * z)
        put(basis, 8, _C24 * (xx - yy))
        if degree > 2:
            put(basis, 9, -_C30 * y * (_3 * xx - yy))
            put(basis, 10, _C31 * x * y * z)
            put(basis, 11, -_C32 * y * (_4 * zz - xx - yy))
            put(basis, 12, _C33 * z * (_2 * zz - _3 * xx - _3 * yy))
            put(basis, 13, -_C34 * x * (_4 * zz - xx - yy))
            put(basis, 14, _C35 * z * (xx - yy))
            put(basis, 15, -_C36 * x * (xx - _3 * yy))


@nb.njit(**OPTIONS)
def sh_slopes(degree, x, y, z, value):
    """Sum over harmonics of their derivatives by x, y and z, each times its value in ``value`` [16 * 16]."""
    v1, v2, v3 = simd.load(value, 16), simd.load(value, 32), simd.load(value, 48)
    by_x, by_y, by_z = -_C1 * v3, -_C1 * v1, _C1 * v2
    if degree > 1:
        v4, v5, v6, v7, v8 = (
            _C20 * simd.load(value, 64),
            _C21 * simd.load(value, 80),
            _C22 * simd.load(value, 96),
            _C23 * simd.load(value, 112),
            _C24 * simd.load(value, 128),
        )
        by_x = by_x + y * v4 - _2 * x * v6 - z * v7 + _2 * x * v8
        by_y = by_y + x * v4 - z * v5 - _2 * y * v6 - _2 * y * v8
        by_z = by_z - y * v5 + _4 * z * v6 - x * v7
    if degree > 2:
        xx, yy, zz = x * x, y * y, z * z
        v9, v10, v11, v12, v13, v14, v15 = (
            _C30 * simd.load(value, 144),
            _C31 * simd.load(value, 160),
            _C32 * simd.load(value, 176),
            _C33 * simd.load(value, 192),
            _C34 * simd.load(value, 208),
            _C35 * simd.load(value, 224),
            _C36 * simd.load(value, 240),
        )
        by_x = by_x - _6 * x * y * v9 + y * z * v10 + _2 * x * y * v11 - _6 * x * z * v12
        by_x = by_x - (_4 * zz - _3 * xx - yy) * v13 + _2 * x * z * v14 - _3 * (xx - yy) * v15
        by_y = by_y - _3 * (xx - yy) * v9 + x * z * v10 - (_4 * zz - xx - _3 * yy) * v11 - _6 * y * z * v12
        by_y = by_y + _2 * x * y * v13 - _2 * y * z * v14 + _6 * x * y * v15
        by_z = by_z + x * y * v10 - _8 * y * z * v11 + _3 * (_2 * zz - xx - yy) * v12 - _8 * x * z * v13 + (xx - yy) * v14
    return by_x, by_y, by_z
