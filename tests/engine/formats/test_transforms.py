# SPDX-License-Identifier: GPL-3.0-or-later
import json
import os
import struct
import time
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.capture import Frame
from engine.contract.errors import UserError
from engine.formats.capture import read_capture
from engine.formats.image_sizes import picture_size
from engine.formats.transforms import read_transforms, write_transforms

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
POSE = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 2.0), (0.0, 0.0, 0.0, 1.0))


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((1 + 3 * width) * height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def random_frames(folder, seed: int, shared: bool, keys=("k1", "k2", "p1", "p2"), fisheye=False) -> list[Frame]:
    rng = np.random.default_rng(seed)
    frames = []
    (folder / "images").mkdir(exist_ok=True)
    lens = None
    for number in range(rng.integers(1, 12)):
        if lens is None or not shared:
            lens = {key: float(rng.uniform(0.01, 900)) for key in ("fl_x", "fl_y", "cx", "cy", *keys)}
            lens |= {"w": int(rng.integers(1, 5000)), "h": int(rng.integers(1, 5000))}
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation * np.sign(np.linalg.det(rotation)), rng.normal(size=3) * 5000
        if fisheye:
            lens |= {"fisheye": True, "p1": 0.0, "p2": 0.0}
        name = f"view {number:03} é.png"
        (folder / "images" / name).write_bytes(png(2, 2))
        depth = None
        if rng.random() < 0.5:
            (folder / "depth").mkdir(exist_ok=True)
            depth = folder / "depth" / f"{number:03}.npy"
            depth.write_bytes(b"")
        frames.append(Frame(name, folder / "images" / name, tuple(map(tuple, pose.tolist())), depth=depth, **lens))
    return frames


LENSES = [("k1", "k2", "p1", "p2"), ("k1", "k2", "p1", "p2", "k3"), ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")]


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from(LENSES), st.booleans())
@relaxed
def test_what_is_written_is_read(tmp_path_factory, seed, shared, keys, fisheye):
    folder = tmp_path_factory.mktemp("capture").resolve()
    frames = random_frames(folder, seed, shared, ("k1", "k2", "k3", "k4") if fisheye else keys, fisheye)
    (folder / "points.ply").write_bytes(b"")
    write_transforms(folder, frames, source="blender", scale="metric", ply_file_path="points.ply", extra={"exposure": 0.5})
    capture = read_capture(folder)
    assert (capture.source, capture.scale, capture.points, capture.warnings) == ("blender", "metric", folder / "points.ply", ())
    assert [replace(frame, test=False) for frame in capture.frames] == frames
    table = json.loads((folder / "transforms.json").read_text("utf-8"))
    assert table["exposure"] == 0.5 and ("fl_x" in table) == (shared or len(frames) == 1)


def capture_of(folder, change=None, count=9, **table):
    """Writes a plain capture; ``change`` goes into its second frame."""
    (folder / "images").mkdir(exist_ok=True)
    frames = []
    for number in range(count):
        (folder / "images" / f"{number}.png").write_bytes(png(40, 30))
        frames.append({"file_path": f"images/{number}.png", "transform_matrix": [list(row) for row in POSE]})
    if change:
        frames[1] |= change
    (folder / "transforms.json").write_text(json.dumps({"fl_x": 50.0, "w": 40, "h": 30, "frames": frames} | table))
    return folder


def test_defaults_where_the_file_says_nothing(tmp_path):
    frame = read_capture(capture_of(tmp_path)).frames[0]
    assert (frame.fl_y, frame.cx, frame.cy, frame.k1) == (50.0, 20.0, 15.0, 0.0)
    assert frame.name == "0.png"


def test_every_eighth_view_by_name_is_held_out(tmp_path):
    assert [frame.name for frame in read_capture(capture_of(tmp_path, count=12)).split("test")] == ["0.png", "6.png"]


def test_a_frames_own_intrinsics_win(tmp_path):
    frames = read_capture(capture_of(tmp_path, {"fl_x": 70, "w": 44, "cx": 3.5})).frames
    assert (frames[1].fl_x, frames[1].w, frames[1].cx, frames[0].fl_x) == (70, 44, 3.5, 50)


def test_the_size_is_read_from_the_picture_where_the_file_has_none(tmp_path):
    frame = read_capture(capture_of(tmp_path, w=None, h=None, fl_x=None, camera_angle_x=np.pi / 2)).frames[0]
    assert (frame.w, frame.h) == (40, 30) and frame.fl_x == pytest.approx(20) and frame.fl_y == pytest.approx(20)


def test_missing_pictures_are_left_out_with_one_warning(tmp_path):
    capture_of(tmp_path)
    for number in (3, 5):
        (tmp_path / "images" / f"{number}.png").unlink()
    capture = read_capture(tmp_path)
    assert len(capture.frames) == 7 and len(capture.warnings) == 1 and capture.warnings[0].startswith("2 of 9 photos")
    for file in (tmp_path / "images").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="None of the 9 photos"):
        read_capture(tmp_path)


