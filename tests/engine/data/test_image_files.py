# SPDX-License-Identifier: GPL-3.0-or-later
import io
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.contract.errors import UserError
from engine.data.image_files import read_depth, read_mask, read_picture, read_upright

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
    with pytest.raises(UserError, match="display colors"):
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


def claiming(file, width, height):
    """A PNG of a few bytes whose header claims any size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return file


@pytest.mark.parametrize("side", [8001, 10_000, 13_000, 30_000, 65_535])
def test_sizes_that_a_file_only_claims_are_refused_before_memory_is_taken(tmp_path, side, monkeypatch):
    file = claiming(tmp_path / "a.png", side, side)
    monkeypatch.setattr("PIL.Image.Image.load", lambda *_: pytest.fail("it was decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("it was decoded"))
    for read in (lambda: read_picture(file, side, side), lambda: read_mask(file, side, side), lambda: read_upright(file)):
        with pytest.raises(UserError, match=f"a.png is too large: its header says {side} × {side} pixels.*as its file has only") as refused:
            read()
        assert f"RECONSTRUCT_MAX_MEGAPIXELS to {-(-side * side // 1_000_000)}" in refused.value.hint


def test_limits_follow_from_memory_and_from_what_cameras_make(tmp_path, monkeypatch):
    file = claiming(tmp_path / "a.png", 20_000, 20_000)
    with open(file, "ab") as stream:
        stream.truncate(30_000_000)
    with pytest.raises(UserError, match="at most 256 megapixels are read, as no camera makes more|GB of memory are free"):
        read_picture(file, 20_000, 20_000)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=0.6e9))
    with pytest.raises(UserError, match="at most 50 megapixels are read, as 0.6 GB of memory are free"):
        read_picture(file, 20_000, 20_000)


def test_the_limit_can_be_raised(tmp_path, monkeypatch):
    file = saved(tmp_path, Image.fromarray(RAMP))
    monkeypatch.setenv("RECONSTRUCT_MAX_MEGAPIXELS", "0.000011")
    with pytest.raises(UserError, match="as RECONSTRUCT_MAX_MEGAPIXELS says"):
        read_picture(file, 4, 3)
    monkeypatch.setenv("RECONSTRUCT_MAX_MEGAPIXELS", "0.000012")
    assert read_picture(file, 4, 3).shape == (3, 4, 3)
    monkeypatch.setenv("RECONSTRUCT_MAX_MEGAPIXELS", "many")
    with pytest.raises(UserError, match="RECONSTRUCT_MAX_MEGAPIXELS is 'many'"):
        read_picture(file, 4, 3)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 3\n", b"", b"no image", b"GIF89a"])
def test_what_pillow_would_run_programs_for_is_not_opened(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match="a.png cannot be read as an image"):
        read_picture(tmp_path / "a.png", 4, 3)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA", "RGBA", "I;16"])
def test_one_image_by_itself_is_read_as_in_a_capture(tmp_path, mode):
    image = Image.fromarray(RAMP.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(RAMP).convert(mode)
    file = saved(tmp_path, image, "a.tif" if mode == "CMYK" else "a.png")
    upright = read_upright(file)
    assert upright.mode == ("RGBA" if mode in ("LA", "RGBA") else "RGB")
    np.testing.assert_array_equal(np.array(upright), read_picture(file, 4, 3))


def test_one_image_by_itself_is_turned_as_its_exif_says(tmp_path):
    np.testing.assert_array_equal(np.array(read_upright(turned(tmp_path, 6)))[..., 0], np.rot90(RAMP, -1))


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
