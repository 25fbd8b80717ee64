# SPDX-License-Identifier: GPL-3.0-or-later
"""Products of matrices by the units that some processors have for that (Intel AMX), in bfloat16 with sums in float32.

Eight tile registers of 16 rows of 64 bytes each belong to a thread. One instruction adds the product of [16, 32] and [32, 16] bfloat16 to
[16, 16] float32: sixteen times as many operations in a cycle as the vector units do with float32. Two numbers that are multiplied with two
others share 32 bits. Which two is free as long as both sides agree: here the ones that are sixteen apart, so that pairs are made of whole
vectors on either side.

Where kernels are compiled for processors without the units, what is here compiles to nothing, and must not be called.
"""

from __future__ import annotations

import os
import sys
from functools import cache

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from . import simd
from .math import OPTIONS

# Rows of a tile, and how deep one instruction multiplies.
ROWS, DEEP = 16, 32
# Tiles of sums side by side; they have the first registers. Those of the two sides of a product.
_WIDE = 4
_LEFT, _RIGHT = 4, (5, 6)
# What kernels/__init__ has Numba compile for.
_COMPILED = "+amx-bf16" in os.environ["NUMBA_CPU_FEATURES"].split(",")
_BYTE, _LONG = ir.IntType(8), ir.IntType(64)
# Palette 1: how many bytes a row of each tile has, and how many rows.
_SHAPES = np.zeros(64, np.uint8)
_SHAPES[0], _SHAPES[16:32:2], _SHAPES[48:56] = 1, 64, ROWS


@cache
def available() -> bool:
    """Whether this processor has the units, kernels are compiled for them, and the system lets this process use them."""
    import torch

    # Linux gives the registers to processes that ask. Private to torch 2.13, whose own products need them too.
    return _COMPILED and sys.platform == "linux" and torch.cpu._init_amx()


def _emit(builder, name: str, *values) -> None:
    """Calls an instruction of LLVM, unless kernels are compiled for processors without it."""
    if _COMPILED:
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), values)


def _bytes(context, builder, kind, array, index):
    """Where an element of an array lies."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _BYTE.as_pointer())


def _tiles(context, builder, name: str, kind, array, index, step, numbers) -> None:
    """Loads or stores tiles that lie side by side in rows of ``step`` float32."""
    stride = builder.mul(step, ir.Constant(_LONG, 4))
    for count, number in enumerate(numbers):
        place = builder.add(index, ir.Constant(_LONG, ROWS * count))
        _emit(builder, name, ir.Constant(_BYTE, number), _bytes(context, builder, kind, array, place), stride)


@intrinsic
def _configure(typingctx, shapes, before):
    """Takes tiles of shapes into use, and writes down those of before, both [64] uint8."""

    def codegen(context, builder, sig, values):
        first = ir.Constant(_LONG, 0)
        _emit(builder, "sttilecfg", _bytes(context, builder, sig.args[1], values[1], first))
        _emit(builder, "ldtilecfg", _bytes(context, builder, sig.args[0], values[0], first))
        return context.get_dummy_value()

    return types.void(shapes, before), codegen


@nb.njit(**OPTIONS)
def begin():
    """Takes the tiles of this thread into use. Returns what :func:`end` wants: torch's products remember what they set."""
    before = np.empty(64, np.uint8)
    _configure(_SHAPES, before)
    return before


@nb.njit(**OPTIONS)
def end(before):
    """Gives the tiles back as they were."""
    _configure(before, np.empty(64, np.uint8))


@intrinsic(prefer_literal=True)
def _zeros(typingctx, wide):
    """Sums of 0, in as many tiles as the constant ``wide``."""

    def codegen(context, builder, sig, values):
        for number in range(sig.args[0].literal_value):
            _emit(builder, "tilezero", ir.Constant(_BYTE, number))
        return context.get_dummy_value()

    if isinstance(wide, types.IntegerLiteral):
        return types.void(wide), codegen


def _sums_and_memory(name: str):
    """An instruction between the sums and 16 rows of a flat float32 array, ``step`` apart, from an index on."""

    @intrinsic(prefer_literal=True)
    def move(typingctx, array, index, step, wide):
        def codegen(context, builder, sig, values):
            _tiles(context, builder, name, sig.args[0], *values[:3], range(sig.args[3].literal_value))
            return context.get_dummy_value()

        if isinstance(wide, types.IntegerLiteral):
            return types.void(array, types.int64, types.int64, wide), codegen

    return move


_load, _store = _sums_and_memory("tileloadd64"), _sums_and_memory("tilestored64")


@intrinsic(prefer_literal=True)
def _multiply_add(typingctx, left, left_at, left_step, right, right_at, right_step, wide):
    """Adds the products of a tile of pairs on the left and ``wide`` tiles on the right, side by side, to the sums."""

    def codegen(context, builder, sig, values):
        left, left_at, left_step, right, right_at, right_step, _ = values
        _tiles(context, builder, "tileloadd64", sig.args[0], left, left_at, left_step, [_LEFT])
        for number in range(sig.args[6].literal_value):
            # In turns, so that one can be loaded while the other is multiplied.
            side = _RIGHT[number % 2]
            place = builder.add(right_at, ir.Constant(_LONG, ROWS * number))
            _tiles(context, builder, "tileloadd64", sig.args[3], right, place, right_step, [side])
            _emit(builder, "tdpbf16ps", *(ir.Constant(_BYTE, each) for each in (number, _LEFT, side)))
        return context.get_dummy_value()

    if isinstance(wide, types.IntegerLiteral):
        return types.void(left, types.int64, types.int64, right, types.int64, types.int64, wide), codegen


