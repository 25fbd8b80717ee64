# SPDX-License-Identifier: GPL-3.0-or-later
import gzip
import struct
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.errors import UserError
from engine.formats.splats import read_splats, write_splats
from engine.formats.splats.gaussians import opacities
from engine.formats.splats.spz import read_spz, write_spz
from engine.harmonics import harmonics

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROUNDING = 1e-6  # of float32, next to steps of bytes


def header_of(file):
    return gzip.decompress(file.read_bytes())[:16]


@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(0, 3), st.sampled_from([2, 3]), st.booleans(), st.integers(-3, 16))
@relaxed
def test_errors_are_half_a_step(tmp_path, random_splats, quat_errors, seed, count, degree, version, antialias, magnitude):
    splats = random_splats(seed, count, degree, antialias=antialias)
    splats = replace(splats, means=splats.means * np.float32(2.0**magnitude))
    write_spz(tmp_path / "a.spz", splats, version)
    read = read_spz(tmp_path / "a.spz")
    assert (len(read), read.degree, read.antialias, read.blend) == (count, degree, antialias, None)
    bits = header_of(tmp_path / "a.spz")[13]
    reach = np.abs(splats.means).max(initial=0)
    assert bits == 24 or reach * 2.0 ** (bits + 1) >= 2**23 - 1, "a finer step would have fitted"
    # Reading rounds 24 bits into float32, which is exact.
    assert np.abs(read.means - splats.means.astype(np.float64)).max(initial=0) <= 0.5 / 2**bits
    assert np.abs(read.log_scales - splats.log_scales).max(initial=0) <= 0.5 / 16 + ROUNDING
    assert np.abs(opacities(read) - opacities(splats)).max(initial=0) <= 0.5 / 255 + ROUNDING
    assert np.abs(read.sh[:, 0] - splats.sh[:, 0]).max(initial=0) <= 0.5 / 255 / 0.15 + ROUNDING
    # Half a bucket, and the rounding to whole numbers before it.
    assert np.abs(read.sh[:, 1:4] - splats.sh[:, 1:4]).max(initial=0) <= (4 + 0.5) / 128 + ROUNDING
    assert np.abs(read.sh[:, 4:] - splats.sh[:, 4:]).max(initial=0) <= (8 + 0.5) / 128 + ROUNDING
    errors = quat_errors(read.quats, splats.quats)
    if version == 3:
        # The three stored parts are at most half a step off; the largest, at least 1/2, is off by at most their sum.
        assert errors.max(initial=0) <= 3 * 0.5 * np.sqrt(0.5) / 511 * 1.01
    else:
        # w follows from x, y, z, whose squares sum to at most 1: near w = 0 its error is the root of theirs.
        step = 0.5 / 127.5
        assert errors.max(initial=0) <= np.sqrt(2 * np.sqrt(3) * step + 3 * step**2)


def test_rotations_on_the_edges_of_their_code(tmp_path, random_splats, quat_errors):
    r, t = np.sqrt(0.5), 0.5
    quats = [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, -1, 0],
        [0, 0, 0, 1],
        [r, r, 0, 0],
        [0, -r, 0, r],
        [0, 0, r, -r],
        [t, t, t, t],
        [-t, t, -t, t],
    ]
    splats = replace(random_splats(0, len(quats), 0), quats=np.array(quats, np.float32))
    for version, most in ((3, 1.5e-3), (2, 8e-2)):
        write_spz(tmp_path / "a.spz", splats, version)
        assert quat_errors(read_spz(tmp_path / "a.spz").quats, splats.quats).max() < most


def test_what_is_out_of_range_is_brought_to_its_end(tmp_path, random_splats):
    splats = replace(
        random_splats(0, 4, 1),
        log_scales=np.array([[-30, 30, 0]] * 4, np.float32),
        opacity_logits=np.array([-100, 100, -1000, 1000], np.float32),
        sh=np.array([[[-9, 9, 0]] * 4] * 4, np.float32),
    )
    write_spz(tmp_path / "a.spz", splats)
    read = read_spz(tmp_path / "a.spz")
    np.testing.assert_array_equal(read.log_scales[0], [-10, 255 / 16 - 10, 0])
    np.testing.assert_allclose(opacities(read), [0, 1, 0, 1], atol=2e-6)
    np.testing.assert_allclose(read.sh[0, 0], [-0.5 / 0.15, 0.5 / 0.15, 0.5 / 255 / 0.15], atol=1e-6)
    np.testing.assert_allclose(read.sh[0, 1], [-1, 127 / 128, 0], atol=1e-6)
    assert np.isfinite(read.opacity_logits).all()


