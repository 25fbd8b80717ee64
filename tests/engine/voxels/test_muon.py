# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps whose directions are equally long."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.voxels.muon import Muon, matrices, orthogonal
from engine.voxels.networks import VARIANTS, new_network


def brought(matrix):
    left, right = orthogonal(matrix)
    return left @ right


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (9, 9), (1, 30)])
def test_directions_stay_and_lengths_become_alike(shape):
    torch.manual_seed(1)
    made = torch.randn(shape)
    u, s, v = torch.linalg.svd(made, full_matrices=False)
    uneven = u @ torch.diag(torch.linspace(0.1, 1.0, len(s))) @ v
    found = torch.linalg.svdvals(brought(uneven))
    assert 0.6 < found.min() and found.max() < 1.3
    # The same directions: between its own, the result is diagonal.
    between = u.T @ brought(uneven) @ v.T
    torch.testing.assert_close(between, torch.diag(between.diagonal()), atol=1e-4, rtol=0)
    torch.testing.assert_close(brought(1e-9 * uneven), brought(uneven), atol=1e-3, rtol=0)
    assert brought(torch.zeros(shape)).abs().max() == 0


def test_a_transposed_kernel_is_a_matrix_of_outputs_by_inputs():
    torch.manual_seed(2)
    plain, transposed = nn.Conv3d(6, 4, 3).weight, nn.ConvTranspose3d(6, 4, 3).weight
    with torch.no_grad():
        transposed.copy_(plain.transpose(0, 1))
    gradient = torch.randn_like(plain)
    plain.grad, transposed.grad = gradient, gradient.transpose(0, 1).contiguous()
    Muon([plain, transposed], 1e-2, 0.1, [transposed]).step()
    torch.testing.assert_close(transposed.transpose(0, 1), plain)


def test_the_rate_says_how_long_a_step_is_whatever_the_gradient():
    lengths = []
    for scale in (1e-9, 1e3):
        torch.manual_seed(3)
        weight = nn.Conv2d(32, 32, 3).weight
        before = weight.detach().clone()
        weight.grad = scale * torch.randn_like(weight)
        Muon([weight], 1e-3, 0.0).step()
        lengths.append((weight - before).square().mean().sqrt().item())
    np.testing.assert_allclose(lengths[0], lengths[1], rtol=1e-3)
    assert 0.5e-3 < lengths[0] < 1.0e-3


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)])
def test_rounds_are_the_published_ones(shape):
    torch.manual_seed(4)
    matrix = torch.randn(shape, dtype=torch.float64)
    x = matrix / matrix.norm()
    for _ in range(4):
        x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
    torch.testing.assert_close(brought(matrix), x)


@pytest.mark.parametrize("name", [*VARIANTS, "simple"])
def test_which_weights_it_is_for(name):
    network = new_network(name)
    plain, transposed = matrices(network)
    chosen = {*plain, *transposed}
    # All but biases, what sees colors, and what gives voxels.
    left = [tuple(weight.shape) for weight in network.parameters() if weight.ndim > 1 and weight not in chosen]
    assert plain and all(3 in shape[:2] or 2 in shape[:2] or shape[0] == 32**3 for shape in left), left
    assert all(weight.ndim in (2, 4, 5) for weight in plain)
    assert all(weight.ndim == 5 for weight in transposed) and bool(transposed) == (name != "simple")
