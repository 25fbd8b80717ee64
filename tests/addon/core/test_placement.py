# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses at a place in a room, and views of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reconstruct.addon.core.extents import Extent, measure
from reconstruct.addon.core.placement import placement, viewpoint

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


def test_a_room_is_looked_at_from_inside_and_a_chair_from_outside(chair):
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
