# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every format."""

import numpy as np
import pytest

from engine.contract.errors import UserError
from engine.formats.splats import READERS, WRITERS, Splats, gaussians, read_splats, write_splats
from engine.formats.splats.gaussians import opacities


@pytest.mark.parametrize("suffix", [*WRITERS, ".PLY"])
@pytest.mark.parametrize("axes", [None, "z-up", "y-up", "y-down"])
def test_means_come_back_whatever_the_axes(tmp_path, random_splats, suffix, axes):
    splats = random_splats(0, 1, 3)
    write_splats(tmp_path / f"a{suffix}", splats, axes)
    np.testing.assert_allclose(read_splats(tmp_path / f"a{suffix}", axes).means, splats.means, atol=1e-5)


@pytest.mark.parametrize("suffix", list(READERS))
def test_what_is_not_there_or_no_file(tmp_path, suffix):
    with pytest.raises(UserError, match="no file"):
        read_splats(tmp_path / f"a{suffix}")
    (tmp_path / f"a{suffix}").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        read_splats(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", list(READERS))
@pytest.mark.parametrize("content", [b"", b"x", b"not what the name says, and long enough for any header" * 3])
def test_files_of_other_kinds_are_refused(tmp_path, suffix, content):
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(UserError, match=f"a{suffix}"):
        read_splats(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("name", ["a", "a.ksplat", "a.sog", "a.txt"])
def test_other_suffixes_are_refused(tmp_path, random_splats, name):
    with pytest.raises(UserError, match="suffix.*\\.ply, \\.spz"):
        read_splats(tmp_path / name)
    with pytest.raises(UserError, match="suffix"):
        write_splats(tmp_path / name, random_splats(0, 1, 0))


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_no_number_that_is_not_finite_is_written(tmp_path, random_splats, suffix):
    splats = random_splats(0, 3, 1)
    splats.sh[1, 0, 0] = np.nan
    with pytest.raises(UserError, match="1 of 3"):
        write_splats(tmp_path / f"a{suffix}", splats)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_the_furthest_logits_stay_finite(tmp_path, random_splats, suffix):
    splats = random_splats(0, 4, 0)
    splats.opacity_logits[:] = [-3e38, -90, 90, 3e38]
    with np.errstate(all="raise", under="ignore"):
        opacity = opacities(splats)
        write_splats(tmp_path / f"a{suffix}", splats)
    np.testing.assert_allclose(opacity, [0, 0, 1, 1], atol=1e-30)
    np.testing.assert_allclose(opacities(read_splats(tmp_path / f"a{suffix}")), [0, 0, 1, 1], atol=2e-6)


@pytest.mark.parametrize("suffix", [".ply", ".splat", ".glb"])
def test_a_scale_of_zero_is_a_tiny_one_in_every_format(tmp_path, random_splats, suffix):
    splats = random_splats(0, 3, 0)
    splats.log_scales[1] = [-np.inf, 0, -np.inf]
    # As a file has it, which the door to ours refuses.
    with np.errstate(divide="ignore"):
        WRITERS[suffix](tmp_path / f"a{suffix}", splats)
    read = read_splats(tmp_path / f"a{suffix}", "z-up")
    np.testing.assert_allclose(np.exp(read.log_scales[1].astype(np.float64)), [1e-12, 1, 1e-12], rtol=1e-3)


def test_a_large_cloud_is_turned_and_converted_in_parts(tmp_path, random_splats, monkeypatch):
    splats = random_splats(0, 1000, 3)
    for suffix in WRITERS:
        write_splats(tmp_path / f"a{suffix}", splats, "y-down")
        expected = read_splats(tmp_path / f"a{suffix}", "y-down")
        with monkeypatch.context() as patch:
            patch.setattr(gaussians, "_BLOCK", 64)
            read = read_splats(tmp_path / f"a{suffix}", "y-down")
        for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
            np.testing.assert_array_equal(getattr(read, name), getattr(expected, name))


def test_published_splats_survive_every_format(tmp_path, shared_data):
    splats = read_splats(shared_data("splats") / "inria_ply" / "pc_short.ply")
    for suffix in WRITERS:
        write_splats(tmp_path / f"a{suffix}", splats)
        read = read_splats(tmp_path / f"a{suffix}")
        assert isinstance(read, Splats) and len(read) == 100
        assert np.abs(read.means - splats.means).max() < 1e-5
        assert np.abs(opacities(read) - opacities(splats)).max() < 0.5 / 255 + 1e-6
