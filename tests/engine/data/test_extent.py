# SPDX-License-Identifier: GPL-3.0-or-later
"""The box of a captured room, whatever is seen through its window, and of something that stands alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from engine import cli
from engine.cameras import Camera, ray_matrix
from engine.contract.capture import Capture
from engine.contract.result import read_result
from engine.data.extent import captured_extent
from engine.data.views import View
from engine.formats.points import write_points

LOW, HIGH = np.array([-3.0, -2.5, 0.0]), np.array([3.0, 2.5, 2.7])


def camera(position, target, width=80, height=60, focal=40.0):
    back = np.subtract(position, target) / np.linalg.norm(np.subtract(position, target))
    right = np.cross([0, 0, 1], back) / np.linalg.norm(np.cross([0, 0, 1], back))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.stack([right, np.cross(back, right), back], axis=1), position
    return Camera(width, height, focal, focal, width / 2, height / 2, pose)


def rays(view):
    y, x = np.mgrid[: view.height, : view.width] + 0.5
    return np.stack([x, y, np.ones_like(x)], axis=-1) @ ray_matrix(view).T


def room_depth(view, ground):
    """Planar depth in a room whose wall at x = 3 has a window of 2 x 1.5 m onto ground at a height, and a house 30 m away."""
    directions, origin = rays(view), view.position
    with np.errstate(divide="ignore"):
        to_walls = np.where(directions > 0, HIGH - origin, LOW - origin) / directions
    depth = to_walls.min(axis=-1)
    hit = origin + depth[..., None] * directions
    window = (hit[..., 0] > 2.999) & (np.abs(hit[..., 1]) < 1) & (hit[..., 2] > 0.7) & (hit[..., 2] < 2.2)
    with np.errstate(divide="ignore"):
        down, ahead = (ground - origin[2]) / directions[..., 2], (33 - origin[0]) / directions[..., 0]
    outside = np.where(directions[..., 2] < 0, np.minimum(down, ahead), ahead)
    # Above the house there is sky.
    outside = np.where((origin + outside[..., None] * directions)[..., 2] > 6, 0, outside)
    return np.where(window, outside, depth).astype(np.float32)


def room_views(ground, turn=0.0):
    rng, views = np.random.default_rng(0), []
    for index in range(24):
        eye = rng.uniform((-2, -1.5, 1.4), (2, 1.5, 1.6))
        angle = 2 * np.pi * index / 24
        seen = camera(eye, eye + (np.cos(angle), np.sin(angle), -0.15))
        views.append(View(str(index), seen, np.zeros((60, 80, 3), np.uint8), room_depth(seen, ground)))
    return views


@pytest.mark.parametrize("ground", [-0.15, -0.4, -4.0])
def test_a_room_ends_at_its_walls_and_not_in_the_street(ground):
    low, high = captured_extent(Capture(None, (), "blender"), room_views(ground))
    np.testing.assert_allclose(low, LOW, atol=0.03)
    np.testing.assert_allclose(high, HIGH, atol=0.03)


def test_the_unit_of_the_world_does_not_matter():
    views = []
    for view in room_views(-0.4):
        pose = view.camera.camera_to_world.copy()
        pose[:3, 3] *= 1e-3
        views.append(replace(view, camera=replace(view.camera, camera_to_world=pose), depth=view.depth * 1e-3))
    box = np.array(captured_extent(Capture(None, (), "nerfstudio"), views))
    np.testing.assert_allclose(box * 1e3, [LOW, HIGH], atol=0.03)


def test_results_take_their_bounds_from_the_captured_depth(tmp_path):
    folder = tmp_path / "capture"
    (folder / "images").mkdir(parents=True)
    frames = []
    for view in room_views(-0.4):
        Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(folder / "images" / f"{view.name}.png")
        np.save(folder / f"{view.name}.npy", view.depth)
        entry = {"file_path": f"images/{view.name}.png", "depth_file_path": f"{view.name}.npy"}
        frames.append(entry | {"transform_matrix": view.camera.camera_to_world.tolist()})
    table = {"w": 80, "h": 60, "fl_x": 40.0, "fl_y": 40.0, "cx": 40.0, "cy": 30.0, "source": "blender", "scale": "metric", "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(table))
    assert cli.main(["train", str(folder), "--out", str(tmp_path / "out"), "--steps", "3"]) == 0
    np.testing.assert_allclose(read_result(tmp_path / "out").bounds, [LOW, HIGH], atol=0.03)


def lamp_depth(view):
    """A lamp on nothing: a disk of radius 0.2 at z = 0, a thin pole, and a ball of radius 0.2 at 1.5."""
    directions, origin = rays(view), view.position
    b, c = (directions * (origin - (0, 0, 1.5))).sum(-1), ((origin - (0, 0, 1.5)) ** 2).sum() - 0.04
    a = (directions**2).sum(-1)
    inside = b * b - a * c
    ball = np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)
    foot = -origin[2] / directions[..., 2]
    hit = origin + foot[..., None] * directions
    foot = np.where((foot > 0) & (np.hypot(hit[..., 0], hit[..., 1]) < 0.2), foot, np.inf)
    depth = np.minimum(ball, foot)
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)


def test_something_alone_keeps_its_parts_however_far_apart():
    views = []
    for index in range(12):
        angle = 2 * np.pi * index / 12
        seen = camera((2.5 * np.cos(angle), 2.5 * np.sin(angle), 1.2), (0, 0, 0.8), focal=70.0)
        depth = lamp_depth(seen)
        alpha = np.where(depth > 0, 255, 0).astype(np.uint8)
        views.append(View(str(index), seen, np.dstack([np.zeros((60, 80, 3), np.uint8), alpha]), depth))
    low, high = np.array(captured_extent(Capture(None, (), "blender"), views))
    assert abs(low[2]) < 1e-3 and abs(high[2] - 1.7) < 0.03
    np.testing.assert_allclose([low[:2], high[:2]], [[-0.2, -0.2], [0.2, 0.2]], atol=0.04)


def test_without_depth_seed_points_of_a_blender_capture_tell(tmp_path):
    points = np.random.default_rng(0).uniform(LOW, HIGH, (20_000, 3))
    write_points(tmp_path / "points.ply", points, None)
    views = [View("0", camera((0, 0, 1), (1, 0, 1)), np.zeros((60, 80, 3), np.uint8))]
    low, high = captured_extent(Capture(tmp_path, (), "blender", points=tmp_path / "points.ply"), views)
    np.testing.assert_allclose([low, high], [LOW, HIGH], atol=0.02)
    # Those of structure from motion hold strays, and depth is all that is left.
    assert captured_extent(Capture(tmp_path, (), "colmap", points=tmp_path / "points.ply"), views) is None
