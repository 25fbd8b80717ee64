# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed cloud lies on surfaces, in their colors, evenly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reconstruct.addon.core.rigs import look_along
from reconstruct.addon.core.seed_points import SeedPoints, thin
from reconstruct.engine.cameras import Camera, unproject


def floor_view(place, direction):
    """What a camera sees of a checkered floor at z = 0 with a wall at x = 3: camera, picture, depth."""
    camera = Camera(64, 48, 40.0, 40.0, 32.0, 24.0, look_along(np.array(place), np.array(direction)))
    rays = unproject(camera, np.ones((48, 64))) - camera.position
    with np.errstate(divide="ignore"):
        floor = np.where(rays[..., 2] < 0, -camera.position[2] / rays[..., 2], np.inf)
        wall = np.where(rays[..., 0] > 0, (3 - camera.position[0]) / rays[..., 0], np.inf)
    depth = np.minimum(floor, wall)
    picture = np.zeros((48, 64, 4), np.uint8)
    picture[..., 3] = 255
    picture[floor < wall, 0] = 200
    picture[floor >= wall, 2] = 100
    depth = np.where(depth < 8, depth, 0)
    picture[depth == 0] = 0
    return camera, picture, depth


def test_points_lie_on_the_surfaces_in_their_colors():
    seeds = SeedPoints(500, 2, 0)
    for place, direction in (((0, 0, 1.5), (1, 0, -0.4)), ((0, 1, 1.2), (1, -0.3, -0.2))):
        seeds.add(*floor_view(place, direction))
    points, colors = seeds.result()
    assert 400 < len(points) <= 500
    on_floor, on_wall = np.abs(points[:, 2]) < 1e-6, np.abs(points[:, 0] - 3) < 1e-6
    assert (on_floor | on_wall).all() and on_floor.any() and on_wall.any()
    assert (colors[on_floor & ~on_wall] == (200, 0, 0)).all()
    assert (colors[on_wall & ~on_floor] == (0, 0, 100)).all()


def test_half_transparent_pixels_and_edges_of_depth_give_no_points():
    camera = Camera(20, 20, 20.0, 20.0, 10.0, 10.0, np.eye(4))
    depth = np.full((20, 20), 2.0)
    depth[:, 10:] = 4.0
    picture = np.full((20, 20, 4), 255, np.uint8)
    picture[:10, :, 3] = 254
    seeds = SeedPoints(10_000, 1, 0)
    seeds.add(camera, picture, depth)
    points, _ = seeds.result()
    pixels_x = points[:, 0] / -points[:, 2] * 20 + 10
    pixels_y = -points[:, 1] / -points[:, 2] * 20 + 10
    assert (pixels_y > 10).all()
    assert ((pixels_x < 9) | (pixels_x > 11)).all()
    # 9 opaque rows; on each side 8 columns, without border and edge.
    assert len(points) == 9 * (8 + 8)


def test_nothing_seen_gives_an_empty_cloud():
    seeds = SeedPoints(100, 1, 0)
    assert seeds.result()[0].shape == (0, 3)
    camera = Camera(8, 8, 8.0, 8.0, 4.0, 4.0, np.eye(4))
    seeds.add(camera, np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8), np.float32))
    assert len(seeds.result()[0]) == 0


def test_the_spread_does_not_follow_how_often_a_place_was_seen():
    random = np.random.default_rng(0)
    often, seldom = random.uniform(size=(90_000, 2)), random.uniform(size=(10_000, 2)) + (1.0, 0.0)
    points = np.c_[np.concatenate([often, seldom]), np.zeros(100_000)]
    kept = points[thin(points[random.permutation(len(points))], 1000)]
    assert 900 <= len(kept) <= 1000


@given(count=st.integers(0, 300), number=st.integers(0, 400), scale=st.sampled_from([1e-6, 1.0, 1e5]), seed=st.integers(0, 99))
def test_thinning_keeps_no_more_than_asked(count, number, scale, seed):
    points = np.random.default_rng(seed).normal(size=(number, 3)) * scale + 5000.0
    kept = thin(points, count)
    assert len(kept) == len(set(kept)) <= count or number <= count
    assert len(kept) >= min(number, count) * 0.8 - 3


def test_thinning_of_equal_points():
    assert len(thin(np.ones((50, 3)), 10)) == 1
    assert len(thin(np.ones((5, 3)), 10)) == 5


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_chooses_the_same_points(seed):
    results = []
    for _ in range(2):
        seeds = SeedPoints(100, 1, seed)
        seeds.add(*floor_view((0, 0, 1.5), (1, 0, -0.4)))
        results.append(seeds.result()[0])
    assert np.array_equal(*results)
