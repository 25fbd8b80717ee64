# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a capture's folder or header and is not used is said in a sentence, or is used."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from engine.contract.errors import UserError
from engine.formats.capture import read_capture
from engine.formats.points import write_points

from_nerfstudio = ("nerfstudio", "colmap")


def the_warning(capture) -> str:
    assert len(capture.warnings) == 1, capture.warnings
    return capture.warnings[0]


@pytest.mark.parametrize("kind", from_nerfstudio)
def test_photos_without_a_camera_are_counted(tmp_path, captures, kind):
    getattr(captures, kind)(tmp_path)
    shutil.copytree(tmp_path / "images", tmp_path / "images" / "second camera")
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / "99.jpg")
    (tmp_path / "images" / "._99.jpg").write_bytes(b"of a Mac")
    (tmp_path / "images" / "notes.txt").write_text("")
    assert the_warning(read_capture(tmp_path)) == "9 of 19 photos in images have a camera; the others are not used."


def test_missing_photos_are_counted(tmp_path, captures):
    captures.nerfstudio(tmp_path)
    (tmp_path / "images" / "4.png").unlink()
    assert the_warning(read_capture(tmp_path)).startswith("1 of 9 photos that")
    for index in range(9):
        (tmp_path / "images" / f"{index}.png").unlink(missing_ok=True)
    with pytest.raises(UserError, match="None of the 9 photos.*the first is images/0.png") as refused:
        read_capture(tmp_path)
    assert str(tmp_path / "images") in refused.value.hint


@pytest.mark.parametrize("pattern", ["masks/{}.png", "masks/{}.png.png", "mask/{}.jpg"])
@pytest.mark.parametrize("kind", from_nerfstudio)
def test_masks_named_as_their_photos_are_used(tmp_path, captures, kind, pattern):
    getattr(captures, kind)(tmp_path)
    for index in range(8):
        file = tmp_path / pattern.format(index)
        file.parent.mkdir(exist_ok=True)
        Image.new("L", (64, 48), 255).save(file)
    capture = read_capture(tmp_path)
    assert [frame.mask for frame in capture.frames] == [*(tmp_path / pattern.format(index) for index in range(8)), None]
    assert "8 of 9 photos have a mask" in the_warning(capture)


def test_masks_of_another_shape_or_name_are_not(tmp_path, captures):
    captures.colmap(tmp_path)
    (tmp_path / "masks").mkdir()
    Image.new("L", (48, 64)).save(tmp_path / "masks" / "0.png")
    Image.new("L", (64, 48)).save(tmp_path / "masks" / "other.png")
    (tmp_path / "masks" / "1.png").write_bytes(b"damaged")
    capture = read_capture(tmp_path)
    assert not any(frame.mask for frame in capture.frames) and "masks/ is not used" in the_warning(capture)


def test_depth_that_no_frame_names(tmp_path, captures):
    captures.nerfstudio(tmp_path)
    (tmp_path / "depth").mkdir()
    assert read_capture(tmp_path).warnings == ()
    (tmp_path / "depth" / "0.png").write_bytes(b"")
    assert the_warning(read_capture(tmp_path)) == "depth/ is not used: no frame names its files."


def test_points_that_are_not_used(tmp_path, captures):
    captures.nerfstudio(tmp_path)
    write_points(tmp_path / "fused.ply", np.zeros((3, 3)), None)
    assert the_warning(read_capture(tmp_path)) == "fused.ply is not used; its points are if it is points.ply."
    write_points(tmp_path / "points.ply", np.zeros((3, 3)), None)
    assert the_warning(read_capture(tmp_path)) == "fused.ply is not used; training starts from points.ply."
    captures.nerfstudio(tmp_path, ply_file_path="gone.ply")
    assert "gone.ply, which are not there" in read_capture(tmp_path).warnings[0]
    captures.nerfstudio(tmp_path, ply_file_path=["points.ply"])
    assert "no file by ply_file_path" in read_capture(tmp_path).warnings[0]


def test_named_files_that_are_not_read(tmp_path, captures):
    def change(index):
        return {"depth_file_path": f"images/{index}.png", "mask_path": f"masks/{index}.png", "normal_file_path": 7}

    told = "\n".join(read_capture(captures.nerfstudio(tmp_path, change=change)).warnings)
    assert "9 of 9 files that transforms.json names by depth_file_path are not .npy" in told
    assert "9 of 9 files that transforms.json names by mask_path are not there" in told
    assert "9 of 9 files that transforms.json names by normal_file_path are not there" in told


