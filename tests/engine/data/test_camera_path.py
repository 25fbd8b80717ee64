# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera paths: what is read, how views are put between, and other sizes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from engine.cameras import Camera, project
from engine.contract.errors import UserError
from engine.data.camera_path import CameraPath, between, read_path, sized

LENS = {"w": 64, "h": 48, "fl_x": 60.0, "fl_y": 61.0, "cx": 30.0, "cy": 25.0}


def views(places, turns=None):
    cameras = []
    for index, place in enumerate(np.asarray(places, float)):
        pose = np.eye(4)
        pose[:3, :3] = np.eye(3) if turns is None else turns[index]
        pose[:3, 3] = place
        cameras.append(Camera(64, 48, 60.0, 61.0, 30.0, 25.0, pose))
    return CameraPath(tuple(f"v{index}" for index in range(len(cameras))), tuple(cameras))


def write(folder, frames, **values):
    file = folder / "path.json"
    file.write_text(json.dumps({**LENS, "frames": frames, **values}))
    return file


@given(st.integers(2, 7), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e5]))
@settings(max_examples=60, deadline=None)
def test_given_views_stay_and_new_ones_lie_near_the_straight_way(given_views, count, seed, far):
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(given_views, 3)) * rng.choice([1, 20], (given_views, 1)) + far
    turns = Rotation.random(given_views, random_state=rng).as_matrix()
    start = views(places, turns)
    made = between(start, count)
    assert len(made.cameras) == len(made.names) == len(set(made.names)) == (given_views - 1) * (count + 1) + 1
    for old, new in zip(start.cameras, made.cameras[:: count + 1], strict=True):
        np.testing.assert_allclose(new.camera_to_world, old.camera_to_world, atol=1e-7 * max(1, far))
        assert (new.fx, new.fy, new.cx, new.cy) == pytest.approx((old.fx, old.fy, old.cx, old.cy))
    for index, new in enumerate(made.cameras):
        rotation = new.camera_to_world[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        k, t = divmod(index, count + 1)
        if t:
            a, b = places[k], places[k + 1]
            way = np.linalg.norm(b - a)
            # A cubic with ends no faster than the way is long leaves the straight line by at most 0.3 of it.
            assert np.linalg.norm(new.position - a - (b - a) * np.clip((new.position - a) @ (b - a) / way**2, 0, 1)) < 0.31 * way
            whole = Rotation.from_matrix(turns[k].T @ turns[k + 1]).magnitude()
            part = Rotation.from_matrix(turns[k].T @ rotation).magnitude()
            assert part == pytest.approx(whole * t / (count + 1), abs=1e-6)


def test_a_circle_of_few_views_stays_nearly_a_circle_at_an_even_speed():
    angles = np.linspace(0, 2 * np.pi, 13)
    made = between(views(np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)), 9)
    places = np.array([camera.position for camera in made.cameras])[10:-10]
    assert np.abs(np.linalg.norm(places, axis=1) - 1).max() < 0.005
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.06
    turns = np.diff(places, axis=0) / steps[:, None]
    assert (turns[1:] * turns[:-1]).sum(axis=1).min() > np.cos(0.1), "no corner"


def test_standing_still_and_a_half_turn():
    turns = [np.eye(3), np.diag([-1.0, -1.0, 1.0]), np.eye(3)]
    made = between(views([[1, 2, 3]] * 3, turns), 3)
    assert np.allclose([camera.position for camera in made.cameras], [1, 2, 3])
    assert all(np.isfinite(camera.camera_to_world).all() for camera in made.cameras)


def test_too_few_or_too_many_views_between():
    with pytest.raises(UserError, match="no two cameras"):
        between(views([[0, 0, 0]]), 3)
    with pytest.raises(UserError, match="smaller"):
        between(views([[0, 0, 0], [1, 0, 0]]), 10**9)


POINTS = np.array([[0.3, -0.2, -3], [-0.9, 0.5, -4], [1.1, 0.7, -2.5]])


@pytest.mark.parametrize("width, height", [(None, 1080), (1920, None), (1920, 1080), (33, 1080), (31, None), (None, None)])
def test_another_size_shows_the_same_view(width, height):
    camera = views([[0.1, 0.2, 0.3]]).cameras[0]
    new = sized(camera, width, height)
    assert new.width == (width or round(64 * (height or 48) / 48)) and new.height == (height or round(48 * (width or 64) / 64))
    assert new.fx / new.fy == pytest.approx(camera.fx / camera.fy)
    old_pixels, _ = project(camera, POINTS)
    pixels, _ = project(new, POINTS)
    scale = max(new.width / 64, new.height / 48)
    np.testing.assert_allclose(pixels - (new.width / 2, new.height / 2), (old_pixels - (32, 24)) * scale)
    # Nothing is shown that the given view does not see.
    corners = (np.array([[0, 0], [new.width, new.height]]) - (new.width / 2, new.height / 2)) / scale + (32, 24)
    assert corners.min() > -1e-9 and (corners <= (64 + 1e-9, 48 + 1e-9)).all()


def test_even_sides():
    camera = replace(views([[0, 0, 0]]).cameras[0], width=63, height=1)
    assert (sized(camera, even=True).width, sized(camera, even=True).height) == (62, 2)
    assert (sized(camera, 101, 77, even=True).width, sized(camera, 101, 77, even=True).height) == (100, 76)


def test_a_path_needs_no_pictures_and_may_say_its_speed(tmp_path):
    matrix = np.eye(4).tolist()
    found = read_path(write(tmp_path, [{"transform_matrix": matrix}, {"transform_matrix": matrix}], fps=30))
    assert found.names == ("00000", "00001") and found.fps == 30 and found.cameras[0].cx == 30
    for bad in (0, -1, "fast", 1e9, float("inf")):
        with pytest.raises(UserError, match="fps"):
            read_path(write(tmp_path, [{"transform_matrix": matrix}], fps=bad))


def test_names_can_be_files_and_are_each_there_once(tmp_path):
    matrix = np.eye(4).tolist()

    def names(*given):
        return read_path(write(tmp_path, [{"file_path": name, "transform_matrix": matrix} for name in given])).names

    assert names("images/Küche 1.png", "left/a.png") == ("Küche 1", "left_a")
    assert names("a.png", "A.jpg") == ("00000", "00001"), "one file on Windows"
    assert names("a/b.png", "a_b.png") == ("00000", "00001")
    assert names('x:y<>"|?*.png') == ("x_y______",)


def test_a_folder_with_cameras_but_no_pictures(tmp_path):
    write(tmp_path, [{"file_path": "gone.png", "transform_matrix": np.eye(4).tolist()}]).rename(tmp_path / "transforms.json")
    assert read_path(tmp_path).names == ("gone",)


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"frames": []}', "no frames"),
        ("{", "JSON"),
        ("[]", "transforms"),
        ('{"camera_type": "perspective", "camera_path": [{"fov": 50}]}', "nerfstudio"),
    ],
)
def test_files_without_cameras(tmp_path, text, words):
    (tmp_path / "path.json").write_text(text)
    with pytest.raises(UserError, match=words):
        read_path(tmp_path / "path.json")
    with pytest.raises(UserError, match="nowhere"):
        read_path(tmp_path / "nowhere.json")