def test_a_splat_beyond_24_bits_is_refused(tmp_path, random_splats):
    splats = random_splats(0, 3, 0)
    splats.means[1] = [0, 9e6, 0]
    with pytest.raises(UserError, match="too far"):
        write_spz(tmp_path / "a.spz", splats)
    assert not list(tmp_path.iterdir())


def test_bytes_lie_as_the_format_says(tmp_path, random_splats):
    splats = replace(
        random_splats(0, 1, 1, antialias=True),
        means=np.array([[1, -1, 0.5]], np.float32),
        log_scales=np.array([[0, -10, 1]], np.float32),
        quats=np.array([[0.5, -0.5, 0.5, 0.5]], np.float32),
        opacity_logits=np.zeros(1, np.float32),
        sh=np.array([[[0, 1, -1], [0.5, 0, -0.5], [0.25, 0, 0], [0, 0, -1]]], np.float32),
    )
    write_spz(tmp_path / "a.spz", splats, 2)
    data = gzip.decompress((tmp_path / "a.spz").read_bytes())
    bits = data[13]
    assert struct.unpack_from("<IIIBBBB", data) == (0x5053474E, 2, 1, 1, bits, 1, 0) and bits == 22
    numbers = [int.from_bytes(data[16 + 3 * i : 19 + 3 * i], "little", signed=True) for i in range(3)]
    assert numbers == [1 << bits, -(1 << bits), 1 << (bits - 1)]
    assert list(data[25:]) == [128, 128, 166, 89, 160, 0, 176, 64, 191, 191, 192, 128, 64, 160, 128, 128, 128, 128, 0]


def test_the_axes_of_the_file_are_y_up(tmp_path, random_splats):
    splats = random_splats(0, 1, 0)
    splats.means[0] = [1, 2, 3]
    write_splats(tmp_path / "a.spz", splats)
    np.testing.assert_allclose(read_spz(tmp_path / "a.spz").means[0], [1, 3, -2], atol=1e-5)
    np.testing.assert_allclose(read_splats(tmp_path / "a.spz").means[0], [1, 2, 3], atol=1e-5)


