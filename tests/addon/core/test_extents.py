# SPDX-License-Identifier: GPL-3.0-or-later
"""Extents of clouds and surfaces with strays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconstruct.addon.core.extents import Extent, measure


@pytest.mark.parametrize("spread", [0.0, 3.0, 200.0])
def test_stray_points_do_not_move_the_extent(chair, spread):
    rng = np.random.default_rng(0)
    points = chair(4000, rng) + [10, -20, 3]
    stray = rng.normal(size=(300, 3)) * spread + [10, -20, 3]
    weights = np.concatenate([np.full(len(points), 0.9), np.full(len(stray), 0.3)])
    extent = measure(np.concatenate([points, stray]), weights)
    np.testing.assert_allclose(extent.low, [9.75, -20.25, 3.0], atol=0.02)
    np.testing.assert_allclose(extent.high, [10.25, -19.75, 3.9], atol=0.02)


@given(st.integers(0, 1000), st.sampled_from([300, 3000, 20_000]), st.floats(0, 0.12), st.floats(-4, 4), st.floats(1e-3, 1e3))
@settings(max_examples=15, deadline=None)
def test_a_ball_among_strays_is_measured_at_every_scale(seed, count, share, offset, scale):
    rng = np.random.default_rng(seed)
    ball = rng.normal(size=(count, 3))
    ball *= 0.5 / np.linalg.norm(ball, axis=1, keepdims=True)
    # One at least. What is nearer to the ball than this might as well belong to it.
    strays = rng.uniform(-8, 8, (max(round(share * count), 1), 3))
    strays = strays[np.linalg.norm(strays, axis=1) > 1.5]
    cloud = (np.concatenate([ball, strays]) + offset) * scale
    extent = measure(cloud, np.concatenate([np.full(count, 0.9), np.full(len(strays), 0.7)]))
    np.testing.assert_allclose((extent.middle / scale, extent.size / scale), ([offset] * 3, [1] * 3), atol=0.05)


def test_of_a_room_with_reflections_below_its_floor_the_capture_tells_the_size():
    rng = np.random.default_rng(0)
    walls = rng.uniform(0, 1, (20_000, 3)) * [6, 5, 3]
    side = rng.integers(0, 3, len(walls))
    walls[np.arange(len(walls)), side] = np.round(walls[np.arange(len(walls)), side] / [6, 5, 3][0]) * np.array([6, 5, 3])[side]
    noise, below = rng.normal(0, 0.01, walls.shape), rng.uniform([0, 0, -1.2], [6, 5, 0], (2000, 3))
    bounds, cloud = Extent(np.zeros(3), np.array([6.0, 5, 3])), np.concatenate([walls + noise, below])
    assert measure(cloud, np.ones(len(cloud))).low[2] < -0.5
    for weights in (np.ones(len(cloud)), None):
        extent = measure(cloud, weights, bounds)
        np.testing.assert_array_equal((extent.low, extent.high), (bounds.low, bounds.high))
    # What was cut out of it has a size of its own, and what was moved out of it is measured as it is.
    table = cloud[(cloud[:, 0] < 2) & (cloud[:, 2] < 1)]
    np.testing.assert_allclose(measure(table, np.ones(len(table)), bounds).size, (2, 5, 1), atol=0.05)
    np.testing.assert_allclose(measure(walls + [50, 0, 0], np.ones(len(walls)), bounds).middle, (53, 2.5, 1.5), atol=0.05)


def test_degenerate_clouds_have_an_extent():
    one = measure(np.array([[1.0, 2.0, 3.0]]), np.zeros(1))
    assert one.low.tolist() == one.high.tolist() == [1, 2, 3]
    flat = measure(np.array([[0, 0, 5.0], [1, 0, 5.0], [0, 1, 5.0], [1, 1, 5.0]]), np.ones(4))
    assert flat.size.tolist() == [1, 1, 0]
