# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds of rays: from the best that is known, and sensible where nothing is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cameras import Camera, project, rigid_pose
from engine.contract.capture import Capture, Frame
from engine.data.bounds import Bounds, find_bounds
from engine.data.views import View


def around(count=6, distance=4.0, channels=3, center=(0.0, 0.0, 0.0)):
    views = []
    for index in range(count):
        angle = 2 * np.pi * index / count
        back = np.array([np.cos(angle), np.sin(angle), 0.0])
        pose = np.eye(4)
        pose[:3, 2], pose[:3, 1], pose[:3, 0] = back, (0, 0, 1), np.cross((0, 0, 1), back)
        pose[:3, 3] = np.asarray(center) + distance * back
        views.append(View(str(index), Camera(40, 30, 50.0, 50.0, 20, 15, pose), np.full((30, 40, channels), 9, np.uint8)))
    return views


def capture(tmp_path, frames=()):
    return Capture(tmp_path, tuple(frames), "nerfstudio")


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 100), st.floats(0, 20))
def test_everything_in_the_ball_lies_between_the_depths_of_any_camera(seed, radius, away):
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.normal(size=3) * away
    camera = Camera(40, 30, 50.0, 50.0, 20, 15, rigid_pose(matrix))
    near, far = Bounds((1.0, 2.0, 3.0), radius).of(camera)
    assert 0 < near < far
    points = rng.normal(size=(200, 3))
    points *= radius * rng.random((200, 1)) / np.linalg.norm(points, axis=1, keepdims=True)
    _, depth = project(camera, points + (1, 2, 3))
    # What is at the camera itself cannot be seen.
    assert ((depth <= far * (1 + 1e-6)) & ((depth >= near * (1 - 1e-6)) | (depth < 0.021 * radius))).all()


def test_things_on_nothing_lie_in_the_ball_about_their_box(tmp_path):
    found = find_bounds(capture(tmp_path), around(channels=4), None, np.zeros(3), 1.45)
    near, far = found.of(around()[0].camera)
    # Within a tenth of what was published for such scenes.
    assert (near, far) == pytest.approx((2, 6), rel=0.1)


def test_what_the_file_says_comes_first_then_depth_then_points(tmp_path):
    views = around()
    deep = [replace(view, depth=np.full((30, 40), 3.0, np.float32)) for view in views]
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (500, 3))
    pose = tuple(map(tuple, np.eye(4).tolist()))
    frames = [Frame(str(i), tmp_path, pose, 4, 3, 5, 5, 2, 1.5, near=2.0 + i, far=7.0 + i) for i in range(2)]
    stated = find_bounds(capture(tmp_path, frames), deep, points, np.zeros(3), 1.0)
    assert (stated.near, stated.far) == pytest.approx((1.8, 8.0))
    measured = find_bounds(capture(tmp_path), deep, points, np.zeros(3), 1.0)
    assert (measured.near, measured.far) == pytest.approx((2.4, 3.75))
    seen = find_bounds(capture(tmp_path), views, points, np.zeros(3), 1.0)
    assert 2.5 < seen.near < 3.5 and 4.5 < seen.far < 6


def test_where_nothing_is_known_rays_reach_from_close_by_to_far_behind(tmp_path):
    for views in (around(), around(center=(1e5, 0, 0))):
        found = find_bounds(capture(tmp_path), views, None, views[0].camera.position + 4 * views[0].camera.direction, 1.5)
        assert found.near == pytest.approx(0.2) and found.far == pytest.approx(32)
    blind = [replace(view, depth=np.zeros((30, 40), np.float32)) for view in around()]
    assert find_bounds(capture(tmp_path), blind, np.full((20, 3), np.nan), np.zeros(3), 1.0).near == pytest.approx(0.2)
