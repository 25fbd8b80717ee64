# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixteen float32 side by side, as a Numba type: what is written with it becomes vector instructions, whatever LLVM thinks of the loop.

A loop over pixels is left to LLVM where it is simple. The compositing loop is not: a value that is the same for a whole column, sums that
fold only once a gaussian, and arrays that must not be proven apart each cost a factor when LLVM has to find them. On processors with
narrower vectors LLVM splits each operation.
"""

from __future__ import annotations

import operator

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

from .math import OPTIONS

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
_define(operator.le, lambda builder, a, b: builder.fcmp_ordered("<=", a, b), MASK)
_define(operator.gt, lambda builder, a, b: builder.fcmp_ordered(">", a, b), MASK)
_define(operator.lt, lambda builder, a, b: builder.fcmp_ordered("<", a, b), MASK)


@infer_global(operator.neg)
class _Neg(ConcreteTemplate):
    cases = [signature(LANES, LANES)]


@lower_builtin(operator.neg, LANES)
def _lower_neg(context, builder, sig, values):
    return builder.fneg(values[0])


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
def prefetch(typingctx, array, index):
    """Asks for the cache line of a flat index of a contiguous array, without waiting for it. Any index will do."""

    def codegen(context, builder, sig, values):
        data = context.make_array(sig.args[0])(context, builder, values[0]).data
        pointer = builder.bitcast(builder.gep(data, [values[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, *[ir.IntType(32)] * 3])
        to_read, all_caches, of_data = (ir.Constant(ir.IntType(32), value) for value in (0, 3, 1))
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, to_read, all_caches, of_data])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@intrinsic(prefer_literal=True)
def loads(typingctx, array, index, step, count):
    """A tuple of lanes ``step`` elements apart, as many as the constant ``count``; else as :func:`load`."""

    def codegen(context, builder, sig, values):
        found = []
        for k in range(count.literal_value):
            place = builder.add(values[1], builder.mul(values[2], ir.Constant(values[2].type, k)))
            found.append(builder.load(_place(context, builder, sig.args[0], values[0], place), align=4))
        return context.make_tuple(builder, sig.return_type, found)

    if isinstance(count, types.IntegerLiteral):
        return types.UniTuple(LANES, count.literal_value)(array, types.int64, types.int64, count), codegen


@intrinsic(prefer_literal=True)
def zeros(typingctx, count):
    """A tuple of as many lanes of zeros as the constant ``count``."""

    def codegen(context, builder, sig, values):
        return context.make_tuple(builder, sig.return_type, [_constant(0.0)] * count.literal_value)

    if isinstance(count, types.IntegerLiteral):
        return types.UniTuple(LANES, count.literal_value)(count), codegen


def _tile(builder, sums, vectors, index, step):
    """Each lanes of a tile of rows of ``vectors`` lanes, with its flat index where rows are ``step`` elements apart."""
    for n, lanes in enumerate(sums):
        row, vector = divmod(n, vectors)
        place = builder.add(index, builder.mul(step, ir.Constant(step.type, row)))
        yield lanes, builder.add(place, ir.Constant(place.type, WIDTH * vector))


@intrinsic(prefer_literal=True)
def multiply_add(typingctx, sums, a, a_index, a_step, b, b_index, vectors):
    """A tile of a matrix product, one step deep: ``sums``, a tuple of rows of ``vectors`` lanes, plus a column of ``a`` times a row of
    ``b``.

    Args:
        a, b: flat float32 arrays. a_index, a_step: where the column begins, and the elements from one row to the next.
        b_index: where the row begins. vectors: a constant.
    """

    def codegen(context, builder, sig, values):
        sums, a, a_index, a_step, b, b_index, _ = values
        width = sig.args[6].literal_value
        tile = cgutils.unpack_tuple(builder, sums, len(sig.args[0]))
        data = context.make_array(sig.args[1])(context, builder, a).data
        row = [
            builder.load(_place(context, builder, sig.args[4], b, builder.add(b_index, ir.Constant(b_index.type, WIDTH * v))), align=4)
            for v in range(width)
        ]
        made = []
        for n, lanes in enumerate(tile):
            if n % width == 0:
                place = builder.add(a_index, builder.mul(a_step, ir.Constant(a_step.type, n // width)))
                factor = _broadcast(builder, builder.load(cgutils.gep_inbounds(builder, data, place)))
            made.append(builder.fadd(lanes, builder.fmul(factor, row[n % width])))
        return context.make_tuple(builder, sig.return_type, made)

    if isinstance(vectors, types.IntegerLiteral):
        return sums(sums, a, types.int64, types.int64, b, types.int64, vectors), codegen


@intrinsic(prefer_literal=True)
def store_tile(typingctx, sums, array, index, step, vectors):
    """Writes a tuple of rows of the constant number of ``vectors`` lanes, rows ``step`` elements apart, from a flat index on."""

    def codegen(context, builder, sig, values):
        tile = cgutils.unpack_tuple(builder, values[0], len(sig.args[0]))
        for lanes, place in _tile(builder, tile, sig.args[4].literal_value, values[2], values[3]):
            builder.store(lanes, _place(context, builder, sig.args[1], values[1], place), align=4)
        return context.get_dummy_value()

    if isinstance(vectors, types.IntegerLiteral):
        return types.void(sums, array, types.int64, types.int64, vectors), codegen


@intrinsic(prefer_literal=True)
def add_tile(typingctx, sums, array, index, step, vectors):
    """The tuple plus what :func:`store_tile` would overwrite."""

    def codegen(context, builder, sig, values):
        tile = cgutils.unpack_tuple(builder, values[0], len(sig.args[0]))
        made = [
            builder.fadd(lanes, builder.load(_place(context, builder, sig.args[1], values[1], place), align=4))
            for lanes, place in _tile(builder, tile, sig.args[4].literal_value, values[2], values[3])
        ]
        return context.make_tuple(builder, sig.return_type, made)

    if isinstance(vectors, types.IntegerLiteral):
        return sums(sums, array, types.int64, types.int64, vectors), codegen


@intrinsic(prefer_literal=True)
def bytes_apart(typingctx, array, index, step):
    """The bytes at a flat index of a contiguous uint8 array and each constant ``step`` after it, as lanes.

    All ``16 step`` bytes from the index on are read. Nothing checks the bounds.
    """

    def codegen(context, builder, sig, values):
        block = ir.VectorType(ir.IntType(8), WIDTH)
        array = context.make_array(sig.args[0])(context, builder, values[0])
        start = builder.bitcast(cgutils.gep_inbounds(builder, array.data, values[1]), block.as_pointer())
        places = [lane * step.literal_value for lane in range(WIDTH)]
        found = ir.Constant(block, ir.Undefined)
        for k in range(step.literal_value):
            part = builder.load(builder.gep(start, [ir.Constant(ir.IntType(32), k)]), align=1)
            taken = [WIDTH + place % WIDTH if place // WIDTH == k else lane for lane, place in enumerate(places)]
            found = builder.shuffle_vector(found, part, ir.Constant(_INTS, taken))
        return builder.uitofp(builder.zext(found, _INTS), _FLOATS)

    if isinstance(step, types.IntegerLiteral) and array.layout == "C":
        return LANES(array, types.int64, step), codegen


@intrinsic
def broadcast(typingctx, value):
    """A float32 in every lane."""

    def codegen(context, builder, sig, values):
        return _broadcast(builder, values[0])

    return LANES(types.float32), codegen


def _lanes(builder, kind, value):
    """A lanes or float32 argument as lanes."""
    return value if kind is LANES else _broadcast(builder, value)


@intrinsic
def where(typingctx, mask, a, b):
    """The lanes of ``a`` where the mask holds, elsewhere those of ``b``, lanes or a float32."""

    def codegen(context, builder, sig, values):
        return builder.select(values[0], values[1], _lanes(builder, sig.args[2], values[2]))

    return LANES(MASK, LANES, b), codegen


@intrinsic
def smaller(typingctx, a, b):
    """The smaller of lanes and lanes or a float32; the latter where the former are not a number."""

    def codegen(context, builder, sig, values):
        bound = _lanes(builder, sig.args[1], values[1])
        return builder.select(builder.fcmp_ordered("<", values[0], bound), values[0], bound)

    return LANES(LANES, b), codegen


@intrinsic
def larger(typingctx, a, b):
    """The larger of lanes and lanes or a float32; the latter where the former are not a number."""

    def codegen(context, builder, sig, values):
        bound = _lanes(builder, sig.args[1], values[1])
        return builder.select(builder.fcmp_ordered(">", values[0], bound), values[0], bound)

    return LANES(LANES, b), codegen


@intrinsic
def sqrt(typingctx, lanes):
    """Square roots."""

    def codegen(context, builder, sig, values):
        kind = ir.FunctionType(_FLOATS, [_FLOATS])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{WIDTH}f32"), values)

    return LANES(LANES), codegen


@intrinsic
def absolute(typingctx, lanes):
    """Magnitudes."""

    def codegen(context, builder, sig, values):
        kind = ir.FunctionType(_FLOATS, [_FLOATS])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fabs.v{WIDTH}f32"), values)

    return LANES(LANES), codegen


@intrinsic
def bits(typingctx, mask):
    """The mask as a number, lane 0 in the lowest bit."""

    def codegen(context, builder, sig, values):
        return builder.zext(builder.bitcast(values[0], ir.IntType(WIDTH)), ir.IntType(32))

    return types.uint32(MASK), codegen


@intrinsic
def any_of(typingctx, mask):
    """Whether the mask holds in any lane."""

    def codegen(context, builder, sig, values):
        bits = builder.bitcast(values[0], ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(WIDTH), 0))

    return types.boolean(MASK), codegen


# 2^f on [-1, 0] to 2.6e-6 and to 7.5e-8 of its value: least maximal relative error, by reweighted least squares.
_EXP2 = (0.006767083848860716, 0.05307406591043912, 0.23934107295991797, 0.6930302008417547, 0.9999974066281392)
_EXP2_FINE = (
    0.0009387883286679371,
    0.009188611710220118,
    0.05527972256264969,
    0.240172189241678,
    0.6931422525923034,
    0.9999999250635002,
)


def _polynomial(builder, coefficients, x):
    value = _constant(coefficients[0])
    for coefficient in coefficients[1:]:
        value = builder.fadd(builder.fmul(value, x), _constant(coefficient))
    return value


def _times_power_of_two(builder, value, exponent):
    shifted = builder.shl(exponent, ir.Constant(_INTS, [23] * WIDTH))
    return builder.bitcast(builder.add(builder.bitcast(value, _INTS), shifted), _FLOATS)


@intrinsic
def exp2_of_negative(typingctx, lanes):
    """2^x for -126 <= x <= 0, relative error below 3e-6; for x outside, any number or none."""

    def codegen(context, builder, sig, values):
        # Cutting off the fraction of a negative number rounds up, which leaves f in (-1, 0].
        whole = builder.fptosi(values[0], _INTS)
        f = builder.fsub(values[0], builder.sitofp(whole, _FLOATS))
        return _times_power_of_two(builder, _polynomial(builder, _EXP2, f), whole)

    return LANES(LANES), codegen


@intrinsic
def _exp2(typingctx, lanes):
    def codegen(context, builder, sig, values):
        # Moved below 0 before the fraction is cut off, see above.
        below = ir.Constant(_INTS, [127] * WIDTH)
        whole = builder.add(builder.fptosi(builder.fsub(values[0], _constant(127.0)), _INTS), below)
        f = builder.fsub(values[0], builder.sitofp(whole, _FLOATS))
        return _times_power_of_two(builder, _polynomial(builder, _EXP2_FINE, f), whole)

    return LANES(LANES), codegen


@nb.njit(inline="always", **OPTIONS)
def exp(x):
    """e^x, relative error below 1e-6 where the result is between 1e-37 and 1e37; beyond, it stays there. The least for NaN."""
    return _exp2(smaller(larger(x * np.float32(np.log2(np.e)), np.float32(-123.0)), np.float32(123.0)))


@intrinsic
def log(typingctx, lanes):
    """The natural logarithm of positive normal numbers, absolute error below 2e-6 near 1 and relative elsewhere."""

    def codegen(context, builder, sig, values):
        number = builder.bitcast(values[0], _INTS)

        def ints(value):
            return ir.Constant(_INTS, [value] * WIDTH)

        # The mantissa in [sqrt(1/2), sqrt(2)); then ln m = 2 artanh((m-1)/(m+1)), |s| <= 0.1716.
        exponent = builder.ashr(builder.sub(number, ints(0x3F3504F3)), ints(23))
        m = builder.bitcast(builder.sub(number, builder.shl(exponent, ints(23))), _FLOATS)
        s = builder.fdiv(builder.fsub(m, _constant(1.0)), builder.fadd(m, _constant(1.0)))
        series = _polynomial(builder, [2 / 9, 2 / 7, 2 / 5, 2 / 3, 2.0], builder.fmul(s, s))
        whole = builder.fmul(builder.sitofp(exponent, _FLOATS), _constant(np.log(2.0)))
        return builder.fadd(whole, builder.fmul(series, s))

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
