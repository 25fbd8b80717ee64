# SPDX-License-Identifier: GPL-3.0-or-later
"""Products in bfloat16 by the units for matrices, where the processor has them."""

import numba as nb
import numpy as np
import pytest
import torch

from engine.kernels import amx

pytestmark = pytest.mark.skipif(not amx.available(), reason="needs a processor with Intel AMX")


@nb.njit
def product(a, b, out, rows, deep, columns, turned, add, left, right):
    before = amx.begin()
    if turned:
        amx.pack_left_turned(a, 0, rows, rows, deep, left)
    else:
        amx.pack_left(a, 0, deep, rows, deep, left)
    amx.pack_right(b, 0, deep, columns, right, 0)
    amx.multiply(left, right, 0, out, 0, rows, deep, columns, add)
    amx.end(before)


def rounded(values):
    return torch.from_numpy(values).bfloat16().double().numpy()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("rows, deep, columns", [(16, 16, 16), (16, 32, 64), (64, 64, 16), (48, 80, 96), (16, 48, 128)])
def test_products_are_those_of_rounded_numbers(rows, deep, columns, add, turned):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=size).astype(np.float32) for size in ((rows, deep), (deep, columns)))
    # What lies where nothing is packed must not be seen, and what lies behind must stay.
    sizes = [rows * columns, *((deep + 31) // 32 * 16 * count for count in (rows, columns))]
    out, left, right = (np.full(size + 16, np.nan, np.float32) for size in sizes)
    out[: rows * columns] = 2
    product((a.T if turned else a).ravel().copy(), b.ravel(), out, rows, deep, columns, turned, add, left, right)
    np.testing.assert_allclose(out[:-16].reshape(rows, columns), rounded(a) @ rounded(b) + 2 * add, rtol=1e-5, atol=1e-4)
    for array in (out, left, right):
        assert np.isnan(array[-16:]).all() and not np.isnan(array[:-16]).any()


def test_rows_of_a_few_numbers_end_in_zeros():
    a, b = np.zeros((16, 16), np.float32), np.eye(16, dtype=np.float32)
    a[:, :3] = np.arange(48).reshape(16, 3)
    left, right, out = np.zeros(256, np.float32), np.zeros(256, np.float32), np.zeros((16, 16), np.float32)
    narrow_rows(a.ravel(), b.ravel(), out.reshape(-1), left, right)
    np.testing.assert_array_equal(out, a)


@nb.njit
def narrow_rows(a, b, out, left, right):
    before = amx.begin()
    amx.pack_left(a, 0, 16, 16, 3, left)
    amx.pack_right(b, 0, 16, 16, right, 0)
    amx.multiply(left, right, 0, out, 0, 16, 3, 16, False)
    amx.end(before)


def test_the_products_of_torch_find_their_tiles_as_they_left_them():
    torch.manual_seed(0)
    a, b = torch.randn(64, 96).bfloat16(), torch.randn(96, 48).bfloat16()
    expected = a @ b
    numbers = np.zeros(16 * 16, np.float32)
    for _ in range(3):
        product(numbers, numbers, numbers.copy(), 16, 16, 16, False, False, np.zeros(256, np.float32), np.zeros(256, np.float32))
        assert torch.equal(a @ b, expected)
