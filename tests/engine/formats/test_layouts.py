# SPDX-License-Identifier: GPL-3.0-or-later
"""Where programs and people keep the files of captures, and how they name them."""

import os
import shutil
import unicodedata

import numpy as np
import pytest

from engine.contract.errors import UserError
from engine.formats.capture import read_capture
from engine.formats.layouts import CaptureFiles
from engine.formats.points import write_points


def images_of(capture) -> list[str]:
    return sorted(frame.image.name for frame in capture.frames)


NAMES = [f"{index}.png" for index in range(9)]


@pytest.mark.parametrize(
    "listed",
    [
        "{}.png",  # the name alone
        "./images/{}.png",
        ".\\images\\{}.png",
        "images/{}",  # no suffix
        "images/{}.jpg",  # converted since
        "IMAGES/{}.PNG",
        "Images/{}.HEIC",
        "photos/{}.png",  # another folder
        "/home/me/scan/images/{}.png",  # where the folder was once
        "C:\\Users\\me\\scan\\images\\{}.png",
        "/home/me/pictures/{}.png",
    ],
)
def test_images_are_found_by_their_names(tmp_path, captures, listed):
    capture = read_capture(captures.nerfstudio(tmp_path, listed=listed))
    assert images_of(capture) == NAMES and len({frame.name for frame in capture.frames}) == 9
    standard = listed.startswith(("./", ".\\")) or listed == "images/{}"
    assert [("not where" in warning) for warning in capture.warnings] == ([] if standard else [True])


@pytest.mark.parametrize("listed", ["../disk/images/{}.png", "ABSOLUTE/{}.png", "images/{}.png"])
def test_images_that_the_user_named_or_linked_elsewhere_are_read(tmp_path, captures, listed):
    captures.nerfstudio(tmp_path / "disk")
    listed = listed.replace("ABSOLUTE", str(tmp_path / "disk" / "images"))
    captures.nerfstudio(tmp_path / "capture", listed=listed)
    shutil.rmtree(tmp_path / "capture" / "images")
    if listed.startswith("images"):
        os.symlink("../disk/images", tmp_path / "capture" / "images")
    capture = read_capture(tmp_path / "capture")
    assert images_of(capture) == NAMES and [frame.name for frame in capture.frames] == NAMES
    assert [str(tmp_path / "disk" / "images") in warning and "outside" in warning for warning in capture.warnings] == [True]


def test_single_linked_images_are_told(tmp_path, captures):
    captures.nerfstudio(tmp_path / "disk")
    captures.nerfstudio(tmp_path / "capture")
    (tmp_path / "capture/images/3.png").unlink()
    os.symlink(tmp_path / "disk/images/3.png", tmp_path / "capture/images/3.png")
    assert ["outside" in warning for warning in read_capture(tmp_path / "capture").warnings] == [True]


def test_links_that_git_could_not_make_are_followed(tmp_path, captures):
    captures.nerfstudio(tmp_path / "disk")
    shutil.copytree(tmp_path / "disk", tmp_path / "linked")
    shutil.rmtree(tmp_path / "linked" / "images")
    (tmp_path / "linked" / "images").write_text("../disk/images\n")
    assert images_of(read_capture(tmp_path / "linked")) == NAMES
    captures.colmap(tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "images")
    (tmp_path / "model" / "images").write_text("../disk/images")
    assert images_of(read_capture(tmp_path / "model")) == NAMES


@pytest.mark.parametrize("share", ["//server/share/{}.png", "\\\\server\\share\\{}.png"])
def test_network_shares_are_never_asked(tmp_path, captures, share, monkeypatch):
    captures.nerfstudio(tmp_path, listed=share, ply_file_path=share, change=lambda index: {"mask_path": share})
    asked, isfile = [], os.path.isfile
    monkeypatch.setattr("os.path.isfile", lambda path: asked.append(str(path)) or isfile(path))
    assert images_of(read_capture(tmp_path)) == NAMES
    assert not [path for path in asked if path.startswith(("//", "\\\\"))]


