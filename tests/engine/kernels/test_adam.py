# SPDX-License-Identifier: GPL-3.0-or-later
"""The optimiser against torch's own."""

import numba as nb
import numpy as np
import torch

from engine.kernels import simd
from engine.kernels.adam import cpu, reference


@nb.njit
def step(values, gradient, first, second, rate, time):
    correction1, correction2 = np.float32(1 / (1 - 0.9**time)), np.float32(1 / (1 - 0.999**time))
    for i in range(0, values.size, simd.WIDTH):
        lanes = (simd.load(values, i), simd.load(gradient, i), simd.load(first, i), simd.load(second, i))
        value, one, two = cpu.adam(*lanes, np.float32(rate) * correction1, correction2)
        simd.store(values, i, value)
        simd.store(first, i, one)
        simd.store(second, i, two)


def test_steps_equal_torch_and_the_reference():
    rng = np.random.default_rng(0)
    start = rng.normal(size=320).astype(np.float32)
    mine, first, second = start.copy(), np.zeros_like(start), np.zeros_like(start)
    plain, plain_first, plain_second = (torch.tensor(array) for array in (start, first, second))
    theirs = torch.nn.Parameter(torch.tensor(start))
    optimiser = torch.optim.Adam([theirs], lr=0.01, eps=1e-15)
    for time in range(1, 30):
        gradient = rng.normal(size=start.shape).astype(np.float32) * (rng.random(len(start)) < 0.6)
        theirs.grad = torch.tensor(gradient)
        optimiser.step()
        reference.step(plain, theirs.grad, plain_first, plain_second, 0.01, time)
        step(mine, gradient, first, second, 0.01, time)
    np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(plain.numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