@intrinsic
def _pair(typingctx, low, high):
    """Two lanes as bfloat16, rounded to the nearest and away from 0 between two, in the lower and the upper halves of one."""

    def codegen(context, builder, sig, values):
        ints = ir.VectorType(ir.IntType(32), simd.WIDTH)
        constant = lambda value: ir.Constant(ints, [value] * simd.WIDTH)  # noqa: E731
        low, high = (builder.add(builder.bitcast(value, ints), constant(0x8000)) for value in values)
        both = builder.or_(builder.lshr(low, constant(16)), builder.and_(high, constant(0xFFFF0000)))
        return builder.bitcast(both, values[0].type)

    return simd.LANES(simd.LANES, simd.LANES), codegen


@intrinsic
def _turned(typingctx, rows):
    """From 16 lanes, the rows of a matrix, to its columns."""

    def codegen(context, builder, sig, values):
        made = cgutils.unpack_tuple(builder, values[0], simd.WIDTH)
        ints = ir.VectorType(ir.IntType(32), simd.WIDTH)
        # Blocks of 8, then of 4, 2 and 1 change places across the diagonal.
        size = simd.WIDTH // 2
        while size:
            swapped = list(made)
            for row in range(simd.WIDTH):
                if row & size:
                    continue
                upper, lower = made[row], made[row + size]
                first = [lane if not lane & size else simd.WIDTH + lane - size for lane in range(simd.WIDTH)]
                second = [lane + size if not lane & size else simd.WIDTH + lane for lane in range(simd.WIDTH)]
                swapped[row] = builder.shuffle_vector(upper, lower, ir.Constant(ints, first))
                swapped[row + size] = builder.shuffle_vector(upper, lower, ir.Constant(ints, second))
            made, size = swapped, size // 2
        return context.make_tuple(builder, sig.args[0], made)

    return rows(rows), codegen


@nb.njit(inline="always", **OPTIONS)
def _pairs(values, at, step, deep):
    """Pairs of the 16 numbers at an index and of those ``step`` further, or of 0 where ``deep`` numbers do not reach so far."""
    low = simd.load(values, at)
    return _pair(low, simd.load(values, at + step) if deep > ROWS else simd.broadcast(np.float32(0.0)))


@nb.njit(**OPTIONS)
def pack_left(a, at, step, rows, deep, left):
    """Packs the left side of a product: ``rows`` rows of ``deep`` numbers side by side, ``step`` elements apart, from a flat index on.

    Where ``deep`` is no multiple of 16, what follows in a row has to be 0 up to there. ``left``: flat, receives rows / 2 * deep float32,
    ``deep`` rounded up to 32.
    """
    wide = (deep + DEEP - 1) // DEEP * ROWS
    for r in range(rows):
        for d in range(0, deep, DEEP):
            simd.store(left, r * wide + d // 2, _pairs(a, at + r * step + d, ROWS, deep - d))


@nb.njit(**OPTIONS)
def pack_left_turned(a, at, step, rows, deep, left):
    """As :func:`pack_left` where columns have their numbers side by side: ``deep`` columns, ``step`` elements apart, of ``rows`` numbers.
    Both are multiples of 16.
    """
    wide = (deep + DEEP - 1) // DEEP * ROWS
    for r in range(0, rows, ROWS):
        for d in range(0, deep, DEEP):
            for k in range(ROWS):
                simd.store(left, (r + k) * wide + d // 2, _pairs(a, at + (d + k) * step + r, ROWS * step, deep - d))
            tile = r * wide + d // 2
            simd.store_tile(_turned(simd.loads(left, tile, wide, ROWS)), left, tile, wide, 1)


@nb.njit(**OPTIONS)
def pack_right(b, at, deep, columns, right, right_at):
    """Packs the right side of a product: ``deep`` rows of ``columns`` numbers, from a flat index on; both are multiples of 16.

    ``right``: flat, receives deep / 2 * columns float32 from ``right_at`` on, ``deep`` rounded up to 32: at most as many as come in.
    """
    for d in range(0, deep, DEEP):
        for k in range(ROWS):
            for c in range(0, columns, ROWS):
                simd.store(right, right_at + (d // 2 + k) * columns + c, _pairs(b, at + (d + k) * columns + c, ROWS * columns, deep - d))


@nb.njit(inline="always", **OPTIONS)
def _strip(left, left_at, deep, right, right_at, out, out_at, columns, add, wide):
    """A row of ``wide`` tiles of a product."""
    if add:
        _load(out, out_at, columns, wide)
    else:
        _zeros(wide)
    for d in range(0, deep, ROWS):
        _multiply_add(left, left_at + d, deep, right, right_at + d * columns, columns, wide)
    _store(out, out_at, columns, wide)


@nb.njit(**OPTIONS)
def multiply(left, right, right_at, out, out_at, rows, deep, columns, add):
    """out[r, c] = the sum over d of products of what was packed, added to what is there where ``add`` is true.

    Args:
        left: of :func:`pack_left`. right: of :func:`pack_right`, from right_at on. out: flat float32 from out_at on, rows of ``columns``.
        rows, columns: multiples of 16. deep: as it was packed with.
    """
    wide = (deep + DEEP - 1) // DEEP * ROWS
    for r in range(0, rows, ROWS):
        c = 0
        while c + _WIDE * ROWS <= columns:
            _strip(left, r * wide, wide, right, right_at + c, out, out_at + r * columns + c, columns, add, _WIDE)
            c += _WIDE * ROWS
        while c < columns:
            _strip(left, r * wide, wide, right, right_at + c, out, out_at + r * columns + c, columns, add, 1)
            c += ROWS