def test_an_image_that_is_gone_is_not_replaced_by_another_camera_s(tmp_path, captures):
    captures.nerfstudio(tmp_path, count=4, disk="cam0/{}.png", change=lambda index: {"file_path": f"cam{index % 2}/{index // 2}.png"})
    capture = read_capture(tmp_path)
    assert [frame.name for frame in capture.frames] == ["cam0/0.png", "cam0/1.png"] and "2 of 4 photos" in capture.warnings[0]


def test_masks_and_copies_are_not_taken_for_the_photos(tmp_path, captures):
    captures.nerfstudio(tmp_path, listed="/gone/images/{}.png")
    for other in ("masks", "depth", "images_4", "sub/images"):
        shutil.copytree(tmp_path / "images", tmp_path / other)
    assert {frame.image.parent for frame in read_capture(tmp_path).frames} == {tmp_path / "images"}
    shutil.rmtree(tmp_path / "images")
    shutil.rmtree(tmp_path / "sub")
    assert {frame.image.parent for frame in read_capture(tmp_path).frames} == {tmp_path / "images_4"}
    shutil.rmtree(tmp_path / "images_4")
    with pytest.raises(UserError, match="None of the 9 photos"):
        read_capture(tmp_path)


def test_photos_that_fit_equally_well_are_not_guessed(tmp_path, captures):
    captures.nerfstudio(tmp_path, disk="one/{}.png", listed="/gone/{}.png")
    assert len(read_capture(tmp_path).frames) == 9
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    with pytest.raises(UserError, match="None of the 9 photos"):
        read_capture(tmp_path)


def test_other_files_are_found_with_their_folder(tmp_path, captures):
    def change(index):
        return {"depth_file_path": f"/home/me/scan/Depth/{index}.npy", "mask_path": f"..\\scan\\masks\\{index}.png"}

    captures.nerfstudio(tmp_path, listed="/home/me/scan/images/{}.png", change=change)
    shutil.copytree(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "depth").mkdir()
    for index in range(9):
        np.save(tmp_path / "depth" / f"{index}.npy", np.ones((48, 64), np.float32))
    capture = read_capture(tmp_path)
    assert all(frame.depth.parent.name == "depth" and frame.mask.parent.name == "masks" for frame in capture.frames)
    assert all(frame.depth.stem == frame.mask.stem == frame.image.stem for frame in capture.frames)


def test_a_named_file_that_is_no_photo_is_refused_when_it_is_read(tmp_path, captures):
    from engine.data.views import load_views

    (tmp_path / "secret.txt").write_text("secret")
    capture = read_capture(captures.nerfstudio(tmp_path / "capture", listed="../secret.txt", count=1))
    with pytest.raises(UserError, match=r"secret\.txt cannot be read as an image"):
        load_views(capture, "train")


@pytest.mark.parametrize(
    ("model", "disk", "chosen"),
    [
        ("sparse/0", "images/{}.png", ""),
        ("sparse", "images/{}.png", ""),
        ("sparse/1", "images/{}.png", ""),
        (".", "images/{}.png", ""),
        (".", "{}.png", ""),
        ("dense/0/sparse", "dense/0/images/{}.png", ""),
        ("dense/sparse", "dense/images/{}.png", ""),
        ("dense/0/sparse", "dense/0/images/{}.png", "dense/0"),
        ("colmap/sparse/0", "images/{}.png", ""),
        ("colmap/sparse/0", "images/{}.png", "colmap"),
        ("sparse/0", "images/{}.png", "sparse/0"),
        ("sparse/0", "input/{}.png", "sparse"),
        ("sparse/0", "input/{}.png", ""),
        ("sparse/0", "Photos/{}.png", ""),
        ("sparse/0", "{}.png", ""),
        ("undistorted/sparse", "undistorted/images/{}.png", ""),
        ("work/reconstruction", "images/{}.png", ""),
        ("sparse/0", "my pictures/{}.png", ""),
    ],
)
def test_colmap_models_and_their_photos_are_found(tmp_path, captures, model, disk, chosen):
    capture = read_capture(captures.colmap(tmp_path, model, disk) / chosen)
    assert images_of(capture) == NAMES and [frame.name for frame in capture.frames] == NAMES
    assert capture.points == tmp_path / model / "points3D.txt" and capture.source == "colmap"
    assert len(capture.split("test")) == 2
    assert [("not where" in warning) for warning in capture.warnings] == ([True] if "pictures" in disk else [])


