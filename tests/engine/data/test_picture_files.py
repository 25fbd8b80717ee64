# SPDX-License-Identifier: GPL-3.0-or-later
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.contract.errors import UserError
from engine.data.pictures import read_depth, read_mask, read_picture

relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def saved(folder, image, name="a.png", **options):
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "CMYK"])
def test_opaque_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(RAMP).convert(mode)
    name = "a.tif" if mode == "CMYK" else "a.png"
    picture = read_picture(saved(tmp_path, image, name), 4, 3)
    assert picture.shape == (3, 4, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_becomes_rgba(tmp_path, mode):
    image = Image.fromarray(np.stack([RAMP, RAMP, RAMP, 255 - RAMP], axis=-1)).convert(mode)
    picture = read_picture(saved(tmp_path, image), 4, 3)
    assert picture.shape == (3, 4, 4)
    np.testing.assert_array_equal(picture[..., 3], 255 - RAMP)


def test_a_palette_with_a_clear_colour_becomes_rgba(tmp_path):
    image = Image.fromarray(RAMP).convert("P")
    picture = read_picture(saved(tmp_path, image, transparency=image.getpixel((0, 0))), 4, 3)
    assert picture[0, 0, 3] == 0 and picture[2, 3, 3] == 255


def test_16_bits_become_8(tmp_path):
    levels = np.array([[0, 257, 128 * 257, 65535]] * 3, np.uint16)
    picture = read_picture(saved(tmp_path, Image.fromarray(levels)), 4, 3)
    assert picture[0, :, 1].tolist() == [0, 1, 128, 255] and picture.shape == (3, 4, 3)
    assert read_mask(tmp_path / "a.png", 4, 3)[0].tolist() == [0, 255, 255, 255]


def test_numbers_instead_of_colours_are_refused(tmp_path):
    with pytest.raises(UserError, match="display colours"):
        read_picture(saved(tmp_path, Image.fromarray(RAMP.astype(np.float32)), "a.tif"), 4, 3)


def turned(folder, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(folder, Image.fromarray(RAMP), exif=exif)


def test_exif_orientation_is_followed_only_where_the_camera_needs_it(tmp_path):
    """The picture is stored 4 × 3; a camera of 4 × 3 was solved on it as stored, one of 3 × 4 on it as shown."""
    file = turned(tmp_path, 6)
    np.testing.assert_array_equal(read_picture(file, 4, 3)[..., 0], RAMP)
    np.testing.assert_array_equal(read_picture(file, 3, 4)[..., 0], np.rot90(RAMP, -1))
    with pytest.raises(UserError, match="4 × 3 pixels"):
        read_picture(turned(tmp_path, 1), 3, 4)


def test_bombs_are_refused(tmp_path, monkeypatch):
    file = saved(tmp_path, Image.fromarray(RAMP))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(UserError, match="too large"):
        read_picture(file, 4, 3)


def encoded(kind) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


FILES = {kind: encoded(kind) for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP")}


@given(st.sampled_from(sorted(FILES)), st.data())
@settings(relaxed, max_examples=200)
def test_damaged_pictures_give_user_errors_only(tmp_path, kind, data):
    whole = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(0, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.png").write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for read in (read_picture, read_mask):
        try:
            assert read(tmp_path / "a.png", 32, 24).shape[:2] == (24, 32)
        except UserError as error:
            assert "a.png" in error.message


def test_cut_pictures_are_refused(tmp_path):
    for kind in ("PNG", "JPEG"):
        (tmp_path / "a").write_bytes(FILES[kind][: len(FILES[kind]) * 2 // 3])
        with pytest.raises(UserError, match="cannot be read"):
            read_picture(tmp_path / "a", 32, 24)


def test_missing_files_are_refused(tmp_path):
    for read in (lambda file: read_picture(file, 1, 1), lambda file: read_mask(file, 1, 1), read_depth):
        with pytest.raises(UserError, match=r"none\.png"):
            read(tmp_path / "none.png")


def test_depth_without_surface_becomes_0(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1.5, np.nan], [np.inf, -2]]))
    depth = read_depth(tmp_path / "a.npy")
    assert depth.dtype == np.float32 and depth.tolist() == [[1.5, 0], [0, 0]]


@pytest.mark.parametrize("array", [np.ones((2, 2), int), np.ones(3), np.ones((2, 2, 1)), np.array([["a"]]), np.ones((2, 2), complex)])
def test_arrays_that_are_not_depth_are_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserError):
        read_depth(tmp_path / "a.npy")


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("was unpickled",))

    np.save(tmp_path / "a.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    with pytest.raises(UserError):
        read_depth(tmp_path / "a.npy")


@given(st.data())
@settings(relaxed, max_examples=200)
def test_damaged_depth_gives_user_errors_only(tmp_path, data):
    stream = io.BytesIO()
    np.save(stream, np.ones((4, 5), np.float32))
    whole = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, 130))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.npy").write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        read_depth(tmp_path / "a.npy")
    except UserError:
        pass


def test_depth_larger_than_its_file_is_refused_before_memory_is_taken(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)})
    (tmp_path / "a.npy").write_bytes(stream.getvalue() + bytes(100))
    with pytest.raises(UserError):
        read_depth(tmp_path / "a.npy")
    assert (tmp_path / "a.npy").stat().st_size < 1000
