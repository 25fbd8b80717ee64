# SPDX-License-Identifier: GPL-3.0-or-later
"""The harmonics of files are those that trainers learn."""

import numpy as np
import pytest
import torch

from engine.harmonics import harmonics
from engine.kernels.project.reference import sh_basis


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_they_are_the_kernels_own(degree):
    directions = np.random.default_rng(0).normal(size=(100, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(harmonics(degree, directions), sh_basis(degree, torch.from_numpy(directions)).numpy(), atol=1e-12)


def test_they_are_orthonormal():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(200_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    functions = harmonics(3, directions)
    np.testing.assert_allclose(4 * np.pi * functions.T @ functions / len(functions), np.eye(16), atol=0.02)
