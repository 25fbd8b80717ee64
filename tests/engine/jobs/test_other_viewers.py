# SPDX-License-Identifier: GPL-3.0-or-later
"""Our PLYs look the same elsewhere: a viewer as others write them, of nothing but the equations of Kerbl et al. 2023 (EWA of Zwicker et al.
2001) and the constants of its reference renderer, in NumPy. It shares no code with the engine."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cameras import Camera
from engine.formats.splats import write_splats
from engine.formats.splats.gaussians import Splats
from engine.methods.splat import SplatModel
from engine.splats.gaussians import Gaussians

ROOT = Path(__file__).parents[3]

TILE = 16
NEAR, BLUR, FRUSTUM = 0.2, 0.3, 1.3
LEAST_ALPHA, MOST_ALPHA, LEAST_LIGHT = 1 / 255, 0.99, 1e-4


def read_ply(file: Path) -> dict[str, np.ndarray]:
    """The columns of a binary PLY of floats, as what they mean."""
    head, body = file.read_bytes().split(b"end_header\n", 1)
    lines = [line.split() for line in head.decode().splitlines()]
    assert lines[1] == ["format", "binary_little_endian", "1.0"]
    names = [line[2] for line in lines if line[0] == "property" and line[1] == "float"]
    (count,) = (int(line[2]) for line in lines if line[:2] == ["element", "vertex"])
    table = np.frombuffer(body, "<f4").reshape(count, len(names)).astype(np.float64)

    def columns(*wanted):
        return np.stack([table[:, names.index(name)] for name in wanted], axis=1)

    rest = sum(name.startswith("f_rest_") for name in names)
    base = columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    # All of red's, then green's, then blue's.
    higher = columns(*(f"f_rest_{k}" for k in range(rest))).reshape(count, 3, -1).transpose(0, 2, 1) if rest else base[:, :0]
    quats = columns("rot_0", "rot_1", "rot_2", "rot_3")
    return {
        "means": columns("x", "y", "z"),
        "sh": np.concatenate([base, higher], axis=1),
        "opacities": 1 / (1 + np.exp(-columns("opacity")[:, 0])),
        "scales": np.exp(columns("scale_0", "scale_1", "scale_2")),
        "quats": quats / np.linalg.norm(quats, axis=1, keepdims=True),
    }


def view(splats, camera_to_world, width, height, focal, background) -> np.ndarray:
    """What a pinhole camera sees, [H, W, 3]; its axes are those of transforms.json, its principal point is the picture's middle."""
    turn = (camera_to_world[:3, :3] * (1, -1, -1)).T
    ways = splats["means"] - camera_to_world[:3, 3]
    points = ways @ turn.T
    seen = points[:, 2] > NEAR
    points, ways = points[seen], ways[seen]
    z = points[:, 2]
    limits = FRUSTUM * np.array([width, height]) / (2 * focal)
    slopes = np.clip(points[:, :2] / z[:, None], -limits, limits)
    jacobian = np.zeros((len(z), 2, 3))
    jacobian[:, 0, 0] = jacobian[:, 1, 1] = focal / z
    jacobian[:, :, 2] = -focal * slopes / z[:, None]
    axes = jacobian @ turn @ (_rotations(splats["quats"][seen]) * splats["scales"][seen][:, None])
    covariance = axes @ axes.transpose(0, 2, 1) + BLUR * np.eye(2)
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    determinant, middle = a * c - b * b, (a + c) / 2
    radius = np.ceil(3 * np.sqrt(middle + np.sqrt(np.maximum(0.1, middle**2 - determinant))))
    # Pixels' middles are whole numbers there.
    centers = focal * points[:, :2] / z[:, None] + (width / 2, height / 2) - 0.5
    tiles = np.array([-(-width // TILE), -(-height // TILE)])
    first = np.clip(np.trunc((centers - radius[:, None]) / TILE), 0, tiles)
    end = np.clip(np.trunc((centers + radius[:, None] + TILE - 1) / TILE), 0, tiles)
    colors = np.maximum(_harmonics(splats["sh"][seen], ways / np.linalg.norm(ways, axis=1, keepdims=True)) + 0.5, 0)
    opacities = splats["opacities"][seen]
    order = np.argsort(z, kind="stable")
    picture = np.empty((tiles[1] * TILE, tiles[0] * TILE, 3))
    for row in range(tiles[1]):
        in_row = order[(first[order, 1] <= row) & (end[order, 1] > row)]
        for column in range(tiles[0]):
            g = in_row[(first[in_row, 0] <= column) & (end[in_row, 0] > column)]
            dx = (centers[g, :1] - TILE * column - np.arange(TILE))[:, None, :]
            dy = (centers[g, 1:] - TILE * row - np.arange(TILE))[:, :, None]
            at = (slice(None), None, None)
            power = (b[g][at] * dx * dy - (c[g][at] * dx**2 + a[g][at] * dy**2) / 2) / determinant[g][at]
            alpha = np.minimum(MOST_ALPHA, opacities[g][at] * np.exp(np.minimum(power, 0)))
            alpha[alpha < LEAST_ALPHA] = 0
            light = np.cumprod(np.concatenate([np.ones((1, TILE, TILE)), 1 - alpha]), axis=0)
            counted = light[1:] >= LEAST_LIGHT
            left = np.where(counted, light[1:], 1).min(axis=0, initial=1)
            block = np.einsum("nyx,nc->yxc", np.where(counted, alpha * light[:-1], 0), colors[g]) + left[..., None] * background
            picture[TILE * row : TILE * (row + 1), TILE * column : TILE * (column + 1)] = block
    return picture[:height, :width]


def _rotations(quats):
    w, x, y, z = quats.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)


def _harmonics(sh, directions):
    x, y, z = directions.T
    basis = [
        np.full_like(x, 0.5 / np.sqrt(np.pi)),
        *(np.sqrt(3 / (4 * np.pi)) * part for part in (-y, z, -x)),
        *(np.sqrt(15 / (4 * np.pi)) * part for part in (x * y, -y * z)),
        np.sqrt(5 / (16 * np.pi)) * (2 * z * z - x * x - y * y),
        *(np.sqrt(15 / (4 * np.pi)) * part for part in (-x * z, (x * x - y * y) / 2)),
        np.sqrt(35 / (32 * np.pi)) * -y * (3 * x * x - y * y),
        np.sqrt(105 / (4 * np.pi)) * x * y * z,
        np.sqrt(21 / (32 * np.pi)) * -y * (4 * z * z - x * x - y * y),
        np.sqrt(7 / (16 * np.pi)) * z * (2 * z * z - 3 * x * x - 3 * y * y),
        np.sqrt(21 / (32 * np.pi)) * -x * (4 * z * z - x * x - y * y),
        np.sqrt(105 / (16 * np.pi)) * z * (x * x - y * y),
        np.sqrt(35 / (32 * np.pi)) * -x * (x * x - 3 * y * y),
    ]
    return np.einsum("kn,nkc->nc", np.array(basis[: sh.shape[1]]), sh)


def psnr(picture, truth):
    return -10 * np.log10(np.mean((np.clip(picture, 0, 1) - truth) ** 2))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_cloud_of_anything_looks_the_same(tmp_path, degree):
    """Long, thin, faint and opaque gaussians, beside, before and behind the camera."""
    rng, count = np.random.default_rng(degree), 3000
    pose = np.eye(4)
    pose[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    pose[:3, :3] *= np.linalg.det(pose[:3, :3])
    pose[:3, 3] = 1.5 * pose[:3, 2]
    means = rng.uniform(-2, 2, (count, 3))
    depths = (pose[:3, 3] - means) @ pose[:3, 2]
    # We show what is nearer than they do.
    means[(depths > 0) & (depths < NEAR)] += 0.5 * pose[:3, 2]
    splats = Splats(
        means=means.astype(np.float32),
        log_scales=rng.normal(-3, 0.8, (count, 3)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        opacity_logits=rng.uniform(-6, 6, count).astype(np.float32),
        sh=rng.normal(0, 0.4, (count, (degree + 1) ** 2, 3)).astype(np.float32),
        blend="srgb",
        antialias=False,
    )
    write_splats(tmp_path / "cloud.ply", splats)
    model = SplatModel(Gaussians.from_splats(splats), "srgb", False, degree, 0.02, 1)
    background = np.array([0.2, 0.5, 0.9])
    ours, _ = model.render(Camera(90, 70, 75.0, 75.0, 45.0, 35.0, pose), background)
    theirs = view(read_ply(tmp_path / "cloud.ply"), pose, 90, 70, 75.0, background)
    assert psnr(ours.transpose(1, 2, 0), np.clip(theirs, 0, 1)) > 60


@pytest.mark.slow
def test_a_trained_scene_scores_the_same(shared_data, tmp_path):
    """The held-out views of lego400 in that viewer have the PSNR that training reports."""
    capture, result = shared_data("lego400"), tmp_path / "result"
    options = ["--steps", "1500", "--blend", "srgb", "--background", "white"]
    command = [sys.executable, "-m", "engine", "train", str(capture), "--out", str(result), *options]
    subprocess.run(command, cwd=ROOT, check=True, timeout=900)
    splats = read_ply(result / "splats.ply")
    table = json.loads((capture / "transforms_test.json").read_text())
    reported = json.loads((result / "metrics.json").read_text())["views"]
    assert len(reported) == 25
    scores = []
    for frame in table["frames"]:
        file = (capture / frame["file_path"]).with_suffix(".png")
        if file.exists():
            truth = np.asarray(Image.open(file), np.float64) / 255
            truth = truth[..., :3] * truth[..., 3:] + 1 - truth[..., 3:]
            focal = 200 / np.tan(table["camera_angle_x"] / 2)
            scores.append(psnr(view(splats, np.array(frame["transform_matrix"]), 400, 400, focal, 1.0), truth))
    np.testing.assert_allclose(scores, [row["psnr"] for row in reported], atol=0.05)
    assert np.mean(scores) > 29