@pytest.mark.parametrize(
    ("key", "value"), [("s1", 0.1), ("rolling_shutter", [0, 0, 1, 0]), ("principal_point", [0.4, 0.5]), ("fov", 60), ("type", "fisheye")]
)
def test_keys_of_the_lens_that_are_not_read(tmp_path, captures, key, value):
    assert key in the_warning(read_capture(captures.nerfstudio(tmp_path, **{key: value})))
    capture = read_capture(captures.nerfstudio(tmp_path, change=lambda index: {key: value} if index == 5 else {}))
    assert key in the_warning(capture)
    zero = [0.0] * 4 if isinstance(value, list) else 0
    assert read_capture(captures.nerfstudio(tmp_path, **{key: zero})).warnings == ()


def test_keys_of_other_programs_are_nobodys_fault(tmp_path, captures):
    """instant-ngp's scale, offset, … and whatever else is none of ours."""
    head = {"scale": 0.5, "offset": [0.5, 0.5, 0.5], "aabb_scale": "16", "fps": "30", "source": {"a": 1}, "n_extra_learnable_dims": None}
    capture = read_capture(captures.nerfstudio(tmp_path, **head, change=lambda index: {"sharpness": "high", "colmap_im_id": [index]}))
    assert (capture.source, capture.scale, len(capture.frames), capture.warnings) == ("nerfstudio", "unknown", 9, ())


def test_the_files_own_lists_say_what_is_held_out(tmp_path, captures):
    train, test = [f"images/{index}.png" for index in range(6)], [f"images/{index}.png" for index in range(6, 9)]
    capture = read_capture(captures.nerfstudio(tmp_path, train_filenames=train, test_filenames=test, val_filenames=test))
    assert [frame.name for frame in capture.split("test")] == ["6.png", "7.png", "8.png"]
    assert len(read_capture(captures.nerfstudio(tmp_path, train_filenames=train)).split("test")) == 2
    assert len(read_capture(captures.nerfstudio(tmp_path, test_filenames=[7, None])).split("test")) == 2


def synthetic(folder, captures, test="test/{}.png", listed="test/{}"):
    captures.nerfstudio(folder, disk="train/{}.png", listed="./train/{}", file="transforms_train.json")
    captures.nerfstudio(folder, count=4, disk=test, listed=listed, file="transforms_test.json")
    return folder


def test_held_out_views_are_none_of_the_training_views(tmp_path, captures):
    capture = read_capture(synthetic(tmp_path, captures))
    assert the_warning(capture) == "1 of 4 views of transforms_test.json are also in transforms_train.json, and are not held out."
    assert [frame.name for frame in capture.split("test")] == ["test/1.png", "test/2.png", "test/3.png"] and len(capture.frames) == 13
    shutil.rmtree(tmp_path / "test")
    shutil.copy(tmp_path / "transforms_train.json", tmp_path / "transforms_test.json")
    capture = read_capture(tmp_path)
    assert "9 of 9 views" in capture.warnings[0] and "9 of 18 frames" in capture.warnings[1]
    assert len(capture.split("test")) == 2 and len(capture.frames) == 9


def test_a_third_file_of_cameras_is_told(tmp_path, captures):
    synthetic(tmp_path, captures)
    shutil.copy(tmp_path / "transforms_test.json", tmp_path / "transforms_val.json")
    assert "transforms_val.json is not used: held-out views are those of transforms_test.json." in read_capture(tmp_path).warnings
    captures.nerfstudio(tmp_path)
    assert "transforms_train.json is not used; transforms.json is." in read_capture(tmp_path).warnings


@pytest.mark.parametrize("kind", from_nerfstudio)
def test_an_image_that_is_named_twice(tmp_path, captures, kind):
    getattr(captures, kind)(tmp_path)
    file = tmp_path / ("transforms.json" if kind == "nerfstudio" else "sparse/0/images.txt")
    if kind == "nerfstudio":
        table = json.loads(file.read_text())
        table["frames"] += table["frames"][:2]
        file.write_text(json.dumps(table))
    else:
        file.write_text(file.read_text() + "\n".join(file.read_text().splitlines()[1:5]))
    capture = read_capture(tmp_path)
    assert len(capture.frames) == 9 and "2 of 11 frames" in the_warning(capture)
    if kind == "nerfstudio":
        table["frames"][9]["file_path"] = "./images/5.png"
        file.write_text(json.dumps(table))
    else:
        file.write_text(file.read_text().replace(" 1 3.png", " 1 5.png"))
    with pytest.raises(UserError, match="5.png twice, with different cameras"):
        read_capture(tmp_path)


def test_one_view_is_a_capture(tmp_path, captures):
    capture = read_capture(captures.nerfstudio(tmp_path, count=1))
    assert len(capture.split("train")) == 1 and not capture.split("test")
