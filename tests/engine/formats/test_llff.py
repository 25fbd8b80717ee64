# SPDX-License-Identifier: GPL-3.0-or-later
"""LLFF scenes: a round trip of cameras, and damaged files."""

import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.cameras import pose_to_colmap, rigid_pose
from engine.contract.errors import UserError
from engine.formats.capture import read_capture
from engine.formats.llff import read_llff


def write_llff(folder, poses, size=(40, 30), focal=50.0, bounds=(1.5, 9.0), pictures="images", reduced=1):
    """Writes a scene as LLFF does: axes down, right, back; then height, width and focal length; then the depths."""
    (folder / pictures).mkdir(parents=True, exist_ok=True)
    rows = []
    for index, pose in enumerate(poses):
        Image.new("RGB", (size[0] // reduced, size[1] // reduced), (index, 2, 3)).save(folder / pictures / f"IMG_{index:03d}.png")
        matrix = np.stack([-pose[:3, 1], pose[:3, 0], pose[:3, 2], pose[:3, 3], [size[1], size[0], focal]], axis=1)
        rows.append([*matrix.ravel(), *bounds])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return folder


def some_poses(count, seed=0):
    rng = np.random.default_rng(seed)
    poses = []
    for _ in range(count):
        matrix = np.eye(4)
        matrix[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        matrix[:3, 3] = rng.normal(size=3) * 10
        poses.append(rigid_pose(matrix))
    return np.array(poses)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**31), st.integers(1, 4), st.floats(1, 1e4), st.floats(0.01, 10), st.floats(11, 1e5))
def test_cameras_come_back_as_they_were_written(tmp_path_factory, seed, count, focal, near, far):
    poses = some_poses(count, seed)
    folder = write_llff(tmp_path_factory.mktemp("llff"), poses, focal=focal, bounds=(near, far))
    frames = read_llff(folder)
    assert len(frames) == count
    for frame, pose in zip(frames, poses, strict=True):
        assert np.array(frame.transform_matrix) == pytest.approx(pose, abs=1e-12)
        assert (frame.w, frame.h, frame.cx, frame.cy) == (40, 30, 20, 15)
        assert (frame.fl_x, frame.fl_y, frame.near, frame.far) == pytest.approx((focal, focal, near, far))


def test_a_capture_holds_out_every_eighth_picture(tmp_path):
    capture = read_capture(write_llff(tmp_path, some_poses(17)))
    assert capture.source == "llff" and capture.scale == "unknown"
    assert [frame.name for frame in capture.split("test")] == ["IMG_000.png", "IMG_008.png", "IMG_016.png"]


def test_reduced_pictures_do_where_there_are_no_others(tmp_path):
    frame = read_llff(write_llff(tmp_path, some_poses(2), pictures="images_2", reduced=2))[0]
    assert (frame.w, frame.h, frame.fl_x, frame.cx, frame.cy) == (20, 15, 25, 10, 7.5)
    write_llff(tmp_path, some_poses(2))
    assert read_llff(tmp_path)[0].w == 40


def broken(rows, row, column, value):
    rows = rows.copy()
    rows[row, column] = value
    return rows


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows[:2],
        lambda rows: rows[:, :15],
        lambda rows: rows[0],
        lambda rows: rows.astype(int),
        lambda rows: rows[:0],
        lambda rows: broken(rows, 1, 3, np.nan),
        lambda rows: broken(rows, 1, 0, 7),
        lambda rows: broken(rows, 1, 4, -30),
        lambda rows: broken(rows, 1, 4, 1e300),
        lambda rows: broken(rows, 1, 9, 400),
        lambda rows: broken(rows, 1, 14, 0),
        lambda rows: broken(rows, 1, 15, 0),
        lambda rows: broken(rows, 1, 16, 0.5),
        lambda rows: broken(rows, 1, 16, np.inf),
    ],
)
def test_bad_cameras_are_refused_in_a_sentence(tmp_path, damage):
    folder = write_llff(tmp_path, some_poses(3))
    np.save(folder / "poses_bounds.npy", damage(np.load(folder / "poses_bounds.npy")))
    with pytest.raises(UserError, match="poses_bounds.npy|its camera is for"):
        read_capture(folder)


class Hostile:
    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


