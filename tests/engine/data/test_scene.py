# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from engine import cameras
from engine.cameras import Camera
from engine.contract.capture import Capture
from engine.data.scene import near_distance, scene_box, seed_cloud
from engine.data.views import View, load_views
from engine.formats.capture import read_capture
from engine.formats.ply import write_vertices
from engine.formats.points import write_points


def looking(position, target, fov=60.0, size=64) -> Camera:
    back = np.subtract(position, target) / np.linalg.norm(np.subtract(position, target))
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(back, right), back, position
    focal = size / 2 / np.tan(np.radians(fov) / 2)
    return Camera(size, size, focal, focal, size / 2, size / 2, pose)


def orbit(center, distance, count=20, seed=0, **options):
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return [looking(center + distance * direction, center, **options) for direction in directions]


def test_cameras_about_a_thing_give_its_box_wherever_it_is():
    for center in ([0.0, 0, 0], [5000.0, -3000, 20]):
        middle, radius = scene_box(orbit(np.array(center), 3.0))
        assert np.allclose(middle, center, atol=1e-3)
        assert radius == pytest.approx(3 * np.tan(np.radians(30)), rel=1e-3)


def test_a_few_cameras_that_look_elsewhere_do_not_move_the_box():
    strays = [looking([3, 0.1 * i, 0], [50, 80 + i, 10]) for i in range(3)]
    middle, _ = scene_box(orbit(np.zeros(3), 3.0, 30) + strays)
    assert np.linalg.norm(middle) < 0.3


def test_cameras_that_look_about_a_room_are_inside_the_box():
    rng = np.random.default_rng(1)
    positions = rng.uniform((-2, -1.5, 1.4), (2, 1.5, 1.6), (30, 3))
    views = [looking(place, place + [*rng.normal(size=2), -0.1]) for place in positions]
    middle, radius = scene_box(views)
    assert (np.abs(positions - middle) < radius).all() and 2 < radius < 10


@pytest.mark.parametrize(
    "views",
    [
        [looking([1, 2, 3], [0, 0, 0])],
        [looking([0, 0, 1], [0, 1, 1])] * 3,
        [looking([i, 0, 1], [i, 5, 1]) for i in range(5)],
    ],
)
def test_few_or_parallel_cameras_give_some_box(views):
    middle, radius = scene_box(views)
    assert np.isfinite(middle).all() and np.isfinite(radius) and radius > 0


def test_points_decide_where_there_are_any_but_strays_do_not():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform((-1, -2, -3), (1, 2, 3), (5000, 3)) + 100, rng.normal(size=(20, 3)) * 1e4])
    middle, radius = scene_box(orbit(np.zeros(3), 3.0), points)
    assert np.abs(middle - 100).max() < 0.2 and radius == pytest.approx(3, abs=0.2)