def test_missing_depth_is_left_out_with_a_warning(tmp_path):
    capture = read_capture(capture_of(tmp_path, {"depth_file_path": "depth/1.npy", "mask_path": "masks/1.png"}))
    assert capture.frames[1].depth is None and len(capture.warnings) == 2


SHEAR = [[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
MIRROR = [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
SCALED = [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("matrix", [SHEAR, MIRROR, SCALED, [], [[1]], None, "no", [["a"] * 4] * 4, [[True] * 4] * 4, [[10**400] * 4] * 4])
def test_matrices_that_are_no_camera_poses_are_refused(tmp_path, matrix):
    with pytest.raises(UserError, match=r"images/1\.png|1\.png"):
        read_capture(capture_of(tmp_path, {"transform_matrix": matrix}))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("key", ["fl_x", "cx", "k1", "w", "transform_matrix"])
def test_numbers_that_are_not_finite_are_refused(tmp_path, key, value):
    capture_of(tmp_path, {key: "HERE" if key != "transform_matrix" else [["HERE", 0, 0, 0], *map(list, POSE[1:])]})
    file = tmp_path / "transforms.json"
    file.write_text(file.read_text().replace('"HERE"', value))
    with pytest.raises(UserError, match="finite"):
        read_capture(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"fl_x": 0},
        {"fl_x": -5},
        {"fl_x": 1e-300},
        {"fl_y": 1e300},
        {"cx": -1e300},
        {"fl_x": "50"},
        {"w": 0},
        {"w": 1e9},
        {"w": True},
        {"k4": 0.1},
        {"k6": 0.1, "k3": 0.1},
        {"k1": "0.1"},
        {"camera_model": "OPENCV_FISHEYE", "p1": 0.1},
        {"camera_model": "FOV"},
        {"camera_model": 5},
        {"is_fisheye": True, "k5": 0.1},
        {"latlong": True},
        {"transform_matrix": [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2e12], [0, 0, 0, 1]]},
        {"file_path": None},
        {"file_path": 7},
        {"file_path": ""},
    ],
)
def test_bad_values_are_refused(tmp_path, change):
    with pytest.raises(UserError, match=r"transforms\.json"):
        read_capture(capture_of(tmp_path, change))


@pytest.mark.parametrize(
    "path",
    ["images/\0.png", "a" * 5000, "/".join("ab" * 3000), "\ud800.png", "..", "/", "//", "images/", "/dev/zero", "C:", "\\\\?\\UNC\\a\\b"],
)
@pytest.mark.parametrize("key", ["file_path", "mask_path", "ply_file_path"])
def test_names_that_cannot_be_files_are_missing_or_refused(tmp_path, key, path):
    try:
        head = {key: path} if key == "ply_file_path" else {}
        capture = read_capture(capture_of(tmp_path, {} if head else {key: path}, **head))
        assert len(capture.frames) == (8 if key == "file_path" else 9) and len("".join(capture.warnings)) < 1000
        "".join(capture.warnings).encode()
    except UserError as error:
        str(error).encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"frames": []}',
        '{"frames": 5}',
        '{"frames": [3]}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "\xff\xfe",
        '{"w": ' + "9" * 5000 + "}",
    ],
)
def test_files_that_are_no_capture_are_refused(tmp_path, text):  # fmt: skip
    (tmp_path / "transforms.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"transforms\.json"):
        read_capture(tmp_path)


def test_files_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.formats.transforms._MAX_CONTAINERS", 10_000)
    (tmp_path / "transforms.json").write_text('{"frames": [' + "[]," * 10_000 + "[]]}")
    with pytest.raises(UserError, match="larger than any capture"):
        read_capture(tmp_path)


def test_every_cut_is_refused(tmp_path):
    capture_of(tmp_path, count=2)
    whole = (tmp_path / "transforms.json").read_bytes()
    for cut in range(0, len(whole) - 1, 7):
        (tmp_path / "transforms.json").write_bytes(whole[:cut])
        with pytest.raises(UserError, match="not valid JSON"):
            read_capture(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.sampled_from("w fl_x fl_y cx k1 k3 camera_angle_x file_path transform_matrix mask_path camera_model is_fisheye".split()),
    json_values,
)
@settings(relaxed, max_examples=80)
def test_any_json_value_gives_a_capture_or_a_user_error(tmp_path, key, value):
    try:
        capture = read_capture(capture_of(tmp_path, {key: value}))
        assert len(capture.frames) >= 8
    except UserError:
        pass


@pytest.mark.parametrize("model", ["EQUIRECTANGULAR", "FISHEYE624", "FOV"])
def test_other_projections_are_refused(tmp_path, model):
    with pytest.raises(UserError, match=model):
        read_capture(capture_of(tmp_path, camera_model=model))


@pytest.mark.parametrize("head", [{"camera_model": "OPENCV_FISHEYE"}, {"is_fisheye": True}, {"camera_model": "opencv_fisheye"}])
def test_fisheye_lenses_are_read(tmp_path, head):
    capture = read_capture(capture_of(tmp_path, k1=0.1, k2=0.2, k3=0.3, k4=0.4, **head))
    assert capture.frames[3].fisheye and capture.frames[3].distortion == (0.1, 0.2, 0.3, 0.4)
    frames = read_capture(capture_of(tmp_path, {"is_fisheye": True, "k1": 0.5})).frames
    assert [frame.fisheye for frame in frames[:3]] == [False, True, False] and frames[1].distortion == (0.5, 0, 0, 0)


def test_the_third_term_and_the_rational_model_are_read(tmp_path):
    frame = read_capture(capture_of(tmp_path, k1=0.1, k3=0.3, k4=0.0, k5=0)).frames[0]
    assert frame.distortion == (0.1, 0, 0, 0, 0.3, 0, 0, 0) and not frame.fisheye
    frame = read_capture(capture_of(tmp_path, camera_model="FULL_OPENCV", k4=0.4, k6=0.6)).frames[0]
    assert frame.distortion == (0, 0, 0, 0, 0, 0.4, 0, 0.6)


def test_damaged_json_is_refused_with_the_line(tmp_path):
    capture_of(tmp_path)
    file = tmp_path / "transforms.json"
    file.write_text(json.dumps(json.loads(file.read_text()), indent=1).replace('"h": 30,', '"h": 30;'))
    with pytest.raises(UserError, match=r"transforms\.json is not valid JSON \(line 4"):
        read_capture(tmp_path)


def test_json_of_other_encodings_is_read(tmp_path):
    capture_of(tmp_path)
    text = (tmp_path / "transforms.json").read_text()
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "transforms.json").write_text(text, encoding=encoding)
        assert len(read_capture(tmp_path).frames) == 9


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_frames_are_checked_in_seconds(tmp_path, monkeypatch, count):
    pose = [list(map(float, row)) for row in POSE]
    frames = [
        {"file_path": f"images/{number}.png", "transform_matrix": [pose[0][:3] + [float(number)], *pose[1:]]} for number in range(count)
    ]
    (tmp_path / "transforms.json").write_text(json.dumps({"fl_x": 50.0, "w": 40, "h": 30, "frames": frames}))
    isfile = os.path.isfile
    monkeypatch.setattr("os.path.isfile", lambda path: str(path).endswith(".png") or isfile(path))
    start = time.process_time()
    assert len(read_capture(tmp_path).frames) == count
    assert time.process_time() - start < 10