def test_nothing_is_unpickled_and_no_file_raises_anything_else(tmp_path):
    folder = write_llff(tmp_path, some_poses(3))
    whole = (folder / "poses_bounds.npy").read_bytes()
    np.save(folder / "poses_bounds.npy", np.array([[Hostile()] * 17] * 3, dtype=object), allow_pickle=True)
    with pytest.raises(UserError):
        read_capture(folder)
    rng = np.random.default_rng(0)
    files = [b"", b"hello", pickle.dumps([1]), whole[:50], whole[:-8], whole.replace(b"(3, 17)", b"(9, 17)")]
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(3):
            data[rng.integers(0, 128)] = rng.integers(0, 256)
        files.append(bytes(data))
    for data in files:
        (folder / "poses_bounds.npy").write_bytes(data)
        try:
            read_capture(folder)
        except UserError:
            pass


def test_photos_in_another_folder_and_suffix(tmp_path):
    folder = write_llff(tmp_path, some_poses(3), pictures="Input")
    (folder / "Input" / "IMG_001.png").rename(folder / "Input" / "IMG_001.JPG")
    (folder / "Input" / "._IMG_001.JPG").write_bytes(b"of a Mac")
    (folder / "images").mkdir()
    (folder / "images" / "one.png").write_bytes(b"")
    assert [frame.name for frame in read_llff(folder)] == ["IMG_000.png", "IMG_001.JPG", "IMG_002.png"]


def test_an_image_without_pixels_is_refused(tmp_path):
    folder = write_llff(tmp_path, some_poses(1))
    data = bytearray((folder / "images" / "IMG_000.png").read_bytes())
    data[16:24] = bytes(8)
    (folder / "images" / "IMG_000.png").write_bytes(data)
    with pytest.raises(UserError, match="IMG_000.png"):
        read_capture(folder)


def test_missing_pictures_and_pictures_of_another_shape(tmp_path):
    folder = write_llff(tmp_path, some_poses(3))
    Image.new("RGB", (30, 30)).save(folder / "images" / "IMG_001.png")
    with pytest.raises(UserError, match="IMG_001.png"):
        read_capture(folder)
    for picture in (folder / "images").iterdir():
        picture.unlink()
    with pytest.raises(UserError, match="0 photos"):
        read_capture(folder)


def with_model(folder, poses, size=(40, 30), stretch=1.0):
    """Puts the COLMAP model beside a scene that its cameras were made of; it knows of two focal lengths, of distortion, and of points."""
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    (model / "cameras.txt").write_text(f"1 OPENCV {size[0]} {size[1]} 50 52 20 15 0.01 0 0 0\n")
    (model / "points3D.txt").write_text("1 0.5 0.25 2 10 20 30 0.1 1 0\n")
    lines = []
    for index, pose in enumerate(poses):
        qvec, tvec = pose_to_colmap(pose)
        numbers = " ".join(map(repr, [*map(float, qvec), *map(float, stretch * tvec)]))
        lines.append(f"{index + 1} {numbers} 1 IMG_{index:03d}.png\n\n")
    (model / "images.txt").write_text("".join(lines))
    return folder


def test_the_model_that_the_cameras_were_made_of_gives_lenses_and_points(tmp_path):
    poses = some_poses(9)
    capture = read_capture(with_model(write_llff(tmp_path, poses), poses))
    assert capture.source == "llff" and capture.points == tmp_path / "sparse" / "0" / "points3D.txt"
    assert [frame.name for frame in capture.split("test")] == ["IMG_000.png", "IMG_008.png"]
    for frame, pose in zip(capture.frames, poses, strict=True):
        assert np.array(frame.transform_matrix) == pytest.approx(pose, abs=1e-9)
        assert (frame.fl_x, frame.fl_y, frame.k1, frame.near, frame.far) == (50, 52, 0.01, 1.5, 9.0)


def test_of_a_model_of_larger_pictures_only_points_are_taken_and_nothing_of_another_scene(tmp_path):
    poses = some_poses(3)
    capture = read_capture(with_model(write_llff(tmp_path / "smaller", poses), poses, size=(80, 60)))
    assert capture.points is not None and all((frame.w, frame.fl_y, frame.k1) == (40, 50, 0) for frame in capture.frames)
    for name, others in (("scaled", {"stretch": 2.0}), ("other", {"poses": some_poses(3, seed=1)}), ("fewer", {"poses": poses[:2]})):
        capture = read_capture(with_model(write_llff(tmp_path / name, poses), **{"poses": poses, **others}))
        assert capture.points is None and len(capture.frames) == 3 and capture.frames[0].k1 == 0
