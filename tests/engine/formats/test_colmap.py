# SPDX-License-Identifier: GPL-3.0-or-later
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.errors import UserError
from engine.formats import colmap

relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MODELS = {"SIMPLE_PINHOLE": (0, 3), "PINHOLE": (1, 4), "SIMPLE_RADIAL": (2, 4), "RADIAL": (3, 5), "OPENCV": (4, 8)}


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
    assert list(cameras) == [camera[0] for camera in model["cameras"]]
    for number, name, width, height, values in model["cameras"]:
        camera = cameras[number]
        shared = name in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
        expected = [values[0], *values] if shared else values
        read = [camera.fx, camera.fy, camera.cx, camera.cy, camera.k1, camera.k2, camera.p1, camera.p2]
        assert (camera.width, camera.height) == (width, height)
        assert read == expected + [0.0] * (8 - len(expected))
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


@pytest.mark.parametrize("model", ["OPENCV_FISHEYE", "FULL_OPENCV", "EQUIRECTANGULAR"])
def test_other_lenses_are_refused_by_name(tmp_path, model):
    for name, content in text_files(random_model(1)).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "cameras.txt").write_text(f"3 {model} 100 100 1 2 3 4\n6 PINHOLE 10 10 1 1 1 1\n9 PINHOLE 10 10 1 1 1 1\n")
    with pytest.raises(UserError, match=model):
        colmap.read_model(tmp_path)


def test_a_model_without_images_is_refused(tmp_path):
    (tmp_path / "cameras.bin").write_bytes(struct.pack("<Q", 0))
    with pytest.raises(UserError, match="no whole COLMAP model"):
        colmap.read_model(tmp_path)
