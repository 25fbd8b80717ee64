# SPDX-License-Identifier: GPL-3.0-or-later
"""Pooling and rectifying against torch's own."""

import pytest
import torch

from engine.kernels import pooling
from engine.kernels.autograd import pool
from engine.kernels.pooling import reference


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(3, 5, 127, 127), (2, 16, 64, 33), (1, 40, 9, 6), (2, 1, 2, 1), (1, 3, 1, 1), (0, 4, 5, 5)])
@pytest.mark.parametrize("side_by_side", [True, False])
def test_both_directions_equal_the_reference_to_the_last_bit(kind, size, side_by_side):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, generator=generator).to(kind)
    # Whole numbers, so that several pixels of a window are as large, and zeros.
    x = x.round() if size[1] == 16 else x
    x = x.contiguous(memory_format=torch.channels_last) if side_by_side else x
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    made, expected = pool(mine, 0.01), reference.pool(theirs, 0.01)
    assert torch.equal(made, expected)
    cotangent = torch.randn(expected.shape, generator=generator).to(kind)
    (gradient,), (truth,) = torch.autograd.grad(made, mine, cotangent), torch.autograd.grad(expected, theirs, cotangent)
    assert torch.equal(gradient, truth)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_what_is_no_number_shows(kind):
    x = torch.ones(1, 2, 8, 8, dtype=kind)
    x[0, 1, 3, 4] = torch.nan
    x[0, 0, 5, 5] = torch.inf
    made, _ = pooling.forward(x, 0.01)
    assert torch.equal(made.isnan(), reference.pool(x, 0.01).isnan()) and made.isnan().sum() == 1
    assert made.isinf().sum() == 1


def test_what_does_not_fit_is_refused():
    made, places = pooling.forward(torch.ones(1, 2, 8, 8), 0.01)
    for high, wide in ((10, 8), (8, 6)):
        with pytest.raises(ValueError):
            pooling.backward(made, places, 0.01, high, wide)
    with pytest.raises(ValueError):
        pooling.backward(made[:, :1], places, 0.01, 8, 8)
    with pytest.raises(ValueError):
        pooling.forward(torch.ones(1, 2, 0, 8), 0.01)
