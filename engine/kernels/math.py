# SPDX-License-Identifier: GPL-3.0-or-later
"""Elementary functions that LLVM can vectorise inside a loop; NumPy's and Python's call a scalar library and run ten times slower."""

from __future__ import annotations

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

# Without nnan and ninf: comparisons with NaN must keep their meaning, because NaN is how bad input shows.
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}
OPTIONS = {"fastmath": FAST, "cache": True, "error_model": "numpy", "boundscheck": False}

# For what has to come out alike to the last bit wherever it is inlined: nothing is contracted or put in another order.
ORDERED = {**OPTIONS, "fastmath": FAST - {"contract", "reassoc"}}

# An unsigned index tells Numba that it never counts from an array's end; a signed one costs a test that keeps loops from vectorising.
U = np.uint64

_LOG2E = np.float32(1.4426950408889634)


@intrinsic
def float_of_bits(typingctx, bits):
    """The float32 whose bit pattern is an int32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def bits_of_float(typingctx, value):
    """The bit pattern of a float32 as an int32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@nb.njit(inline="always", **OPTIONS)
def exp2(x):
    """2**x for float32 x, relative error below 1e-5 (the argument's own rounding); x is clamped to [-100, 126]."""
    # Not down to -126: a product with what is left would be subnormal, which costs a hundred cycles.
    x = min(max(x, np.float32(-100.0)), np.float32(126.0))
    # Conversion to an integer cuts off, which rounds down what is positive: the nearest whole number, 127 too high.
    biased = np.int32(x + np.float32(127.5))
    # |f| <= ln2 / 2, so six Taylor terms leave (ln2/2)^7/7! = 1.2e-7.
    f = (x - (np.float32(biased) - np.float32(127.0))) * np.float32(0.6931471805599453)
    p = np.float32(1.0 / 720.0)
    p = p * f + np.float32(1.0 / 120.0)
    p = p * f + np.float32(1.0 / 24.0)
    p = p * f + np.float32(1.0 / 6.0)
    p = p * f + np.float32(0.5)
    p = p * f + np.float32(1.0)
    p = p * f + np.float32(1.0)
    return p * float_of_bits(biased << np.int32(23))


@nb.njit(inline="always", **OPTIONS)
def exp(x):
    """e**x for float32 x."""
    return exp2(x * _LOG2E)


@nb.njit(inline="always", **OPTIONS)
def log2(x):
    """Base-2 logarithm of a positive normal float32, absolute error below 2e-6 near 1 and relative elsewhere."""
    bits = bits_of_float(x)
    # Moves the mantissa to [sqrt(1/2), sqrt(2)), where the series below converges fastest.
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    m = float_of_bits(bits - (exponent << np.int32(23)))
    # ln m = 2 artanh((m-1)/(m+1)), |s| <= 0.1716
    s = (m - np.float32(1.0)) / (m + np.float32(1.0))
    s2 = s * s
    p = np.float32(2.0 / 9.0)
    p = p * s2 + np.float32(2.0 / 7.0)
    p = p * s2 + np.float32(2.0 / 5.0)
    p = p * s2 + np.float32(2.0 / 3.0)
    p = p * s2 + np.float32(2.0)
    return np.float32(exponent) + p * s * _LOG2E


@nb.njit(inline="always", **OPTIONS)
def srgb_encode(x):
    """Scene-linear to sRGB code value (IEC 61966-2-1); negative light counts as none, above 1 the curve goes on."""
    x = max(x, np.float32(0.0))
    curve = np.float32(1.055) * exp2(log2(max(x, np.float32(0.0031308))) * np.float32(1.0 / 2.4)) - np.float32(0.055)
    return np.float32(12.92) * x if x <= np.float32(0.0031308) else curve


@nb.njit(inline="always", **OPTIONS)
def srgb_encode_slope(x):
    """Derivative of :func:`srgb_encode`."""
    curve = np.float32(1.055 / 2.4) * exp2(log2(max(x, np.float32(0.0031308))) * np.float32(1.0 / 2.4 - 1.0))
    return np.float32(12.92) if x <= np.float32(0.0031308) else curve


@nb.njit(**OPTIONS)
def aligned(size):
    """Uninitialised [size] float32 on a cache line's edge: a 512-bit access across two lines costs twice."""
    block = np.empty(size + 16, np.float32)
    skip = (64 - block.ctypes.data % 64) % 64 // 4
    return block[skip : skip + size]
