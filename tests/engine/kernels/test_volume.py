# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing of packed samples against the reference and against closed forms."""

import math

import pytest
import torch

from engine.kernels import volume
from engine.kernels.autograd import composite
from engine.kernels.volume import reference


def packed(counts, seed=0, density=3.0):
    generator = torch.Generator().manual_seed(seed)
    total = sum(counts)
    starts = torch.tensor([0, *counts]).cumsum(0)
    dt = 0.01 + 0.05 * torch.rand(total, generator=generator)
    t = torch.rand(total, generator=generator)
    color = torch.rand(total, 3, generator=generator)
    return density * torch.rand(total, generator=generator) ** 4 / dt, color, t, dt, starts


@pytest.mark.parametrize("counts", [[5], [0, 3, 0, 0, 40, 1], [0], [], [200] * 130, [1] * 200])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0, 30.0])
def test_forward_and_backward_equal_the_reference(counts, density):
    values = packed(counts, density=density)
    leaves = [value.double().requires_grad_() for value in values[:2]]
    expected = reference.composite(*leaves, *(value.double() for value in values[2:4]), values[4])
    made = volume.forward(*values)
    for mine, theirs in zip(made, expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs.detach().double(), rtol=2e-4, atol=2e-4)
    generator = torch.Generator().manual_seed(1)
    cotangents = [torch.randn(part.shape, generator=generator) for part in made[:3]]
    gradients = torch.autograd.grad(expected[:3], leaves, [v.double() for v in cotangents], allow_unused=True, materialize_grads=True)
    for mine, theirs in zip(volume.backward(*values, *cotangents), gradients, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()) if theirs.numel() else 0)


def test_a_box_of_constant_density():
    """Alpha and the mean depth of light that leaves a homogeneous box are known."""
    samples, length, density = 4000, 2.0, 1.5
    dt = torch.full((samples,), length / samples)
    t = (torch.arange(samples) + 0.5) * dt
    color = torch.tensor([0.2, 0.5, 1.0]).expand(samples, 3)
    made, depth, alpha, _ = volume.forward(torch.full((samples,), density), color, t, dt, torch.tensor([0, samples]))
    solid = 1 - math.exp(-density * length)
    assert float(alpha) == pytest.approx(solid, abs=1e-5)
    torch.testing.assert_close(made[0], solid * color[0], atol=1e-5, rtol=0)
    mean = 1 / density - math.exp(-density * length) * (length + 1 / density)
    assert float(depth) == pytest.approx(mean, abs=1e-4)


def test_an_opaque_plane_hides_what_is_behind():
    density = torch.tensor([0.0, 0.0, 1e6, 5.0, 5.0])
    color = torch.eye(5)[:, :3]
    made, depth, alpha, used = volume.forward(density, color, torch.arange(5.0), torch.ones(5), torch.tensor([0, 5]))
    torch.testing.assert_close(made[0], torch.tensor([0.0, 0.0, 1.0]))
    assert float(depth) == pytest.approx(2) and float(alpha) == pytest.approx(1) and int(used) == 3


def test_autograd_takes_the_pair():
    values = packed([7, 0, 12], seed=2)
    leaves = [value.clone().requires_grad_() for value in values[:2]]
    color, depth, alpha, used = composite(*leaves, *values[2:])
    (color.sum() * 2 + depth.sum() - alpha.sum()).backward()
    expected = volume.backward(*values, torch.full((3, 3), 2.0), torch.ones(3), -torch.ones(3))
    assert all(torch.equal(leaf.grad, gradient) for leaf, gradient in zip(leaves, expected, strict=True))
    assert not used.requires_grad


@pytest.mark.parametrize("starts", [[-1, 5], [0, 6], [0, 9, 5], [0, 2**62], [3, 2]])
def test_samples_that_are_not_there_are_refused(starts):
    density, color, t, dt, _ = packed([5])
    cotangents = (torch.zeros(len(starts) - 1, 3), *torch.zeros(2, len(starts) - 1))
    for made in (lambda *parts: volume.forward(*parts), lambda *parts: volume.backward(*parts, *cotangents)):
        with pytest.raises(ValueError, match="starts"):
            made(density, color, t, dt, torch.tensor(starts))
        with pytest.raises(ValueError, match="samples"):
            made(density, color[:4], t, dt, torch.tensor([0, 5]))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -1.0])
def test_densities_of_any_number_count_no_samples_of_others(value):
    density, color, t, dt, starts = packed([5, 5])
    density[2] = value
    *_, used = volume.forward(density, color, t, dt, starts)
    assert (used >= 0).all() and (used <= 5).all()
