# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `convert`."""

from dataclasses import replace

import numpy as np
import pytest

from engine import cli
from engine.formats.splats import Splats, read_splats, write_splats
from engine.formats.splats.blending import to_blend
from engine.formats.splats.gaussians import opacities
from engine.harmonics import SH_C0


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(0)
    f = np.float32
    splats = Splats(
        rng.uniform(-1, 1, (300, 3)).astype(f),
        rng.uniform(-4, -3, (300, 3)).astype(f),
        rng.normal(size=(300, 4)).astype(f),
        rng.uniform(-3, 3, 300).astype(f),
        rng.uniform(-0.5, 0.5, (300, 4, 3)).astype(f),
        blend="linear",
    )
    splats.means[0] = [50, 0, 0]
    write_splats(tmp_path / "in.ply", splats)
    return tmp_path / "in.ply"


def convert(*arguments) -> int:
    return cli.main(["convert", *map(str, arguments)])


@pytest.mark.parametrize("suffix", ["ply", "spz", "splat", "glb"])
def test_every_format_from_every_format(source, tmp_path, suffix):
    middle, end = tmp_path / f"middle.{suffix}", tmp_path / "end.ply"
    assert convert(source, middle) == 0 and convert(middle, end) == 0
    before, after = read_splats(source), read_splats(end)
    assert np.abs(after.means - before.means).max() < 1e-4
    assert after.degree == (0 if suffix == "splat" else 1)
    # The PLY at the end is for any viewer, whatever the file between could state.
    assert after.blend == "srgb"
    assert read_splats(middle).blend == {"ply": "srgb", "glb": "linear"}.get(suffix)


def test_steps_say_what_they_remove(source, tmp_path, capsys):
    splats = read_splats(source)
    box = (-1, -0.5, -1, 60, 1, 1)
    flags = ["--crop", *box, "--min-opacity", 0.2, "--remove-floaters", "--decimate", 100, "--blend", "srgb"]
    assert convert(source, tmp_path / "out.ply", *flags) == 0
    inside = ((splats.means >= box[:3]) & (splats.means <= box[3:])).all(axis=1)
    opaque = inside & (opacities(splats) >= 0.2)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{300 - inside.sum()} removed outside the box, {inside.sum()} remain"
    assert said[1] == f"{inside.sum() - opaque.sum()} removed with an opacity below 0.2, {opaque.sum()} remain"
    floating = int(opaque[0])
    assert said[2].startswith(f"{floating} removed that float alone")
    out = read_splats(tmp_path / "out.ply")
    assert len(out) == 100 and out.blend == "srgb" and np.abs(out.means).max() < 2


def test_axes_turn_between_files(source, tmp_path):
    before = read_splats(source)
    assert convert(source, tmp_path / "down.ply", "--to-axes", "y-down") == 0
    np.testing.assert_array_equal(read_splats(tmp_path / "down.ply", "z-up").means, before.means[:, [0, 2, 1]] * [1, -1, 1])
    # The file names its axes.
    assert convert(tmp_path / "down.ply", tmp_path / "up.glb") == 0
    np.testing.assert_array_equal(read_splats(tmp_path / "up.glb").means, before.means)
    # The box is in the world with Z up, not in the file's axes.
    assert convert(tmp_path / "down.ply", tmp_path / "top.ply", "--from-axes", "y-down", "--crop", -99, -99, 0, 99, 99, 99) == 0
    assert len(read_splats(tmp_path / "top.ply")) == (before.means[:, 2] >= 0).sum()


def test_what_a_format_cannot_say_is_said(source, tmp_path, capsys):
    convert(source, tmp_path / "a.splat")
    said = capsys.readouterr().out
    assert "no harmonics" in said and "from linear to srgb" in said
    convert(source, tmp_path / "a.spz", "--blend", "linear")
    said = capsys.readouterr().out
    assert "harmonics of degree 1" in said and "every reader takes them as sRGB" in said
    convert(source, tmp_path / "a.spz", "--overwrite")
    # Stored in steps of one 8-bit color.
    expected = to_blend(read_splats(source), "srgb").sh[:, 0] * SH_C0 + 0.5
    np.testing.assert_allclose(read_splats(tmp_path / "a.spz").sh[:, 0] * SH_C0 + 0.5, expected, atol=0.5 / 255 / 0.15 * SH_C0 + 1e-6)


def test_old_spz_on_request(source, tmp_path):
    import gzip

    for version in (2, 3):
        assert convert(source, tmp_path / f"{version}.spz", "--spz-version", version) == 0
        assert gzip.decompress((tmp_path / f"{version}.spz").read_bytes())[4] == version


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--crop", 1, 0, 0, -1, 1, 1], "no inside"),
        (["--crop", 1, 2, 3], "crop"),
        (["--crop", 80, 80, 80, 90, 90, 90], "Nothing of"),
        (["--min-opacity", 1.5], "0 to 1"),
        (["--min-opacity", "nan"], "0 to 1"),
        (["--decimate", 0], "at least 1"),
        (["--blend", "gamma"], "gamma"),
        (["--from-axes", "x-up"], "x-up"),
        (["--spz-version", 4], "4"),
    ],
)
def test_wrong_flags_are_one_sentence(source, tmp_path, capsys, flags, words):
    assert convert(source, tmp_path / "out.ply", *flags) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said
    assert not (tmp_path / "out.ply").exists()


def test_a_file_that_is_there_is_kept(source, tmp_path, capsys):
    (tmp_path / "mine.ply").write_text("mine")
    before = source.read_bytes()
    for target in (tmp_path / "mine.ply", source):
        assert convert(source, target, "--min-opacity", 0.2) == 2
        assert f"{target} is already there. Add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "mine.ply").read_text() == "mine" and source.read_bytes() == before
    assert convert(source, tmp_path / "mine.ply", "--overwrite") == 0
    assert len(read_splats(tmp_path / "mine.ply")) == 300


def test_a_suffix_nobody_knows(source, tmp_path, capsys):
    assert convert(source, tmp_path / "out.ksplat") == 2
    assert ".ply, .spz, .splat, .glb" in capsys.readouterr().err
    write_splats(tmp_path / "none.ply", replace(read_splats(source).select(np.zeros(0, int))))
    assert convert(tmp_path / "none.ply", tmp_path / "out.spz") == 0
    assert convert(tmp_path / "none.ply", tmp_path / "out.glb") == 2