def test_writing_refuses_what_reading_would(tmp_path):
    frames = random_frames(tmp_path, 0, True)
    with pytest.raises(UserError):
        write_transforms(tmp_path, [], source="blender", scale="metric")
    with pytest.raises(UserError, match="rigid"):
        write_transforms(tmp_path, [replace(frames[0], transform_matrix=tuple(map(tuple, MIRROR)))], source="blender", scale="metric")
    with pytest.raises(UserError, match="outside"):
        write_transforms(tmp_path, [replace(frames[0], image=tmp_path.parent / "a.png")], source="blender", scale="metric")
    assert not (tmp_path / "transforms.json").exists()


def test_frames_of_the_test_file_are_marked(tmp_path):
    capture_of(tmp_path)
    assert all(frame.test for frame in read_transforms(tmp_path / "transforms.json", test=True).frames)


@given(st.integers(0, 60), st.data())
@settings(relaxed, max_examples=100)
def test_picture_headers_give_a_size_or_a_user_error(tmp_path, cut, data):
    whole = bytearray(png(31, 17) if data.draw(st.booleans()) else JPEG)
    assert picture_size_of(tmp_path, whole) == (31, 17)
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture_size_of(tmp_path, whole[:cut])
    except UserError:
        pass


# Start, a comment, fill bytes, a progressive frame header of 31 × 17.
JPEG = b"\xff\xd8\xff\xfe\x00\x04hi\xff\xff\xff\xc2\x00\x11\x08" + struct.pack(">HH", 17, 31) + bytes(10)


def picture_size_of(folder, data) -> tuple[int, int]:
    (folder / "picture").write_bytes(bytes(data))
    return picture_size(folder / "picture")


@pytest.mark.parametrize("scale", ["metric", "unknown"])
def test_the_scale_is_read_back(tmp_path, scale):
    folder = tmp_path.resolve()
    write_transforms(folder, random_frames(folder, 0, True), source="blender", scale=scale)
    assert read_capture(folder).scale == scale
