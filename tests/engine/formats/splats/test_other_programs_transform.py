# SPDX-License-Identifier: GPL-3.0-or-later
"""Both directions against PlayCanvas' published converter, @playcanvas/splat-transform.

It takes PLY and .splat files to be turned by 180° about z, so that its GLBs and ours differ by a turn, which is undone here.
"""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.cameras import WORLD_AXES
from engine.formats.splats import read_splats, write_splats
from engine.formats.splats.gaussians import opacities
from engine.formats.splats.transform import moved
from engine.harmonics import SH_C0

pytestmark = pytest.mark.slow

HALF_TURN = np.diag([-1.0, -1.0, 1.0])
ROTATION_STEP = 3 * 0.5 * np.sqrt(0.5) / 511 * 1.01


@pytest.fixture(scope="module")
def splat_transform(tmp_path_factory):
    """Runs the published converter: the program that SPLAT_TRANSFORM names, or the package as npm installs it."""
    named = os.environ.get("SPLAT_TRANSFORM") or shutil.which("splat-transform")
    if named is None:
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("neither splat-transform nor npm is here; SPLAT_TRANSFORM may name the program")
        folder = tmp_path_factory.mktemp("npm")
        (folder / "package.json").write_text("{}")
        command = [npm, "install", "--no-audit", "--no-fund", "@playcanvas/splat-transform"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not install @playcanvas/splat-transform within three minutes")
        if done.returncode:
            pytest.skip(f"npm could not install @playcanvas/splat-transform: {done.stderr.strip()[-200:]}")
        named = str(folder / "node_modules" / ".bin" / ("splat-transform.cmd" if os.name == "nt" else "splat-transform"))

    def run(*arguments):
        done = subprocess.run([named, "-q", "-w", *map(str, arguments)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def published(shared_data):
    """A hundred trained splats of degree 3, with sizes that every format holds."""
    splats = read_splats(shared_data("splats") / "inria_ply" / "pc_short.ply")
    return replace(splats, log_scales=np.maximum(splats.log_scales, -9.9))


def assert_same(read, expected, covariances, *, means=0.0, scales=0.0, opacity=0.0, base=0.0, harmonics=0.0, shapes=0.0):
    """Each attribute is within its step. Shapes are compared as covariances, relative to their size."""
    assert len(read) == len(expected)
    assert np.abs(read.means - expected.means).max() <= means + 1e-6
    assert np.abs(read.log_scales - expected.log_scales).max() <= scales + 1e-5
    assert np.abs(opacities(read) - opacities(expected)).max() <= opacity + 3e-6
    assert np.abs(read.sh[:, 0] - expected.sh[:, 0]).max() <= base + 1e-5
    within = np.abs(expected.sh[:, 1:]) <= 1 if harmonics else True
    assert np.abs((read.sh - expected.sh)[:, 1 : read.sh.shape[1]] * within).max(initial=0) <= harmonics + 1e-5
    there = covariances(expected)
    apart = np.linalg.norm(covariances(read) - there, axis=(1, 2)) / np.linalg.norm(there, axis=(1, 2))
    assert apart.max() <= np.expm1(2 * scales) + shapes + 1e-4


# Steps of the formats; a turn of the ellipsoid by an angle changes its covariance by at most about twice that, relative to its size.
SPZ = {"scales": 0.5 / 16, "opacity": 0.5 / 255, "base": 0.5 / 255 / 0.15, "harmonics": 8.5 / 128, "shapes": 8 * ROTATION_STEP}


def test_its_ply(splat_transform, published, covariances, tmp_path):
    write_splats(tmp_path / "ours.ply", published)
    splat_transform(tmp_path / "ours.ply", tmp_path / "its.ply")
    assert_same(read_splats(tmp_path / "its.ply", "z-up"), published, covariances)


def test_its_glb(splat_transform, published, covariances, tmp_path):
    write_splats(tmp_path / "ours.ply", published)
    splat_transform(tmp_path / "ours.ply", tmp_path / "its.glb")
    read = read_splats(tmp_path / "its.glb", "z-up")
    assert read.blend == "srgb"
    assert_same(read, moved(published, HALF_TURN), covariances)


@pytest.mark.parametrize("version", [3, 4])
def test_its_spz(splat_transform, published, covariances, tmp_path, version):
    """A PLY is COLMAP's for the library that it writes SPZ with."""
    write_splats(tmp_path / "ours.ply", published, "y-down")
    splat_transform(tmp_path / "ours.ply", tmp_path / "its.spz", "--spz-version", version)
    # Compared in the file's axes, in which it was rounded: a turn mixes the errors of a band.
    there = moved(published, WORLD_AXES["y-up"].T)
    assert_same(read_splats(tmp_path / "its.spz", "z-up"), there, covariances, means=0.5 / 2**12, **SPZ)


def test_its_compressed_ply(splat_transform, published, covariances, tmp_path):
    write_splats(tmp_path / "ours.ply", published)
    splat_transform(tmp_path / "ours.ply", tmp_path / "its.compressed.ply")
    read = read_splats(tmp_path / "its.compressed.ply", "z-up")
    # It sorts along a curve, whose order is found again by the nearest means.
    order = np.linalg.norm(read.means[None] - published.means[:, None], axis=2).argmin(axis=1)
    assert sorted(order) == list(range(100))
    extent, sizes = np.ptp(published.means, axis=0).max(), np.ptp(published.log_scales, axis=0).max()
    steps = {"means": extent * 0.5 / 1023, "scales": sizes * 0.5 / 1023, "opacity": 0.5 / 255, "harmonics": 8 / 512}
    steps["base"] = np.ptp(published.sh[:, 0], axis=0).max() * 0.5 / 255
    assert_same(read.select(order), published, covariances, shapes=8 * 3 * 0.5 * np.sqrt(2) / 1023, **steps)


@pytest.mark.parametrize("version", [2, 3])
def test_our_spz(splat_transform, published, covariances, tmp_path, version):
    write_splats(tmp_path / "ours.spz", published, spz_version=version)
    splat_transform(tmp_path / "ours.spz", tmp_path / "its.ply")
    reach = np.abs(published.means).max()
    bits = next(bits for bits in range(24, -1, -1) if np.rint(reach * 2.0**bits) < 1 << 23)
    # What it decodes is what we decode, but for the rounding of its numbers.
    its, ours = read_splats(tmp_path / "its.ply", "y-down"), read_splats(tmp_path / "ours.spz")
    assert_same(its, ours, covariances)
    steps = SPZ | ({"shapes": 8 * 0.12} if version == 2 else {})
    its, there = read_splats(tmp_path / "its.ply", "z-up"), moved(published, WORLD_AXES["y-down"].T)
    assert_same(its, there, covariances, means=0.5 / 2**bits, **steps)


def test_our_dot_splat(splat_transform, published, covariances, tmp_path):
    write_splats(tmp_path / "ours.splat", published)
    splat_transform(tmp_path / "ours.splat", tmp_path / "its.ply")
    flat = replace(published, sh=np.clip(published.sh[:, :1], -0.5 / SH_C0, 0.5 / SH_C0))
    its = read_splats(tmp_path / "its.ply", "y-down")
    assert_same(its, flat, covariances, opacity=0.5 / 255, base=0.5 / 255 / SH_C0, shapes=8 * 3 / 128)


def test_our_ply_after_every_format(splat_transform, published, covariances, tmp_path):
    """It reads no GLB: ours goes through our own PLY to it, and comes back."""
    write_splats(tmp_path / "ours.glb", published)
    write_splats(tmp_path / "ours.ply", read_splats(tmp_path / "ours.glb"))
    splat_transform(tmp_path / "ours.ply", tmp_path / "its.glb")
    assert_same(read_splats(tmp_path / "its.glb", "z-up"), moved(published, HALF_TURN), covariances)


def test_a_real_object(splat_transform, shared_data, tmp_path):
    """150 000 splats: what it unpacks of a compressed PLY and of SPZ 4 is what we unpack."""
    folder = shared_data("splats") / "playcanvas"
    for name in ("biker.compressed.ply", "biker.spz"):
        splat_transform(folder / name, tmp_path / "its.ply")
        its, ours = read_splats(tmp_path / "its.ply"), read_splats(Path(folder / name))
        assert len(its) == len(ours) == 152746
        for attribute in ("means", "log_scales", "sh"):
            assert np.abs(getattr(its, attribute) - getattr(ours, attribute)).max() <= 1e-5
        assert np.abs(opacities(its) - opacities(ours)).max() <= 2e-6
