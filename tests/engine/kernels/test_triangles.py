# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangles in a picture against the reference, and against a plane."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.triangles import rasterize, reference


def drawn(points, triangles, width, height):
    return rasterize(np.asarray(points, float), np.asarray(triangles), width, height)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_reference(seed):
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.uniform(-10, 60, (90, 2)), rng.uniform(-0.3, 5, (90, 1))], axis=1)
    triangles = np.concatenate([rng.integers(0, 90, (40, 3)), [[0, 0, 1]]])
    faces, depth, shares = drawn(points, triangles, 50, 70)
    others = reference.rasterize(torch.from_numpy(points), torch.from_numpy(triangles), 50, 70)
    np.testing.assert_array_equal(faces, others[0].numpy())
    np.testing.assert_allclose(depth, others[1].numpy(), rtol=1e-5)
    np.testing.assert_allclose(shares, others[2].numpy(), atol=1e-5)
    assert (faces >= 0).any() and (faces < 0).any()


def test_places_between_corners_are_found_in_perspective():
    corners = np.array([[-1.0, -1, 2], [3, -1, 4], [0, 2, 3]])
    points = np.c_[20 * corners[:, :2] / corners[:, 2:] + 16, corners[:, 2]]
    faces, depth, shares = drawn(points, [[0, 1, 2]], 40, 40)
    row, column = np.nonzero(faces == 0)
    second, third = shares[row, column].T.astype(float)
    places = corners[0] * (1 - second - third)[:, None] + corners[1] * second[:, None] + corners[2] * third[:, None]
    np.testing.assert_allclose(places[:, 2], depth[row, column], rtol=1e-5)
    np.testing.assert_allclose(20 * places[:, 0] / places[:, 2] + 16, column + 0.5, atol=1e-3)


def test_bad_corners_draw_nothing():
    bad = np.array([[np.nan, 1, 1], [5, 1, 1], [1, 5, 1], [5, 5, -1], [1e300, 1, 1], [-1e300, 1e300, 1], [np.inf, 2, 1]])
    faces, depth, _ = drawn(bad, [[0, 1, 2], [1, 2, 3], [1, 6, 2]], 8, 8)
    assert (faces == -1).all() and (depth == 0).all()
    assert drawn(bad, [[1, 4, 5]], 8, 8)[0].max() <= 0
    assert drawn(bad, np.zeros((0, 3)), 8, 8)[0].max() == -1


@pytest.mark.parametrize("corner", [-1, 3, 2**31 - 1, 2**31, 2**40, -(2**31)])
def test_corners_that_are_not_there_are_refused(corner):
    with pytest.raises(ValueError, match="triangles"):
        drawn(np.ones((3, 3)), [[0, 1, 2], [0, corner, 1]], 8, 8)
    with pytest.raises(ValueError, match="triangles"):
        drawn(np.zeros((0, 3)), [[0, 0, 0]], 8, 8)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_points_of_any_numbers_stay_in_the_picture(seed):
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.uniform(-10, 60, (30, 2)), rng.uniform(0.1, 5, (30, 1))], axis=1)
    points[rng.random(points.shape) < 0.2] = rng.choice([np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-300, 0.0])
    faces, depth, _ = drawn(points, rng.integers(0, 30, (40, 3)), 50, 40)
    assert faces.min() >= -1 and faces.max() < 40 and not np.isnan(depth).any()
