# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.errors import UserError
from engine.formats.splats import read_splats
from engine.formats.splats.gaussians import opacities, unit_quats
from engine.harmonics import SH_C0

relaxed = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pack(splats, with_colors=True) -> bytes:
    """A compressed PLY of splats, by the format's description."""
    count = len(splats)
    chunk = np.arange(count) // 256
    chunks = -(-count // 256)
    colors = splats.sh[:, 0] * SH_C0 + 0.5
    lows, highs, shares = [], [], []
    for values in (splats.means, splats.log_scales, colors) if with_colors else (splats.means, splats.log_scales):
        low = np.stack([values[chunk == index].min(axis=0) for index in range(chunks)]) if chunks else np.empty((0, 3))
        high = np.stack([values[chunk == index].max(axis=0) for index in range(chunks)]) if chunks else np.empty((0, 3))
        lows.append(low)
        highs.append(high)
        shares.append((values - low[chunk]) / np.maximum(high[chunk] - low[chunk], 1e-30))
    if not with_colors:
        shares.append(np.clip(colors, 0, 1))

    def join(parts, bits):
        total = np.zeros(count, np.uint64)
        for part, size in zip(parts, bits, strict=True):
            total = (total << np.uint64(size)) | np.rint(part * (2**size - 1)).astype(np.uint64)
        return total.astype("<u4")

    quats = unit_quats(splats.quats)
    largest = np.abs(quats).argmax(axis=1)
    quats *= np.where(np.take_along_axis(quats, largest[:, None], 1) < 0, -1, 1)
    small = np.stack([np.delete(quat, index) for quat, index in zip(quats, largest, strict=True)]) if count else np.empty((0, 3))
    rotation = join([largest / 3, *(small * np.sqrt(0.5) + 0.5).T], (2, 10, 10, 10))
    position, scale = join(shares[0].T, (11, 10, 11)), join(shares[1].T, (11, 10, 11))
    color = join([*shares[2].T, opacities(splats)], (8, 8, 8, 8))
    names = [f"{end}_{axis}" for end in ("min", "max") for axis in "xyz"]
    names += [f"{end}_scale_{axis}" for end in ("min", "max") for axis in "xyz"]
    bounds = [lows[0], highs[0], lows[1], highs[1]]
    if with_colors:
        names += [f"{end}_{axis}" for end in ("min", "max") for axis in "rgb"]
        bounds += [lows[2], highs[2]]
    rest = 3 * (splats.sh.shape[1] - 1)
    harmonics = np.clip(np.floor((splats.sh[:, 1:] / 8 + 0.5) * 256), 0, 255).astype(np.uint8).transpose(0, 2, 1).reshape(count, rest)
    lines = ["ply", "format binary_little_endian 1.0", f"element chunk {chunks}", *(f"property float {name}" for name in names)]
    lines += [f"element vertex {count}", *(f"property uint packed_{name}" for name in ("position", "rotation", "scale", "color"))]
    if rest:
        lines += [f"element sh {count}", *(f"property uchar f_rest_{index}" for index in range(rest))]
    head = "\n".join([*lines, "end_header", ""]).encode()
    packed = np.stack([position, rotation, scale, color], axis=1).astype("<u4")
    return head + np.concatenate(bounds, axis=1).astype("<f4").tobytes() + packed.tobytes() + harmonics.tobytes()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 255, 256, 257, 600]), st.integers(0, 3), st.booleans())
@relaxed
def test_errors_are_half_a_step_between_the_bounds(tmp_path, random_splats, quat_errors, seed, count, degree, with_colors):
    splats = random_splats(seed, count, degree)
    (tmp_path / "a.ply").write_bytes(pack(splats, with_colors))
    read = read_splats(tmp_path / "a.ply", "z-up")
    assert len(read) == count and read.degree == degree
    if not count:
        return
    for name in ("means", "log_scales"):
        before, after = getattr(splats, name), getattr(read, name)
        extent = before.max(axis=0) - before.min(axis=0)
        # Float32 bounds add their own rounding.
        assert (np.abs(after - before) <= extent * (0.5 / np.array([2047, 1023, 2047])) + 1e-5).all()
    assert np.abs(opacities(read) - opacities(splats)).max() <= 0.5 / 255 + 1e-6
    color_extent = 1.0 if not with_colors else np.ptp(splats.sh[:, 0] * SH_C0, axis=0)
    assert (np.abs(read.sh[:, 0] - splats.sh[:, 0]) * SH_C0 <= color_extent * 0.5 / 255 + 1e-6).all()
    # Codes span -4 to 4 in 256 steps, and stand for their middle, save the outer two.
    assert np.abs(read.sh[:, 1:] - splats.sh[:, 1:]).max(initial=0) <= 8 / 512 + 1e-6
    assert quat_errors(read.quats, splats.quats).max() <= 3 * 0.5 * np.sqrt(2) / 1023 * 1.01


def test_cut_files_are_refused_at_every_byte(tmp_path, random_splats):
    data = pack(random_splats(0, 2, 1))
    (tmp_path / "cut.ply").write_bytes(data)
    read_splats(tmp_path / "cut.ply")
    for length in range(len(data)):
        (tmp_path / "cut.ply").write_bytes(data[:length])
        with pytest.raises(UserError, match="cut.ply"):
            read_splats(tmp_path / "cut.ply")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"element chunk 1", b"element chonk 1"),
        (b"element chunk 1", b"element chunk 0"),
        (b"float min_scale_y", b"float mim_scale_y"),
        (b"float max_g", b"float mux_g"),
        (b"uint packed_scale", b"int packed_scale"),
        (b"uint packed_color", b"uint packed_colon"),
        (b"uchar f_rest_3", b"char f_rest_3"),
        (b"uchar f_rest_3", b"uchar f_rest_9"),
        (b"element sh 2", b"element sh 1"),
        (b"element vertex 2", b"element vertex 999999999"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(tmp_path, random_splats, old, new):
    data = pack(random_splats(0, 2, 1))
    assert old in data
    (tmp_path / "a.ply").write_bytes(data.replace(old, new))
    with pytest.raises(UserError, match="a.ply"):
        read_splats(tmp_path / "a.ply")


@pytest.mark.filterwarnings("error")
def test_a_chunk_with_an_infinite_bound_loses_only_what_lies_there(tmp_path, random_splats):
    splats = random_splats(0, 300, 0)
    splats.log_scales[3] = splats.log_scales[:256].min(axis=0)
    data = bytearray(pack(splats))
    bounds = np.frombuffer(data, "<f4", 18, data.index(b"end_header\n") + 11)
    bounds[6:9] = -np.inf
    (tmp_path / "a.ply").write_bytes(data)
    read = read_splats(tmp_path / "a.ply", "z-up")
    np.testing.assert_allclose(np.exp(read.log_scales[3].astype(np.float64)), 1e-12, rtol=1e-3)
    np.testing.assert_allclose(read.log_scales[:256].max(axis=0), splats.log_scales[:256].max(axis=0), rtol=1e-6)
    bounds[0] = np.nan
    (tmp_path / "a.ply").write_bytes(data)
    notes = []
    assert len(read_splats(tmp_path / "a.ply", note=notes.append)) == 44 and "256 of 300" in notes[0]