def test_photos_of_a_neighbor_are_not_taken(tmp_path, captures):
    captures.colmap(tmp_path / "11")
    captures.colmap(tmp_path / "12")
    shutil.rmtree(tmp_path / "12" / "images")
    for chosen in ("12", "12/sparse", "12/sparse/0"):
        with pytest.raises(UserError, match="None of the 9 photos"):
            read_capture(tmp_path / chosen)


def test_a_mask_without_its_folder_is_not_the_photo(tmp_path, captures):
    capture = read_capture(captures.nerfstudio(tmp_path, change=lambda index: {"mask_path": f"{index}.png"}))
    assert not any(frame.mask for frame in capture.frames) and "mask_path are not there" in capture.warnings[0]


def test_colmap_finds_photos_of_other_suffixes(tmp_path, captures):
    assert len(read_capture(captures.colmap(tmp_path, listed="{}.HEIC")).frames) == 9


def test_of_undistorted_and_original_photos_the_model_gets_its_own(tmp_path, captures):
    """As COLMAP's automatic reconstruction leaves them, with the originals elsewhere."""
    captures.colmap(tmp_path, "dense/0/sparse", "dense/0/images/{}.png")
    captures.colmap(tmp_path, "sparse/0", "dense/0/images/{}.png", lens="SIMPLE_RADIAL 70 50 60 35 25 0.1")
    assert read_capture(tmp_path).frames[0].w == 64


def test_the_largest_model_is_taken(tmp_path, captures):
    captures.colmap(tmp_path, "sparse/0", which=(0, 1), points=False)
    captures.colmap(tmp_path, "sparse/1", which=range(2, 9))
    captures.colmap(tmp_path, "sparse/2", which=(4, 5))
    (tmp_path / "sparse/3").mkdir()
    (tmp_path / "sparse/3/images.bin").write_bytes(b"\1")
    capture = read_capture(tmp_path)
    assert len(capture.frames) == 7 and capture.points == tmp_path / "sparse/1/points3D.txt"
    told = "\n".join(capture.warnings)
    assert "sparse/0 holds another COLMAP model, of 2 photos" in told and "sparse/1 of 7" in told and "7 of 9 photos" in told
    assert "sparse/3 cannot be read" in told and "sparse/2" not in told, "it has no photo that the largest lacks"
    assert len(read_capture(tmp_path / "sparse" / "0").frames) == 2, "the one that the user chose"


def test_captures_of_several_scenes_are_told_apart(tmp_path, captures):
    for name in ("garden", "kitchen"):
        captures.colmap(tmp_path / name)
    with pytest.raises(UserError, match="2 captures below it.*garden") as refused:
        read_capture(tmp_path)
    assert refused.value.hint == f"Choose {tmp_path / 'garden' / 'sparse' / '0'}."
    with pytest.raises(UserError, match="in which it lies, is a capture") as refused:
        read_capture(tmp_path / "garden" / "images")
    assert refused.value.hint == f"Choose {tmp_path / 'garden'}."
    captures.nerfstudio(tmp_path / "lone" / "scan")
    with pytest.raises(UserError, match="one below it") as refused:
        read_capture(tmp_path / "lone")
    assert refused.value.hint == f"Choose {tmp_path / 'lone' / 'scan'}."


