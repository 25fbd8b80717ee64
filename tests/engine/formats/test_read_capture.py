# SPDX-License-Identifier: GPL-3.0-or-later
import json
import shutil

import numpy as np
import pytest

from engine import cameras
from engine.cameras import Camera
from engine.contract.errors import UserError
from engine.formats.capture import read_capture
from engine.formats.points import read_points


def camera_of(frame) -> Camera:
    return Camera(frame.w, frame.h, frame.fl_x, frame.fl_y, frame.cx, frame.cy, np.array(frame.transform_matrix))


def test_nerf_synthetic(shared_data):
    capture = read_capture(shared_data("lego400"))
    assert (capture.source, capture.scale, capture.points, capture.warnings) == ("nerf_synthetic", "unknown", None, ())
    assert len(capture.split("train")) == 100 and len(capture.split("test")) == 25
    frame = capture.split("test")[1]
    assert frame.name == "test/r_8.png" and (frame.w, frame.h) == (400, 400)
    assert frame.fl_x == pytest.approx(200 / np.tan(0.6911112070083618 / 2)) and frame.cx == 200


def test_nerfstudio_with_missing_pictures(shared_data):
    capture = read_capture(shared_data("fox"))
    assert capture.source == "nerfstudio" and len(capture.frames) == 50 and len(capture.split("test")) == 7
    assert len(capture.warnings) == 1 and capture.warnings[0].startswith("17 of 67 photos")
    assert capture.frames[0].test and (capture.frames[0].k1, capture.frames[0].p2) == (0.0578421, 0.00015575)


def test_colmap_points_land_in_its_pictures(shared_data):
    capture = read_capture(shared_data("fox_colmap"))
    assert capture.source == "colmap" and len(capture.frames) == 50 and capture.frames[0].k1 != 0
    points = read_points(capture.points).positions
    shares = []
    for frame in capture.frames:
        pixels, depth = cameras.project(camera_of(frame), points)
        shares.append(np.mean((depth > 0) & (pixels > 0).all(axis=1) & (pixels < (frame.w, frame.h)).all(axis=1)))
    assert np.mean(shares) > 0.5


def test_the_two_fox_captures_agree_but_for_axes_and_scale(shared_data):
    """The same photos were solved twice: camera centers must match after one similarity."""
    first, second = read_capture(shared_data("fox")), read_capture(shared_data("fox_colmap"))
    shared = sorted({frame.name for frame in first.frames} & {frame.name for frame in second.frames})
    places = [np.array([camera_of(next(f for f in c.frames if f.name == n)).position for n in shared]) for c in (first, second)]
    turns = [
        np.array([camera_of(next(f for f in c.frames if f.name == n)).camera_to_world[:3, :3] for n in shared]) for c in (first, second)
    ]
    a, b = (place - place.mean(axis=0) for place in places)
    u, s, v = np.linalg.svd(b.T @ a)
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    scale = np.trace(rotation.T @ (b.T @ a)) / (a * a).sum()
    assert np.linalg.norm(b - scale * a @ rotation.T, axis=1).max() < 0.03 * np.linalg.norm(b, axis=1).max()
    angles = np.degrees(
        np.arccos(np.clip((np.trace(np.swapaxes(turns[1], 1, 2) @ (rotation @ turns[0]), axis1=1, axis2=2) - 1) / 2, -1, 1))
    )
    assert np.median(angles) < 1


def test_a_missing_test_file_means_every_eighth_view(shared_data, tmp_path):
    shutil.copytree(shared_data("lego400") / "train", tmp_path / "train")
    shutil.copy(shared_data("lego400") / "transforms_train.json", tmp_path)
    capture = read_capture(tmp_path)
    assert len(capture.split("test")) == 13 and len(capture.split("train")) == 87


def test_test_views_that_are_all_gone_mean_every_eighth_view(shared_data, tmp_path):
    shutil.copytree(shared_data("lego400") / "train", tmp_path / "train")
    for name in ("transforms_train.json", "transforms_test.json"):
        shutil.copy(shared_data("lego400") / name, tmp_path)
    capture = read_capture(tmp_path)
    assert len(capture.split("test")) == 13 and capture.warnings[0].startswith("25 of 25 photos")


def test_the_file_itself_may_be_named(shared_data):
    assert len(read_capture(shared_data("fox") / "transforms.json").frames) == 50


def test_folders_that_hold_no_capture_are_refused(tmp_path):
    with pytest.raises(UserError, match="is not a capture"):
        read_capture(tmp_path)
    with pytest.raises(UserError, match="no folder"):
        read_capture(tmp_path / "none")


def colmap_capture(folder, image="0.jpg", pose="1 0 0 0 0 0 0", camera="1 PINHOLE 40 30 50 50 20 15"):
    (folder / "sparse" / "0").mkdir(parents=True)
    (folder / "images").mkdir()
    (folder / "images" / "0.jpg").write_bytes(b"")
    (folder / "sparse" / "0" / "cameras.txt").write_text(camera + "\n")
    (folder / "sparse" / "0" / "images.txt").write_text(f"1 {pose} 1 {image}\n\n")
    return folder


def test_a_model_in_text_is_read(tmp_path):
    frame = read_capture(colmap_capture(tmp_path)).frames[0]
    assert frame.name == "0.jpg" and np.array_equal(np.array(frame.transform_matrix), np.diag([1, -1, -1, 1]))


@pytest.mark.parametrize(
    "bad",
    [
        {"image": "gone.jpg"},
        {"pose": "0 0 0 0 0 0 0"},
        {"pose": "nan 0 0 0 0 0 0"},
        {"pose": "1 0 0 0 0 inf 0"},
        {"camera": "1 PINHOLE 40 30 nan 50 20 15"},
        {"camera": "1 PINHOLE 40 30 -50 50 20 15"},
        {"camera": "1 PINHOLE 0 30 50 50 20 15"},
        {"camera": "1 PINHOLE 40 30 50 50 20"},
        {"camera": "1 PINHOLE 100000 30 50 50 20 15"},
        {"camera": f"1 PINHOLE {'9' * 4000} 30 50 50 20 15"},
        {"pose": "1 0 0 0 1e13 0 0"},
        {"pose": "1e200 1e200 0 0 0 0 0"},
        {"camera": "2 PINHOLE 40 30 50 50 20 15"},
    ],
)
def test_bad_models_are_refused(tmp_path, bad):
    with pytest.raises(UserError):
        read_capture(colmap_capture(tmp_path, **bad))


def test_a_transforms_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "transforms.json").write_bytes(json.dumps({"frames": []}).encode("utf-16"))
    with pytest.raises(UserError):
        read_capture(tmp_path)
