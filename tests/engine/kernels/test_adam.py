# SPDX-License-Identifier: GPL-3.0-or-later
"""The optimiser against torch's own."""

import numpy as np
import torch

from engine.kernels.adam import cpu, reference


def test_steps_equal_torch_and_the_reference():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(300, 7)).astype(np.float32)
    mine, first, second = start.copy(), np.zeros_like(start), np.zeros_like(start)
    plain, plain_first, plain_second = (torch.tensor(array) for array in (start, first, second))
    theirs = torch.nn.Parameter(torch.tensor(start))
    optimiser = torch.optim.Adam([theirs], lr=0.01, eps=1e-15)
    for time in range(1, 30):
        gradient = rng.normal(size=start.shape).astype(np.float32)
        seen = rng.random(len(start)) < 0.6
        theirs.grad = torch.tensor(np.where(seen[:, None], gradient, 0))
        optimiser.step()
        reference.step(plain, theirs.grad, plain_first, plain_second, 0.01, time)
        gradient[~seen] = np.nan
        cpu.step(mine, gradient, first, second, seen, 0.01, time)
    np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(plain.numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
