# SPDX-License-Identifier: GPL-3.0-or-later
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.errors import UserError
from engine.formats import colmap

relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MODELS = {
    "SIMPLE_PINHOLE": (0, 3), "PINHOLE": (1, 4), "SIMPLE_RADIAL": (2, 4), "RADIAL": (3, 5), "OPENCV": (4, 8), "OPENCV_FISHEYE": (5, 8),
    "FULL_OPENCV": (6, 12), "SIMPLE_RADIAL_FISHEYE": (8, 4), "RADIAL_FISHEYE": (9, 5),
}  # fmt: skip


def random_model(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    names = list(MODELS)
    cameras = []
    for number in range(1, rng.integers(2, 5)):
        model = names[rng.integers(len(names))]
        cameras.append((int(number * 3), model, *rng.integers(1, 5000, 2).tolist(), rng.uniform(1, 900, MODELS[model][1]).tolist()))
    images = [
        (
            number,
            rng.normal(size=7).tolist(),
            cameras[rng.integers(len(cameras))][0],
            f"a b/Ü{number}.jpg",
            rng.normal(size=(rng.integers(0, 4), 2)),
        )
        for number in range(rng.integers(1, 6))
    ]
    points = [
        (number, rng.normal(size=3).tolist(), rng.integers(0, 256, 3).tolist(), int(rng.integers(0, 4)))
        for number in range(rng.integers(0, 9))
    ]
    return {"cameras": cameras, "images": images, "points": points}


def binary_files(model: dict) -> dict[str, bytes]:
    cameras = struct.pack("<Q", len(model["cameras"]))
    for number, name, width, height, values in model["cameras"]:
        cameras += struct.pack(f"<iiQQ{len(values)}d", number, MODELS[name][0], width, height, *values)
    images = struct.pack("<Q", len(model["images"]))
    for number, pose, camera, name, places in model["images"]:
        images += struct.pack("<i7di", number, *pose, camera) + name.encode() + b"\0" + struct.pack("<Q", len(places))
        images += b"".join(struct.pack("<ddq", *place, -1) for place in places)
    points = struct.pack("<Q", len(model["points"]))
    for number, place, color, track in model["points"]:
        points += struct.pack("<Q3d3BdQ", number, *place, *color, 0.5, track) + bytes(8 * track)
    return {"cameras.bin": cameras, "images.bin": images, "points3D.bin": points}


def text_files(model: dict) -> dict[str, bytes]:
    cameras = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    for number, name, width, height, values in model["cameras"]:
        cameras.append(" ".join(map(str, (number, name, width, height, *values))))
    images = ["# two lines an image"]
    for number, pose, camera, name, places in model["images"]:
        images += [" ".join(map(str, (number, *pose, camera, name))), " ".join(f"{x} {y} -1" for x, y in places)]
    points = ["# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]"]
    for number, place, color, track in model["points"]:
        points.append(" ".join(map(str, (number, *place, *color, 0.5, *[7] * (2 * track)))))
    return {
        name: ("\n".join(lines) + "\n").encode()
        for name, lines in (("cameras.txt", cameras), ("images.txt", images), ("points3D.txt", points))
    }


@given(st.integers(0, 2**32 - 1), st.sampled_from([binary_files, text_files]))
@relaxed
def test_models_are_read(tmp_path_factory, seed, files):
    folder, model = tmp_path_factory.mktemp("model"), random_model(seed)
    for name, data in files(model).items():
        (folder / name).write_bytes(data)
    cameras, images, points = colmap.read_model(folder)
    used = {image[2] for image in model["images"]}
    assert set(cameras) == used
    for number, name, width, height, values in model["cameras"]:
        if number not in used:
            continue
        camera = cameras[number]
        simple = name.startswith(("SIMPLE", "RADIAL"))
        keys = ["k1", "k2", "k3", "k4"] if name == "OPENCV_FISHEYE" else ["k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"]
        focal, center, distortion = ([values[0]] * 2, values[1:3], values[3:]) if simple else (values[:2], values[2:4], values[4:])
        expected = dict(zip(("w", "h", "fl_x", "fl_y", "cx", "cy"), (width, height, *focal, *center), strict=True))
        expected |= dict.fromkeys(("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"), 0.0) | dict(zip(keys, distortion, strict=False))
        assert vars(camera) == {**expected, "fisheye": "FISHEYE" in name}
    assert [(image.name, image.camera, [*image.qvec, *image.tvec]) for image in images] == [(i[3], i[2], i[1]) for i in model["images"]]
    positions, colors = colmap.read_points3d(points)
    assert positions.tolist() == [point[1] for point in model["points"]] and colors.tolist() == [point[2] for point in model["points"]]


@given(st.integers(0, 2**32 - 1), st.sampled_from([binary_files, text_files]), st.data())
@settings(relaxed, max_examples=150)
def test_cut_or_damaged_models_give_user_errors_only(tmp_path_factory, seed, files, data):
    folder, whole = tmp_path_factory.mktemp("model"), files(random_model(seed))
    victim = data.draw(st.sampled_from(sorted(whole)))
    for name, content in whole.items():
        if name == victim:
            content = bytearray(content)
            for _ in range(data.draw(st.integers(0, 3))):
                content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
            content = bytes(content[: data.draw(st.integers(0, len(content)))])
        (folder / name).write_bytes(content)
    try:
        colmap.read_points3d(colmap.read_model(folder)[2])
    except UserError:
        pass


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_every_cut_of_a_binary_file_is_noticed(tmp_path, name):
    whole = binary_files(random_model(5))
    for cut in range(0, len(whole[name]), 3):
        for other, content in whole.items():
            (tmp_path / other).write_bytes(content[:cut] if other == name else content)
        with pytest.raises(UserError):
            colmap.read_points3d(colmap.read_model(tmp_path)[2])


def test_counts_beyond_the_file_are_refused_before_memory_is_taken(tmp_path):
    (tmp_path / "points3D.bin").write_bytes(struct.pack("<Q", 1 << 62) + bytes(100))
    with pytest.raises(UserError, match="cut short"):
        colmap.read_points3d(tmp_path / "points3D.bin")


def one_camera(folder, lens):
    (folder / "cameras.txt").write_text(f"7 FOV 10 10 1 1 1 1 1\n3 {lens}\n")  # camera 7 has no image
    (folder / "images.txt").write_text("1 1 0 0 0 0 0 0 3 a.png\n\n")
    return colmap.read_model(folder)[0]


@pytest.mark.parametrize("model", ["FOV", "EQUIRECTANGULAR", "RAD_TAN_THIN_PRISM_FISHEYE"])
def test_other_lenses_are_refused_by_name(tmp_path, model):
    with pytest.raises(UserError, match=f"camera 3 has the lens model {model}"):
        one_camera(tmp_path, f"{model} 100 100 1 2 3 4 5")


def test_lens_models_whose_other_terms_are_zero_are_read(tmp_path):
    assert one_camera(tmp_path, "THIN_PRISM_FISHEYE 10 10 5 6 5 5 .1 .2 0 0 .3 .4 0 0")[3].k4 == 0.4
    with pytest.raises(UserError, match="THIN_PRISM_FISHEYE that are not read"):
        one_camera(tmp_path, "THIN_PRISM_FISHEYE 10 10 5 6 5 5 .1 .2 0 0 .3 .4 0 0.1")
    with pytest.raises(UserError, match="3 parameters, but the lens model PINHOLE has 4"):
        one_camera(tmp_path, "PINHOLE 10 10 5 6 5")


IMAGE = "{0} 1 0 0 0 {0} 0 0 3 view {0}.png\n"


@pytest.mark.parametrize(
    "after",
    ["\n", "", "\n\n", "\n \n\t\n", "1.5 2.5 -1\n", "1.5 2.5 -1 3.5 4 17\n\n", "\n1.5 2.5 -1\n", "# points\n1 2 3\n"],
)
@pytest.mark.parametrize(
    "head", ["", "# Image list\n", "\n", "  # indented\n", "# a\n\n\t# b\n\n", "\ufeff# with a byte order mark\n", "\ufeff"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_images_are_told_from_others(tmp_path, head, after, end):
    """By hand and by other programs, images.txt is written with blank lines, with comments, and without lines of points."""
    one_camera(tmp_path, "PINHOLE 10 10 5 6 5 5")
    for name, start in (("images.txt", head), ("cameras.txt", head + (tmp_path / "cameras.txt").read_text())):
        lines = "".join(IMAGE.format(number) + after for number in range(1, 6)) if name == "images.txt" else ""
        (tmp_path / name).write_bytes((start + lines).replace("\n", end).encode())
    images = colmap.read_model(tmp_path)[1]
    assert [(image.name, image.tvec[0]) for image in images] == [(f"view {number}.png", number) for number in range(1, 6)]


@pytest.mark.parametrize("line", ["2 1 0 0 0 1 0", "2 1 0 0 0 1 0 0 x a.png", "2.5 1.5 -1 3.5", "1.5 2.5 -1 3.5 2.5 1."])
def test_a_damaged_line_is_named(tmp_path, line):
    one_camera(tmp_path, "PINHOLE 10 10 5 6 5 5")
    (tmp_path / "images.txt").write_text(f"# head\n{IMAGE.format(1)}\n\n{line}\n")
    with pytest.raises(UserError, match="images.txt is cut short or damaged in line 5"):
        colmap.read_model(tmp_path)


def test_long_lines_of_points_take_no_time(tmp_path):
    one_camera(tmp_path, "PINHOLE 10 10 5 6 5 5")
    (tmp_path / "images.txt").write_text(IMAGE.format(1) + "100.25 200.5 -1 " * 100_000 + "\n" + IMAGE.format(2))
    assert len(colmap.read_model(tmp_path)[1]) == 2


def test_utf16_is_read(tmp_path):
    one_camera(tmp_path, "PINHOLE 10 10 5 6 5 5")
    for name in ("cameras.txt", "images.txt"):
        (tmp_path / name).write_text((tmp_path / name).read_text(), encoding="utf-16")
    assert [image.name for image in colmap.read_model(tmp_path)[1]] == ["a.png"]
    (tmp_path / "images.txt").write_bytes(b"\xff\xfe\x00\xd8\x00\xd8\x00")
    with pytest.raises(UserError, match="line 1"):
        colmap.read_model(tmp_path)


def test_names_that_are_no_utf8_find_their_files(tmp_path):
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 10 10 5 6 5 5\n")
    (tmp_path / "images.txt").write_bytes(b"1 1 0 0 0 0 0 0 1 K\xfcche.png\n")
    name = colmap.read_model(tmp_path)[1][0].name
    assert os.fsencode(name) == b"K\xfcche.png"


def test_a_model_without_images_is_refused(tmp_path):
    (tmp_path / "cameras.bin").write_bytes(struct.pack("<Q", 0))
    with pytest.raises(UserError, match="no complete COLMAP model"):
        colmap.read_model(tmp_path)
