# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.cameras import WORLD_AXES
from engine.formats.splats.transform import moved
from engine.harmonics import band_rotation
from engine.kernels.project.reference import rotation_matrices, sh_basis
from engine.rotations import quaternions

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def colors(splats, directions):
    """What the engine's definition shows of each splat to each direction. [N, D, 3]"""
    basis = sh_basis(splats.degree, torch.from_numpy(np.asarray(directions, dtype=np.float64)))
    return np.einsum("dk,nkc->ndc", basis.numpy(), splats.sh.astype(np.float64))


@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
@relaxed
def test_a_turned_splat_shows_each_side_what_it_showed(random_splats, any_rotation, seed, degree):
    splats = random_splats(seed, 5, degree)
    matrix, _ = any_rotation(seed)
    directions = np.random.default_rng(seed).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(colors(moved(splats, matrix), directions @ matrix.T), colors(splats, directions), atol=2e-6)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
@relaxed
def test_means_and_shapes_follow(random_splats, any_rotation, covariances, seed, scale):
    splats = random_splats(seed, 5, 1)
    matrix, _ = any_rotation(seed)
    there = moved(splats, matrix, scale, np.array([1.0, -2.0, 3.0]))
    expected = splats.means.astype(np.float64) @ matrix.T * scale + [1, -2, 3]
    np.testing.assert_allclose(there.means, expected, rtol=1e-6, atol=1e-6 * scale)
    shape = scale**2 * matrix @ covariances(splats) @ matrix.T
    np.testing.assert_allclose(covariances(there), shape, atol=1e-5 * np.abs(shape).max())


@given(st.integers(0, 2**32 - 1))
@relaxed
def test_quaternions_of_matrices(any_rotation, seed):
    matrix, quat = any_rotation(seed)
    np.testing.assert_allclose(rotation_matrices(torch.from_numpy(quat[None])).numpy()[0], matrix, atol=1e-12)


HALF_TURNS = [np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), np.diag([-1.0, -1, 1])]


@pytest.mark.parametrize("matrix", [*HALF_TURNS, *WORLD_AXES.values()])
def test_quaternions_of_half_turns(matrix):
    np.testing.assert_allclose(rotation_matrices(torch.from_numpy(quaternions(matrix[None]))).numpy()[0], matrix, atol=1e-12)


def test_turns_of_harmonics_are_rotations_and_compose(any_rotation):
    a, b = any_rotation(1)[0], any_rotation(2)[0]
    for band in (1, 2, 3):
        turn = band_rotation(band, a)
        np.testing.assert_allclose(turn @ turn.T, np.eye(2 * band + 1), atol=1e-12)
        np.testing.assert_allclose(turn @ band_rotation(band, b), band_rotation(band, a @ b), atol=1e-12)


def test_there_and_back(random_splats):
    splats = random_splats(3, 50, 3)
    for matrix in WORLD_AXES.values():
        back = moved(moved(splats, matrix), matrix.T)
        np.testing.assert_array_equal(back.means, splats.means)
        np.testing.assert_allclose(back.sh, splats.sh, atol=1e-6)


def test_axes_are_named_by_where_up_is():
    up = {"z-up": [0, 0, 1], "y-up": [0, 1, 0], "y-down": [0, -1, 0]}
    away = {"z-up": [0, 1, 0], "y-up": [0, 0, -1], "y-down": [0, 0, 1]}
    for name, matrix in WORLD_AXES.items():
        np.testing.assert_array_equal(matrix @ up[name], [0, 0, 1])
        np.testing.assert_array_equal(matrix @ away[name], [0, 1, 0])
        np.testing.assert_array_equal(matrix @ [1, 0, 0], [1, 0, 0])
