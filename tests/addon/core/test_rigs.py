# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigs on made-up spaces: a box room with a pillar, and open space."""

import math

import numpy as np
import pytest
from reconstruct.addon.core import rigs

WIDE = math.radians(75)


def box_room(side=6.0, height=3.0, pillar=1.0):
    """A room around the origin with a square pillar in its middle."""
    low, high = np.array([-side / 2, -side / 2, 0.0]), np.array([side / 2, side / 2, height])
    half = np.array([pillar / 2, pillar / 2, height])

    def sight(place, direction):
        with np.errstate(divide="ignore", invalid="ignore"):
            walls = np.max([(low - place) / direction, (high - place) / direction], axis=0)
            first, second = (-half - place) / direction, (half - place) / direction
        enter, leave = np.nanmax(np.minimum(first, second)[:2]), np.nanmin(np.maximum(first, second)[:2])
        return float(enter) if 0 < enter < leave else float(np.nanmin(walls))

    def clear(place, radius):
        outside = np.maximum(np.abs(place[:2]) - half[:2], 0)
        return bool((place - low > radius).all() and (high - place > radius).all() and np.linalg.norm(outside) > radius)

    return rigs.Space(low, high, 0.0, clear, lambda place: True, sight, True)


def open_space():
    return rigs.Space(
        np.zeros(3), np.ones(3), 0.0, lambda place, radius: True, lambda place: False, lambda place, direction: math.inf, False
    )


def check_rigid(poses):
    for pose in poses:
        assert np.allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-12)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
        # Upright: the picture's horizon is level.
        assert abs(pose[2, 0]) < 1e-12


@pytest.mark.parametrize("seed", [0, 12345])
def test_room_cameras_stand_free_at_eye_height_and_look_across(seed):
    space = box_room()
    poses = rigs.room(space, 10, 1.5, WIDE, 4 / 3, seed)
    assert len(poses) == 10
    check_rigid(poses)
    places = np.array([pose[:3, 3] for pose in poses])
    assert all(space.clear(place, 0.35) for place in places)
    assert np.abs(places[:, 2] - 1.5).max() <= 0.31
    assert np.ptp(places[:, 2]) > 0.1
    assert np.median([space.sight(pose[:3, 3], -pose[:3, 2]) for pose in poses]) > 2.0
    assert (np.ptp(places[:, :2], axis=0) > 4.0).all()


def test_room_cameras_together_see_every_corner():
    space = box_room()
    poses = rigs.room(space, 16, 1.5, WIDE, 4 / 3, 0)
    for corner in np.array([[x, y, z] for x in (-2.8, 2.8) for y in (-2.8, 2.8) for z in (0.3, 1.5, 2.5)]):
        seen = 0
        for pose in poses:
            offset = corner - pose[:3, 3]
            distance = np.linalg.norm(offset)
            x, y, depth = (offset @ pose[:3, :3]) * (1, 1, -1)
            tangent = math.tan(WIDE / 2)
            framed = depth > 0 and abs(x) < tangent * depth and abs(y) < tangent * 0.75 * depth
            seen += framed and space.sight(pose[:3, 3], offset / distance) > 0.97 * distance
        assert seen >= 2


def test_the_same_seed_gives_the_same_rig():
    space = box_room()
    one, two, other = (np.array(rigs.room(space, 3, 1.5, WIDE, 1.0, seed)) for seed in (5, 5, 6))
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    one, two, other = (np.array(rigs.orbit(open_space(), np.zeros(3), np.ones(3), 6, WIDE, 1.0, seed)) for seed in (5, 5, 6))
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_a_room_without_free_places_has_no_rig():
    assert rigs.room(box_room(side=1.5, pillar=1.0), 4, 1.5, WIDE, 1.0, 0) == []


@pytest.mark.parametrize("aspect", [0.5, 4 / 3, 3.0])
@pytest.mark.parametrize("size", [(1.0, 1.0, 1.0), (3.0, 0.4, 1.2), (0.05, 0.02, 0.08)])
def test_an_orbit_frames_the_object_from_all_around(aspect, size):
    low = np.array([10.0, -4.0, 0.5])
    high = low + size
    poses = rigs.orbit(open_space(), low, high, 16, WIDE, aspect, 3)
    assert len(poses) == 16
    check_rigid(poses)
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    tangent = math.tan(WIDE / 2)
    for pose in poses:
        local = (corners - pose[:3, 3]) @ pose[:3, :3]
        depth = -local[:, 2]
        assert (depth > 0).all()
        assert (np.abs(local[:, 0]) <= tangent * depth * 1.001).all()
        assert (np.abs(local[:, 1]) <= tangent / aspect * depth * 1.001).all()
    offsets = np.array([pose[:3, 3] for pose in poses]) - (low + high) / 2
    heights = np.degrees(np.arcsin(offsets[:, 2] / np.linalg.norm(offsets, axis=1)))
    assert -10 <= heights.min() < 5 and 45 < heights.max() <= 61
    turns = np.sort(np.degrees(np.arctan2(offsets[:, 1], offsets[:, 0])))
    assert np.max(np.diff([*turns, turns[0] + 360])) < 100


def test_an_orbit_comes_closer_where_walls_are_and_stays_inside():
    space = box_room(side=4.0, height=2.6, pillar=0.0)
    poses = rigs.orbit(space, np.array([-0.7, -0.7, 0.0]), np.array([0.7, 0.7, 1.0]), 12, WIDE, 4 / 3, 0)
    assert len(poses) == 12
    for pose in poses:
        assert space.clear(pose[:3, 3], 0.2)


def test_an_object_hidden_from_everywhere_has_no_orbit():
    blocked = rigs.Space(np.zeros(3), np.ones(3), 0.0, lambda place, radius: True, lambda place: True, lambda place, direction: 0.01, True)
    assert rigs.orbit(blocked, np.zeros(3), np.ones(3), 4, WIDE, 1.0, 0) == []
