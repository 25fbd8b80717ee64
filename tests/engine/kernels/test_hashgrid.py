# SPDX-License-Identifier: GPL-3.0-or-later
"""Hash encoding against the reference, and what interpolation promises."""

import numpy as np
import pytest
import torch

from engine.kernels import hashgrid
from engine.kernels.hashgrid import Layout, cpu, reference

SMALL = Layout(levels=8, features=2, log2_size=9, base=4, finest=200)


def places(count, seed=0):
    positions = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))
    if count > 20:
        positions[:8] = torch.tensor([[corner >> axis & 1 for axis in range(3)] for corner in range(8)], dtype=torch.float32)
        positions[8:12] = torch.tensor([[-0.1, 0.5, 2.0], [1.0, 0.0, 0.3], [0.25, 0.25, 0.25], [0.5, 0.5, 1.0]])
    return positions


def test_layout():
    table = Layout(16, 2, 17, 16, 2048).table
    assert table[0, 0] == 16 and table[-1, 0] == 2048 and (np.diff(table[:, 0]) > 0).all()
    assert table[0, 2] == 4920 and table[-1, 2] == 1 << 17
    assert (table[1:, 1] == table[:-1, 1] + table[:-1, 2]).all() and Layout(16, 2, 17, 16, 2048).rows == table[-1, 1] + table[-1, 2]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
@pytest.mark.parametrize("layout", [SMALL, Layout(8, 4, 15, 16, 1024), Layout(2, 4, 4, 2, 3)])
def test_features_and_gradients_equal_the_reference(count, layout):
    generator = torch.Generator().manual_seed(1)
    positions = places(count)
    table = torch.randn(layout.rows, layout.features, generator=generator)
    leaf = table.clone().requires_grad_()
    expected = reference.encode(positions, leaf, layout)
    torch.testing.assert_close(hashgrid.encode(positions, table, layout), expected.detach(), atol=2e-4, rtol=1e-4)
    cotangent = torch.randn(expected.shape, generator=generator)
    gradient = torch.autograd.grad(expected, leaf, cotangent)[0]
    torch.testing.assert_close(hashgrid.backward(positions, cotangent, layout), gradient, atol=2e-3, rtol=1e-3)


def test_a_table_of_ones_is_one_everywhere():
    features = hashgrid.encode(places(100), torch.ones(SMALL.rows, 2), SMALL)
    torch.testing.assert_close(features, torch.ones_like(features))


def test_the_number_of_threads_does_not_change_a_bit():
    rng = np.random.default_rng(0)
    positions = places(3000, seed=4).numpy()
    v_features = rng.normal(size=(3000, 16)).astype(np.float32)
    made = []
    for workers in (1, 2, 3, 20):
        v_table = np.zeros(2 * SMALL.rows, np.float32)
        cpu.backward(positions, v_features, np.array([[0, 1000], [1000, 3000]]), SMALL.table, SMALL.like, v_table, workers)
        made.append(v_table.tobytes())
    assert len(set(made)) == 1


def test_a_step_is_adam_on_touched_rows_and_leaves_others():
    rng = np.random.default_rng(0)
    table = rng.normal(size=2 * SMALL.rows).astype(np.float32)
    before = table.copy()
    one, two, gradients = (np.zeros_like(table) for _ in range(3))
    leaf = torch.nn.Parameter(torch.tensor(table).view(-1, 2))
    optimiser = torch.optim.Adam([leaf], lr=0.01, betas=(0.9, 0.99), eps=1e-15)
    positions = places(40, seed=3)
    for step in range(1, 6):
        v_features = torch.from_numpy(rng.normal(size=(40, 16)).astype(np.float32))
        leaf.grad = hashgrid.backward(positions, v_features, SMALL)
        optimiser.step()
        corrections = (0.01 / (1 - 0.9**step), 1 / (1 - 0.99**step))
        whole = np.array([[0, 40]])
        given = (positions.numpy(), v_features.numpy(), whole, SMALL.table, SMALL.like)
        cpu.backward_and_step(*given, table, one, two, gradients, *corrections, 2)
    assert not gradients.any()
    touched = leaf.grad.view(-1).numpy() != 0
    np.testing.assert_allclose(table[touched], leaf.detach().view(-1).numpy()[touched], rtol=1e-3, atol=1e-4)
    assert np.array_equal(table[~touched], before[~touched]) and touched.any() and not touched.all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e30, -1e30, 3e9])
@pytest.mark.parametrize("layout", [SMALL, Layout(8, 4, 15, 16, 1024)])
def test_places_of_any_number_have_rows_of_the_table(layout, value):
    """As at the cube's side; NaN as at its corner."""
    positions = places(40)
    positions[::3, 1] = value
    table = torch.randn(layout.rows, layout.features, generator=torch.Generator().manual_seed(0))
    expected = reference.encode(positions.nan_to_num(0.0).clamp(0, 1), table, layout)
    torch.testing.assert_close(hashgrid.encode(positions, table, layout), expected, atol=2e-4, rtol=1e-4)
    assert hashgrid.backward(positions, torch.ones(40, layout.width), layout).isfinite().all()


def test_tables_and_cotangents_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="table"):
        hashgrid.encode(places(3), torch.zeros(SMALL.rows - 8, 2), SMALL)
    with pytest.raises(ValueError, match="cotangents"):
        hashgrid.backward(places(3), torch.zeros(3, SMALL.width - 1), SMALL)
