# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.errors import UserError
from engine.formats.splats import read_splats, write_splats
from engine.formats.splats.gaussians import opacities, unit_quats
from engine.harmonics import SH_C0

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROUNDING = 1e-6


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 3))
@relaxed
def test_errors_are_half_a_step(tmp_path, random_splats, quat_errors, seed, count, degree):
    splats = random_splats(seed, count, degree)
    write_splats(tmp_path / "a.splat", splats)
    assert (tmp_path / "a.splat").stat().st_size == 32 * count
    read = read_splats(tmp_path / "a.splat")
    assert (len(read), read.degree, read.blend, read.antialias) == (count, 0, None, None)
    np.testing.assert_array_equal(read.means, splats.means)
    np.testing.assert_allclose(read.log_scales, splats.log_scales, atol=ROUNDING)
    assert np.abs(opacities(read) - opacities(splats)).max() <= 0.5 / 255 + ROUNDING
    assert np.abs(read.sh - splats.sh[:, :1]).max() <= 0.5 / 255 / SH_C0 + ROUNDING
    # A part is half a step of 1/128 off, a part of 1 a whole one since 256 is no byte; normalizing at most doubles it.
    assert quat_errors(read.quats, splats.quats).max() <= 2 / 128


def test_both_codes_of_rotations_are_read(tmp_path, random_splats, quat_errors):
    splats = random_splats(1, 200, 0)
    write_splats(tmp_path / "a.splat", splats, "z-up")
    rows = np.frombuffer((tmp_path / "a.splat").read_bytes(), np.uint8).reshape(-1, 32).copy()
    rows[:, 28:] = np.rint((unit_quats(splats.quats) + 1) / 2 * 255)
    (tmp_path / "b.splat").write_bytes(rows.tobytes())
    assert quat_errors(read_splats(tmp_path / "b.splat", "z-up").quats, splats.quats).max() < 3 / 128


def test_axes_are_those_of_published_plys(tmp_path, random_splats):
    """Y down, which no .splat file states: ours stand upright in other viewers, theirs here."""
    splats = random_splats(0, 3, 0)
    write_splats(tmp_path / "a.splat", splats)
    rows = np.frombuffer((tmp_path / "a.splat").read_bytes(), np.float32).reshape(-1, 8)
    np.testing.assert_array_equal(rows[:, :3], splats.means[:, [0, 2, 1]] * [1, -1, 1])
    np.testing.assert_array_equal(read_splats(tmp_path / "a.splat").means, splats.means)
    np.testing.assert_array_equal(read_splats(tmp_path / "a.splat", "z-up").means, rows[:, :3])


def test_a_published_file(shared_data):
    splats = read_splats(shared_data("splats") / "splat_transform_fixtures" / "minimal.splat", "z-up")
    np.testing.assert_array_equal(splats.means, [[-1, 0, -1], [0, 0, -1], [-1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(np.exp(splats.log_scales), 0.1, rtol=1e-6)
    np.testing.assert_allclose(opacities(splats), 230 / 255, atol=1e-6)
    colors = np.array([[85, 85, 128], [170, 85, 128], [85, 170, 128], [170, 170, 128]]) / 255
    np.testing.assert_allclose(splats.sh[:, 0] * SH_C0 + 0.5, colors, atol=1e-6)


def test_cut_files_are_refused_between_splats_at_most_shorter(tmp_path, random_splats):
    write_splats(tmp_path / "a.splat", random_splats(0, 2, 0))
    data = (tmp_path / "a.splat").read_bytes()
    for length in range(len(data)):
        (tmp_path / "cut.splat").write_bytes(data[:length])
        if length == 32:
            assert len(read_splats(tmp_path / "cut.splat")) == 1
            continue
        with pytest.raises(UserError, match="cut.splat"):
            read_splats(tmp_path / "cut.splat")


def test_impossible_numbers_are_refused(tmp_path, random_splats):
    for change in ({"log_scales": np.full((2, 3), 200, np.float32)}, {"means": np.full((2, 3), np.nan, np.float32)}):
        with pytest.raises(UserError):
            write_splats(tmp_path / "a.splat", replace(random_splats(0, 2, 0), **change))
    with pytest.raises(UserError, match="no splats"):
        write_splats(tmp_path / "a.splat", random_splats(0, 0, 0))
    assert not list(tmp_path.iterdir())
    write_splats(tmp_path / "a.splat", random_splats(0, 2, 0))
    data = bytearray((tmp_path / "a.splat").read_bytes())
    for place, number in ((0, np.nan), (12, -1.0), (12, np.inf)):
        damaged = bytearray(data)
        damaged[place : place + 4] = np.float32(number).tobytes()
        (tmp_path / "b.splat").write_bytes(damaged)
        with pytest.raises(UserError, match="not finite"):
            read_splats(tmp_path / "b.splat")


def test_a_size_of_zero_stays_drawable(tmp_path, random_splats):
    write_splats(tmp_path / "a.splat", random_splats(0, 1, 0))
    data = bytearray((tmp_path / "a.splat").read_bytes())
    data[12:16] = bytes(4)
    (tmp_path / "a.splat").write_bytes(data)
    assert np.isfinite(read_splats(tmp_path / "a.splat").log_scales).all()