def test_published_files_hold_the_same_splats(shared_data):
    folder = shared_data("splats") / "splat_transform_fixtures"
    packed, raw = read_spz(folder / "minimal-v2.spz"), read_spz(folder / "minimal-raw.spz")
    three, four = read_spz(folder / "minimal-v3.spz"), read_spz(folder / "minimal-v4.spz")
    for a, b in ((packed, raw), (three, four)):
        for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(three.means, [[-1, 0, 1], [0, 0, 1], [-1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(packed.means, [[-1, 0, -1], [0, 0, -1], [-1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(opacities(four), 230 / 255, atol=1e-6)


def test_published_files_are_one_object(shared_data, covariances):
    """The same 152 746 splats as compressed PLY, whose axes are COLMAP's, and as SPZ, whose axes are defined."""
    folder = shared_data("splats") / "playcanvas"
    ply, spz = read_splats(folder / "biker.compressed.ply"), read_splats(folder / "biker.spz")
    assert len(ply) == len(spz) == 152746 and ply.degree == spz.degree == 0
    # The SPZ was made from the PLY: apart by half a step of SPZ, 12 bits after the point, and sizes end at e^-10.
    ply = replace(ply, log_scales=np.maximum(ply.log_scales, -10))
    assert np.abs(ply.means - spz.means).max() <= 0.5 / 2**12 + 1e-6
    assert np.abs(ply.log_scales - spz.log_scales).max() <= 0.5 / 16 + 1e-5
    assert np.abs(opacities(ply) - opacities(spz)).max() <= 1e-5
    assert np.abs(ply.sh - spz.sh).max() <= 0.5 / 255 / 0.15 + 1e-5
    shape = covariances(ply)
    size = np.linalg.norm(shape, axis=(1, 2))
    # exp(2 · 1/32) is 6.5 % in squared sizes; rotations add little.
    assert (np.linalg.norm(covariances(spz) - shape, axis=(1, 2)) / size).max() < 0.08


def test_degree_four_is_cut_to_three(tmp_path):
    rng = np.random.default_rng(0)
    sh = rng.integers(0, 256, (2, 24, 3), dtype=np.uint8)
    body = bytes(2 * 9) + bytes([128] * 2 * (1 + 3 + 3)) + struct.pack("<II", 3 << 30, 3 << 30) + sh.tobytes()
    (tmp_path / "a.spz").write_bytes(gzip.compress(struct.pack("<IIIBBBB", 0x5053474E, 3, 2, 4, 12, 0, 0) + body))
    notes = []
    read = read_spz(tmp_path / "a.spz", notes.append)
    assert read.degree == 3 and "degree 4" in notes[0]
    np.testing.assert_array_equal(read.sh[:, 1:], (sh[:, :15] - np.float32(128)) / 128)


def extended(file, flags: int, *records: tuple[int, bytes]):
    """The SPZ of a file with extensions, as version 3."""
    data = bytearray(gzip.decompress(file.read_bytes()))
    data[14] = flags
    data += b"".join(struct.pack("<II", kind, len(content)) + content for kind, content in records)
    file.with_name("b.spz").write_bytes(gzip.compress(data))
    return file.with_name("b.spz")


def test_extensions_are_ignored_with_a_sentence(tmp_path, random_splats):
    write_spz(tmp_path / "a.spz", random_splats(0, 3, 1))
    notes = []
    file = extended(tmp_path / "a.spz", 2, (0xADBE0002, bytes(12)), (0x12345678, b""), (0xADBE0003, struct.pack("<I", 17)))
    np.testing.assert_array_equal(read_spz(file, notes.append).sh, read_spz(tmp_path / "a.spz").sh)
    assert [word in note for word, note in zip(("safe_orbit_camera", "0x12345678", "coordinate_system"), notes, strict=True)] == [True] * 3
    # Without the flag there are none, whatever follows; and what is cut is no reason to lose the splats.
    assert len(read_spz(extended(tmp_path / "a.spz", 0, (0xADBE0003, struct.pack("<I", 6))), pytest.fail)) == 3
    assert len(read_spz(extended(tmp_path / "a.spz", 2, (0xADBE0003, b"\x06")))) == 3


# How Niantic's library takes means to SPZ's own axes (coordinateConverter in splat-types.h), by the number of their axes.
STORED = {0: [1, 2, 3], 4: [1, 2, 3], 6: [1, -2, -3], 1: [-1, -2, 3], 7: [-1, 2, -3], 12: [1, 3, -2], 13: [-1, -3, 2], 15: [-1, -3, -2]}


@pytest.mark.parametrize("axes", STORED)
def test_axes_that_an_extension_names_are_used(tmp_path, random_splats, covariances, axes):
    splats = random_splats(0, 5, 3)
    splats.means[0] = [1, 2, 3]
    write_spz(tmp_path / "a.spz", splats)
    stored = read_spz(tmp_path / "a.spz")
    read = read_spz(extended(tmp_path / "a.spz", 2, (0xADBE0003, struct.pack("<I", axes))), pytest.fail)
    np.testing.assert_allclose(read.means[0], STORED[axes], atol=1e-5)
    matrix = np.array([[np.sign(value) * (abs(value) == column) for column in (1, 2, 3)] for value in STORED[axes]])
    np.testing.assert_allclose(covariances(read), matrix @ covariances(stored) @ matrix.T, rtol=1e-4, atol=1e-8)
    directions = np.random.default_rng(0).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    seen = harmonics(3, directions @ matrix.T) @ read.sh
    np.testing.assert_allclose(seen, harmonics(3, directions) @ stored.sh, atol=1e-5)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_cut_files_are_refused_at_every_byte(tmp_path, random_splats, shared_data, version):
    if version == 4:
        data = (shared_data("splats") / "splat_transform_fixtures" / "minimal-v4.spz").read_bytes()
    else:
        write_spz(tmp_path / "whole.spz", random_splats(0, 3, 1), version)
        data = (tmp_path / "whole.spz").read_bytes()
    for length in range(len(data)):
        (tmp_path / "cut.spz").write_bytes(data[:length])
        with pytest.raises(UserError, match="cut.spz"):
            read_splats(tmp_path / "cut.spz")


@given(st.integers(0, 219), st.integers(0, 255))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_give_splats_or_a_sentence(tmp_path, shared_data, place, value):
    data = bytearray((shared_data("splats") / "splat_transform_fixtures" / "minimal-v4.spz").read_bytes())
    data[place] = value
    (tmp_path / "a.spz").write_bytes(data)
    try:
        read_splats(tmp_path / "a.spz").check("a.spz")
    except UserError:
        pass


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ((0x12345678, 3, 1, 0, 12, 0, 0), "not an SPZ"),
        ((0x5053474E, 1, 1, 0, 12, 0, 0), "version 1"),
        ((0x5053474E, 5, 1, 0, 12, 0, 0), "version 5"),
        ((0x5053474E, 3, 1, 5, 12, 0, 0), "damaged"),
        ((0x5053474E, 3, 1, 0, 31, 0, 0), "damaged"),
        ((0x5053474E, 3, 2**32 - 1, 4, 12, 0, 0), "cut short"),
        ((0x5053474E, 4, 2**32 - 1, 3, 12, 0, 6), "cut short|damaged"),
    ],
)
def test_hostile_headers(tmp_path, header, words):
    data = struct.pack("<IIIBBBB", *header) + bytes(200)
    for kind, content in (("raw", data), ("packed", gzip.compress(data))):
        (tmp_path / f"{kind}.spz").write_bytes(content)
        with pytest.raises(UserError, match=words if header[1] != 4 else "cut short|damaged"):
            read_splats(tmp_path / f"{kind}.spz")


def test_bombs_take_no_memory(tmp_path):
    """A few kilobytes that claim, or unpack to, far more than they hold."""
    import tracemalloc

    import zstandard

    long = zstandard.ZstdCompressor().compress(bytes(1 << 26))
    head = struct.pack("<IIIBBBB", 0x5053474E, 4, 1, 0, 12, 0, 5) + struct.pack("<I12x", 32)
    table = b"".join(struct.pack("<QQ", len(long), size) for size in (9, 1, 3, 3, 4))
    (tmp_path / "zstd.spz").write_bytes(head + table + long * 5)
    claim = struct.pack("<IIIBBBB", 0x5053474E, 3, 50_000_000, 3, 12, 0, 0)
    (tmp_path / "gzip.spz").write_bytes(gzip.compress(claim + bytes(1 << 22)))
    full = struct.pack("<IIIBBBB", 0x5053474E, 3, 6_000_000, 0, 12, 0, 0)
    (tmp_path / "full.spz").write_bytes(gzip.compress(full + bytes(20 * 6_000_000), 1))
    tail = struct.pack("<IIIBBBB", 0x5053474E, 3, 1, 0, 12, 0, 0) + bytes(20)
    (tmp_path / "tail.spz").write_bytes(gzip.compress(tail + bytes(1 << 26)))
    tracemalloc.start()
    expected = {"zstd": None, "gzip": "cut short", "full": "a file of its size may take", "tail": "far more than its header"}
    for name, words in expected.items():
        try:
            read_splats(tmp_path / f"{name}.spz")
        except UserError as error:
            assert words and words in str(error)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_the_limit_of_memory_can_be_raised(tmp_path, monkeypatch):
    splats = 2_500_000
    head = struct.pack("<IIIBBBB", 0x5053474E, 3, splats, 0, 12, 0, 0)
    (tmp_path / "a.spz").write_bytes(gzip.compress(head + bytes(100), 1))
    with pytest.raises(UserError, match="cut short"):
        read_splats(tmp_path / "a.spz")
    # Long enough to be what it claims, so that it is unpacked only where that is allowed.
    (tmp_path / "a.spz").write_bytes(gzip.compress(head + bytes(100), 1) + bytes(200_000))
    with pytest.raises(UserError, match="RECONSTRUCT_FILE_MEMORY"):
        read_splats(tmp_path / "a.spz")
    monkeypatch.setenv("RECONSTRUCT_FILE_MEMORY", "1")
    with pytest.raises(UserError, match="cut short"):
        read_splats(tmp_path / "a.spz")


def test_a_wrong_checksum_is_noticed(tmp_path, random_splats):
    write_spz(tmp_path / "a.spz", random_splats(0, 3, 1))
    data = bytearray((tmp_path / "a.spz").read_bytes())
    data[-6] ^= 1
    (tmp_path / "a.spz").write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        read_splats(tmp_path / "a.spz")


def test_without_zstandard_version_4_says_what_to_do(shared_data, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UserError, match="zstandard.*engine convert"):
        read_splats(shared_data("splats") / "playcanvas" / "biker.spz")


def test_the_stream_is_plain_gzip(tmp_path, random_splats):
    write_spz(tmp_path / "a.spz", random_splats(0, 3, 1))
    assert zlib.decompress((tmp_path / "a.spz").read_bytes(), wbits=31)[:4] == b"NGSP"
