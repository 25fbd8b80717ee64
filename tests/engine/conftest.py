# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine's tests share: the process set up as the engine sets up its own, real data, and a small capture with known truth."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402

import engine.kernels  # noqa: E402, F401
from engine.cameras import Camera  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shared_data():
    """Gives a folder of the real data, or skips and says so."""
    root = Path(os.environ.get("RECONSTRUCT_DATA") or ROOT.parent / "shared" / "data")

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(f"no real data {name} at {root}; RECONSTRUCT_DATA may name its folder")
        return root / name

    return find


def looking_at(position, target, width=48, height=40, focal=50.0) -> Camera:
    """A camera at a place that looks at another, Z up."""
    position, target = np.asarray(position, float), np.asarray(target, float)
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    pose[:3, 3] = position
    return Camera(width, height, focal, focal, width / 2 + 0.7, height / 2 - 0.4, pose)


def truth_gaussians(count=60, seed=3, center=(0.0, 0.0, 0.0)):
    """Solid colored blobs in a ball of radius 1."""
    from engine.splats.gaussians import Gaussians

    rng = np.random.default_rng(seed)
    f = np.float32
    values = {
        "means": rng.uniform(-0.6, 0.6, (count, 3)).astype(f),
        "log_scales": rng.normal(-2.0, 0.3, (count, 3)).astype(f),
        "quats": rng.normal(size=(count, 4)).astype(f),
        "opacity_logits": rng.uniform(1, 4, count).astype(f),
        "sh0": rng.uniform(-1.5, 1.5, (count, 3)).astype(f),
        "shn": np.zeros((count, 0, 3), f),
    }
    return Gaussians(values, np.array(center))


def write_capture(folder: Path, views=12, blend="srgb", center=(0.0, 0.0, 0.0), alpha=True) -> Path:
    """A capture of :func:`truth_gaussians` with pictures made by our own renderer, and the blobs' places as seed points."""
    import json

    from engine.formats.points import write_points
    from engine.methods.splat import SplatModel

    model = SplatModel(truth_gaussians(center=center), blend, blend == "linear", 0, 0.02, 2)
    (folder / "images").mkdir(parents=True)
    frames = []
    for index in range(views):
        angle = 2 * np.pi * index / views
        position = np.asarray(center) + 3 * np.array([np.cos(angle), np.sin(angle), 0.3 + 0.3 * np.sin(2 * angle)])
        camera = looking_at(position, center)
        display, opacity = model.render(camera, np.zeros(3))
        pixels = display if blend == "srgb" else display
        if alpha:
            straight = pixels / np.maximum(opacity, 1e-3)
            pixels = np.concatenate([straight, opacity[None]])
        name = f"{index:03d}.png"
        Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)).save(folder / "images" / name)
        frames.append({"file_path": f"images/{name}", "transform_matrix": camera.camera_to_world.tolist()})
    table = {
        "w": 48,
        "h": 40,
        "fl_x": 50.0,
        "fl_y": 50.0,
        "cx": camera.cx,
        "cy": camera.cy,
        "ply_file_path": "points.ply",
        "frames": frames,
    }
    if blend == "linear":
        table |= {"source": "blender", "scale": "metric"}
    (folder / "transforms.json").write_text(json.dumps(table))
    truth = truth_gaussians(center=center)
    colors = np.clip(0.5 + 0.28 * truth.values["sh0"], 0, 1)
    write_points(folder / "points.ply", truth.values["means"] + truth.center, np.rint(colors * 255).astype(np.uint8))
    return folder


def rescale_capture(folder: Path, target: Path, unit: float) -> Path:
    """The capture in a world whose unit is 1 / ``unit`` of the original's: camera positions and seed points are multiplied by it."""
    import json
    import shutil

    from engine.formats.points import read_points, write_points

    shutil.copytree(folder, target)
    table = json.loads((target / "transforms.json").read_text())
    for frame in table["frames"]:
        for row in frame["transform_matrix"][:3]:
            row[3] *= unit
    (target / "transforms.json").write_text(json.dumps(table))
    cloud = read_points(target / "points.ply")
    write_points(target / "points.ply", cloud.positions * unit, cloud.colors)
    return target


@pytest.fixture(scope="session")
def capture_rescaler():
    """:func:`rescale_capture`."""
    return rescale_capture


@pytest.fixture(scope="session")
def small_capture(tmp_path_factory) -> Path:
    """Twelve views of colored blobs with alpha."""
    return write_capture(tmp_path_factory.mktemp("captures") / "small")


@pytest.fixture(scope="session")
def capture_writer():
    """:func:`write_capture`, for tests that want another one."""
    return write_capture


@pytest.fixture(scope="session")
def truth():
    """:func:`truth_gaussians`, what the small capture shows."""
    return truth_gaussians()