def test_photos_without_cameras_are_refused_with_what_to_do(tmp_path, captures):
    captures.nerfstudio(tmp_path)
    (tmp_path / "transforms.json").unlink()
    for chosen in (tmp_path, tmp_path / "images", tmp_path / "images" / "0.png"):
        with pytest.raises(UserError, match="without cameras|no cameras") as refused:
            read_capture(chosen)
        assert "ns-process-data images --data" in refused.value.hint and "automatic_reconstructor" in refused.value.hint
    shutil.rmtree(tmp_path / "images")
    (tmp_path / "walk.MP4").write_bytes(b"")
    for chosen in (tmp_path, tmp_path / "walk.MP4"):
        with pytest.raises(UserError, match="cameras") as refused:
            read_capture(chosen)
        assert "ns-process-data video" in refused.value.hint


@pytest.mark.parametrize("name", ["points.ply", "points3D.ply", "points3d.ply", "sparse_pc.ply", "cloud.ply"])
def test_seed_points_are_found(tmp_path, captures, name):
    captures.nerfstudio(tmp_path, **({"ply_file_path": "cloud.ply"} if name == "cloud.ply" else {}))
    write_points(tmp_path / name, np.zeros((3, 3)), None)
    capture = read_capture(tmp_path)
    assert capture.points == tmp_path / name and capture.warnings == ()
    captures.colmap(tmp_path / "model", points=False)
    shutil.move(tmp_path / name, tmp_path / "model" / "sparse" / "0" / "points3D.ply")
    assert read_capture(tmp_path / "model").points == tmp_path / "model" / "sparse" / "0" / "points3D.ply"


def test_points_of_a_colmap_model_in_the_same_world_are_used(tmp_path, captures):
    captures.nerfstudio(tmp_path)
    captures.colmap(tmp_path)
    assert read_capture(tmp_path).points == tmp_path / "sparse" / "0" / "points3D.txt"
    captures.nerfstudio(tmp_path, count=8)  # other poses
    capture = read_capture(tmp_path)
    assert capture.points is None and capture.source == "nerfstudio"
    assert "sparse/0 holds a COLMAP model of 9 photos" in capture.warnings[0]


def test_files_may_be_named_instead_of_the_folder(tmp_path, captures):
    assert len(read_capture(captures.nerfstudio(tmp_path) / "transforms.json").frames) == 9
    for name, hint in (("cameras.txt", f"Choose {tmp_path}."), ("other.json", f"Choose {tmp_path}, in which its cameras")):
        (tmp_path / name).write_text("{}")
        with pytest.raises(UserError, match="a file, not a capture's folder") as refused:
            read_capture(tmp_path / name)
        assert refused.value.hint.startswith(hint)


def test_links_that_lead_nowhere_are_named(tmp_path, captures):
    captures.nerfstudio(tmp_path)
    shutil.rmtree(tmp_path / "images")
    os.symlink("/gone/images", tmp_path / "images")
    with pytest.raises(UserError, match="None of the 9 photos") as refused:
        read_capture(tmp_path)
    assert refused.value.hint == f"{tmp_path / 'images'} is a link to /gone/images, which is not there; mend it."


@pytest.mark.parametrize("written, named", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_found_in_either_unicode_form(tmp_path, written, named):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / unicodedata.normalize(written, "é.png")).write_bytes(b"")
    (found,) = CaptureFiles(tmp_path).images([unicodedata.normalize(named, "images/é.png")])
    assert found is not None and found.endswith(".png")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_folders_that_link_to_themselves_are_walked_once(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.png").write_bytes(b"")
    for number in range(12):
        (tmp_path / f"loop{number}").symlink_to(".")
    (tmp_path / "all").symlink_to("/")
    (tmp_path / "again").symlink_to("deep")
    assert sorted(CaptureFiles(tmp_path).below()) == ["again/a.png", "deep/a.png"]