def test_what_a_capture_is_about_begins_near_however_far_the_place_reaches():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(6000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # As many points far off as near, as solvers find them outdoors.
    place = directions * np.concatenate([rng.uniform(0.5, 1, 3000), rng.uniform(30, 90, 3000)])[:, None]
    cameras = orbit(np.zeros(3), 3.0)
    assert 1.5 < near_distance(cameras, place) < 4
    assert near_distance(cameras, 100 * place[:3000]) > 20
    away = looking([0, 0, 500], [0, 1, 900])
    assert near_distance([away], place) == np.inf and near_distance([*cameras, away], place) < 4


def views_of_a_ball(background):
    """A red ball of radius 0.5 at (7, 0, 0), seen with or without alpha."""
    center = np.array([7.0, 0, 0])
    views = []
    for number, camera in enumerate(orbit(center, 3.0, 24)):
        x, y = np.meshgrid(np.arange(64) + 0.5 - 32, np.arange(64) + 0.5 - 32)
        on_ball = np.hypot(x, y) / camera.fx < np.tan(np.arcsin(0.5 / 3))
        image = np.zeros((64, 64, 4), np.uint8)
        image[on_ball] = (200, 10, 10, 255)
        views.append(View(str(number), camera, image if not background else np.ascontiguousarray(image[..., :3])))
    return views


def no_points(tmp_path) -> Capture:
    return Capture(tmp_path, (), "nerf_synthetic")


def test_random_seeds_fill_the_shape_that_alpha_shows(tmp_path):
    positions, colors = seed_cloud(no_points(tmp_path), views_of_a_ball(False), 2000, np.random.default_rng(0))
    assert positions.shape == (2000, 3) and positions.dtype == np.float64 and colors.dtype == np.uint8
    distance = np.linalg.norm(positions - (7, 0, 0), axis=1)
    assert distance.max() < 0.75 and np.median(distance) > 0.3
    assert np.abs(colors.astype(int) - (200, 10, 10)).max() <= 1


def test_random_seeds_reach_into_the_background_where_there_is_one(tmp_path):
    positions, colors = seed_cloud(no_points(tmp_path), views_of_a_ball(True), 2000, np.random.default_rng(0))
    distance = np.abs(positions - (7, 0, 0)).max(axis=1)
    assert positions.shape == (2000, 3) and 0.3 < (distance > 1.8).mean() < 0.6 and np.isfinite(positions).all()
    # The sky and the houses across the street.
    assert distance.max() > 60
    assert len(np.unique(colors, axis=0)) > 1


def test_views_that_show_nothing_still_give_seeds(tmp_path):
    views = [View(view.name, view.camera, np.zeros_like(view.image)) for view in views_of_a_ball(False)]
    assert len(seed_cloud(no_points(tmp_path), views, 100, np.random.default_rng(0))[0]) == 100


def test_the_same_seed_gives_the_same_points(tmp_path):
    first, second = (seed_cloud(no_points(tmp_path), views_of_a_ball(True), 500, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_the_captures_own_points_are_taken(tmp_path):
    rng = np.random.default_rng(0)
    positions, colors = rng.normal(size=(50, 3)) + 5000, rng.integers(0, 256, (50, 3), dtype=np.uint8)
    write_points(tmp_path / "points.ply", positions, colors)
    capture = Capture(tmp_path, (), "blender", points=tmp_path / "points.ply")
    read = seed_cloud(capture, [], 10, rng)
    assert np.array_equal(read[0], positions) and np.array_equal(read[1], colors)
    few = seed_cloud(capture, [], 10, rng, most=20)
    assert len(few[0]) == len(few[1]) == 20 and {tuple(row) for row in few[0]} < {tuple(row) for row in positions}


def test_what_a_file_of_points_holds_and_is_not_used_is_said(tmp_path):
    write_vertices(
        tmp_path / "scan.ply", dict.fromkeys(("x", "y", "z", "intensity"), np.zeros(3, np.float32)), triangles=np.array([[0, 1, 2]])
    )
    said: list[str] = []
    seed_cloud(Capture(tmp_path, (), "blender", points=tmp_path / "scan.ply"), [], 10, np.random.default_rng(0), note=said.append)
    assert len(said) == 2 and all(sentence.startswith("scan.ply: Its ") for sentence in said), said
    assert "intensity" in said[0] and "faces (1)" in said[1]


def test_points_without_colours_take_those_of_the_views(tmp_path):
    write_points(tmp_path / "points.ply", np.array([[7.0, 0, 0], [500, 0, 0]]), None)
    capture = Capture(tmp_path, (), "blender", points=tmp_path / "points.ply")
    colors = seed_cloud(capture, views_of_a_ball(False), 10, np.random.default_rng(0))[1]
    assert colors.tolist() == [[200, 10, 10], [128, 128, 128]]


def test_lego_lies_in_the_published_box(shared_data):
    capture = read_capture(shared_data("lego400"))
    views = load_views(capture, "train", scale=0.25)
    middle, radius = scene_box([view.camera for view in views])
    assert np.abs(middle).max() < 0.02 and 1.3 < radius < 1.5
    positions, _ = seed_cloud(capture, views, 3000, np.random.default_rng(0))
    assert len(positions) == 3000
    held_out = load_views(capture, "test", scale=0.25)
    hits = []
    for view in held_out:
        pixels, _ = cameras.project(view.camera, positions)
        x, y = np.clip(pixels.astype(int), 0, 99).T
        hits.append((view.image[y, x, 3] > 0).mean())
    assert np.mean(hits) > 0.9
