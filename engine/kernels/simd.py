# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixteen float32 side by side, as a Numba type: what is written with it becomes vector instructions, whatever LLVM makes of the loop around.

A loop over pixels is left to LLVM where it is simple. The compositing loop is not: a value that is the same for a whole column, sums that
fold only once a gaussian, and arrays that must not be proven apart each cost a factor when LLVM has to find them. On processors with
narrower vectors LLVM splits each operation.
"""

from __future__ import annotations

import operator

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

WIDTH = 16

_FLOATS = ir.VectorType(ir.FloatType(), WIDTH)
_INTS = ir.VectorType(ir.IntType(32), WIDTH)
_BITS = ir.VectorType(ir.IntType(1), WIDTH)


class _Lanes(types.Type):
    """A Numba type held in one vector register."""

    def __init__(self, name: str, vector: ir.VectorType):
        super().__init__(name)
        self.vector = vector


LANES = _Lanes("float32x16", _FLOATS)
MASK = _Lanes("boolx16", _BITS)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.vector)


def _broadcast(builder, value):
    """The scalar in every lane."""
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_INTS, [0] * WIDTH))


def _constant(value: float):
    return ir.Constant(_FLOATS, [float(np.float32(value))] * WIDTH)


def _define(symbol, emit, result):
    """Gives an operator its meaning between lanes, and between lanes and a scalar."""
    float32 = types.float32
    pairs = [(LANES, LANES), (LANES, float32), (float32, LANES)]

    @infer_global(symbol)
    class Template(ConcreteTemplate):
        cases = [signature(result, *pair) for pair in pairs]

    for pair in pairs:

        @lower_builtin(symbol, *pair)
        def lower(context, builder, sig, values):
            sides = [value if kind is LANES else _broadcast(builder, value) for kind, value in zip(sig.args, values, strict=True)]
            return emit(builder, *sides)


_define(operator.add, lambda builder, a, b: builder.fadd(a, b), LANES)
_define(operator.sub, lambda builder, a, b: builder.fsub(a, b), LANES)
_define(operator.mul, lambda builder, a, b: builder.fmul(a, b), LANES)
_define(operator.truediv, lambda builder, a, b: builder.fdiv(a, b), LANES)
_define(operator.ge, lambda builder, a, b: builder.fcmp_ordered(">=", a, b), MASK)
_define(operator.lt, lambda builder, a, b: builder.fcmp_ordered("<", a, b), MASK)


@infer_global(operator.and_)
class _And(ConcreteTemplate):
    cases = [signature(MASK, MASK, MASK)]


@lower_builtin(operator.and_, MASK, MASK)
def _lower_and(context, builder, sig, values):
    return builder.and_(*values)


def _place(context, builder, kind, value, index):
    """Pointer to lanes at a flat index of a contiguous array."""
    array = context.make_array(kind)(context, builder, value)
    return builder.bitcast(cgutils.gep_inbounds(builder, array.data, index), _FLOATS.as_pointer())


@intrinsic
def load(typingctx, array, index):
    """The lanes at a flat index of a contiguous float32 array. Nothing checks the bounds."""

    def codegen(context, builder, sig, values):
        return builder.load(_place(context, builder, sig.args[0], *values), align=4)

    return LANES(array, index), codegen


@intrinsic
def store(typingctx, array, index, lanes):
    """Writes the lanes to a flat index of a contiguous float32 array. Nothing checks the bounds."""

    def codegen(context, builder, sig, values):
        builder.store(values[2], _place(context, builder, sig.args[0], values[0], values[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, index, lanes), codegen


@intrinsic
def broadcast(typingctx, value):
    """A float32 in every lane."""

    def codegen(context, builder, sig, values):
        return _broadcast(builder, values[0])

    return LANES(types.float32), codegen


@intrinsic
def where(typingctx, mask, lanes):
    """The lanes where the mask holds, elsewhere 0."""

    def codegen(context, builder, sig, values):
        return builder.select(values[0], values[1], _constant(0.0))

    return LANES(MASK, LANES), codegen


@intrinsic
def smaller(typingctx, a, b):
    """The smaller of lanes and a float32; the latter where a lane is not a number."""

    def codegen(context, builder, sig, values):
        bound = _broadcast(builder, values[1])
        return builder.select(builder.fcmp_ordered("<", values[0], bound), values[0], bound)

    return LANES(LANES, types.float32), codegen


@intrinsic
def larger(typingctx, a, b):
    """The larger of each two lanes."""

    def codegen(context, builder, sig, values):
        return builder.select(builder.fcmp_ordered(">", *values), *values)

    return LANES(LANES, LANES), codegen


@intrinsic
def any_of(typingctx, mask):
    """Whether the mask holds in any lane."""

    def codegen(context, builder, sig, values):
        bits = builder.bitcast(values[0], ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(WIDTH), 0))

    return types.boolean(MASK), codegen


# 2^f on [-1, 0] to 2.6e-6 of its value: least maximal relative error, by reweighted least squares.
_EXP2 = (0.006767083848860716, 0.05307406591043912, 0.23934107295991797, 0.6930302008417547, 0.9999974066281392)


@intrinsic
def exp2_of_negative(typingctx, lanes):
    """2^x for -126 <= x <= 0, relative error below 3e-6; for x outside, any number or none."""

    def codegen(context, builder, sig, values):
        # Cutting off the fraction of a negative number rounds up, which leaves f in (-1, 0].
        whole = builder.fptosi(values[0], _INTS)
        f = builder.fsub(values[0], builder.sitofp(whole, _FLOATS))
        power = _constant(_EXP2[0])
        for coefficient in _EXP2[1:]:
            power = builder.fadd(builder.fmul(power, f), _constant(coefficient))
        exponent = builder.shl(whole, ir.Constant(_INTS, [23] * WIDTH))
        return builder.bitcast(builder.add(builder.bitcast(power, _INTS), exponent), _FLOATS)

    return LANES(LANES), codegen


def _merge(builder, a, b, block: int):
    """Halves the partial sums: blocks of ``block`` lanes fold to half, a's and b's side by side."""
    half = block // 2
    first = [base + lane for base in range(0, WIDTH, block) for lane in range(half)]
    low = ir.Constant(_INTS, first + [WIDTH + lane for lane in first])
    high = ir.Constant(_INTS, [lane + half for lane in first] + [WIDTH + lane + half for lane in first])
    return builder.fadd(builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high))


@intrinsic
def sums(typingctx, lanes):
    """From a tuple of up to 16 lanes to their sums, side by side in its order; the lanes beyond are not meant."""

    def codegen(context, builder, sig, values):
        vectors = cgutils.unpack_tuple(builder, values[0], len(sig.args[0]))
        nothing = ir.Constant(_FLOATS, ir.Undefined)
        block = WIDTH
        while block > 1:
            pairs = [vectors[i : i + 2] + [nothing] * (2 - len(vectors[i : i + 2])) for i in range(0, len(vectors), 2)]
            vectors = [_merge(builder, *pair, block) for pair in pairs]
            block //= 2
        return vectors[0]

    return LANES(lanes), codegen
