# SPDX-License-Identifier: GPL-3.0-or-later
"""Extents and placement, without Blender objects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconstruct.addon.core.layouts import Extent, measure, placement, viewpoint


def chair(count, rng):
    """A seat on four thin legs and a back, standing on height 0, 0.5 × 0.5 × 0.9 m."""
    seat = rng.uniform([-0.25, -0.25, 0.4], [0.25, 0.25, 0.45], (count, 3))
    back = rng.uniform([-0.25, 0.22, 0.45], [0.25, 0.25, 0.9], (count, 3))
    legs = rng.uniform([-0.02, -0.02, 0.0], [0.02, 0.02, 0.4], (count // 4, 3))
    legs[:, :2] += rng.choice([-0.23, 0.23], (len(legs), 2))
    return np.concatenate([seat, back, legs])


@pytest.mark.parametrize("spread", [0.0, 3.0, 200.0])
def test_stray_points_do_not_move_the_extent(spread):
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


numbers = st.floats(-50, 50)


BOX = Extent(np.array([-1.0, -0.5, 0.0]), np.array([1.0, 0.5, 3.0]))


@given(st.tuples(numbers, numbers, numbers), st.floats(-360, 360), st.booleans(), st.floats(0.1, 20))
def test_placement_puts_the_foot_at_the_location_at_true_scale(location, rotation, on_floor, length):
    pose = np.eye(4)
    pose[:3, 3] = (4.0, -1.5, 1.0)
    for _ in range(2):
        pose = placement(BOX, pose, location, rotation, on_floor, length / (3.0 * np.linalg.norm(pose[:3, 0])))
        np.testing.assert_allclose(pose[:3, 3], (*location[:2], 0.0 if on_floor else location[2]), atol=1e-9)
        scale = length / 3.0
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, scale**2 * np.eye(3), atol=1e-9 * scale**2)
        np.testing.assert_allclose(pose[:3, 2], (0, 0, scale), atol=1e-12)
        np.testing.assert_allclose(pose[:2, 0] / scale, (np.cos(np.radians(rotation)), np.sin(np.radians(rotation))), atol=1e-9)


@given(st.tuples(numbers, numbers, numbers), st.tuples(*[st.floats(-3, 3)] * 3), st.floats(0.1, 10))
def test_placement_keeps_what_is_not_asked_for(location, turns, scale):
    pose = np.eye(4)
    for axis, turn in enumerate(turns):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turned = np.eye(4)
        turned[[one, one, other, other], [one, other, one, other]] = np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)
        pose = turned @ pose
    pose[:3, :3] *= scale
    pose[:3, 3] = location
    np.testing.assert_allclose(placement(BOX, pose, None, None, False), pose, atol=1e-9)
    dropped = placement(BOX, pose, None, None, True)
    np.testing.assert_allclose(dropped[:3, :3], pose[:3, :3], atol=1e-12)
    corners = np.array([(x, y, z, 1) for x in (-1, 1) for y in (-0.5, 0.5) for z in (0, 3)]) @ dropped.T
    assert abs(corners[:, 2].min()) < 1e-9
    np.testing.assert_allclose((placement(BOX, pose, None, None, False, 2.0))[:3, :3], pose[:3, :3] * 2, atol=1e-9)


def test_a_room_is_looked_at_from_inside_and_a_chair_from_outside():
    rng = np.random.default_rng(1)
    walls = rng.uniform(0, 1, (6000, 3)) * [5, 4, 2.7]
    side = rng.integers(0, 3, len(walls))
    walls[np.arange(len(walls)), side] = np.round(walls[np.arange(len(walls)), side] / [5, 4, 2.7][0]) * np.array([5, 4, 2.7])[side]
    cupboard = rng.uniform([0, 0, 0], [1.5, 1.5, 2.2], (2000, 3))
    room = np.concatenate([walls, cupboard])
    eye, aim = viewpoint(room, np.ones(len(room)), measure(room, np.ones(len(room))))
    assert (eye > 0.3).all() and (eye < [4.7, 3.7, 2.0]).all() and not (eye[:2] < 1.8).all()
    assert np.linalg.norm(eye - aim) > 1
    points = chair(1000, rng)
    eye, aim = viewpoint(points, np.ones(len(points)), measure(points, np.ones(len(points))))
    assert np.linalg.norm(eye - aim) > 1 and eye[2] > 0.5
