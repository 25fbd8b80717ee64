# SPDX-License-Identifier: GPL-3.0-or-later
"""A training step of splats, timed.

Beside the time stands the work: pairs of gaussian and pixel that are evaluated, those that change a pixel, and how much of the arithmetic
that this machine's vector units can do the compositing does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import devices
from ..cameras import Camera
from ..contract.methods.splat import SplatSettings
from ..contract.settings import TrainSettings
from ..formats.splats import read_splats, write_splats
from ..kernels import cache_root
from ..kernels.rasterize import cpu as rasterize
from ..kernels.tiles import cpu as tiles
from ..methods.splat import SplatTrainer
from ..splats import optimizer
from ..splats.gaussians import Gaussians
from ..splats.loss import PhotometricLoss
from ..splats.renderer import Renderer
from .measuring import RUNS, best, capture

# Vector arithmetic for each row of sixteen pixels in the compiled loops of kernels/rasterize, loads and stores left aside.
_FORWARD_OPERATIONS, _BACKWARD_OPERATIONS = 21, 37

Fixture = tuple[Gaussians, Camera, np.ndarray, float]


def shells(count: int, width: int, height: int) -> Fixture:
    """Gaussians on two shells of radius 1 and 0.6 that fill the picture's height, seen from 4 away.

    Sizes and opacities are spread as in a lego400 trained to that number: the medians of a gaussian's three axes are 2, 6 and 17
    thousandths, half of them are more transparent than 0.5, and a tenth more than 0.01.
    """
    rng = np.random.default_rng(0)
    f = np.float32
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radii = np.where(rng.random(count) < 0.7, 1.0, 0.6) * rng.normal(1, 0.02, count)
    values = {
        "means": (directions * radii[:, None]).astype(f),
        "log_scales": (np.log([0.002, 0.006, 0.017]) + rng.normal(0, 0.6, (count, 3))).astype(f),
        "quats": rng.normal(size=(count, 4)).astype(f),
        "opacity_logits": rng.normal(0.0, 4.0, count).astype(f),
        "sh0": rng.normal(size=(count, 3)).astype(f),
        "shn": rng.normal(0, 0.1, (count, 8, 3)).astype(f),
    }
    pose = np.eye(4)
    pose[2, 3] = 4.0
    focal = 1.389 * height
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    return Gaussians(values, np.zeros(3)), Camera(width, height, focal, focal, width / 2, height / 2, pose), pixels, 1.0


def object_50k() -> Fixture:
    """50 000 gaussians on shells at 400×400: an object."""
    return shells(50_000, 400, 400)


def fox_seed() -> Fixture:
    """The fox from its photos at 540×960: what training starts from, its 12 000 seed points."""
    trainer = SplatTrainer(TrainSettings(), *capture("fox_colmap"), "srgb", devices.threads(0))
    view = trainer.views[0]
    return trainer.gaussians, view.camera, view.image, trainer.radius


def lego_100k() -> Fixture:
    """A lego of 100 000 gaussians, trained for 1 500 steps on views of 400×400, seen at 800×800."""
    file = cache_root() / "bench" / "lego-100k.ply"
    scene, views = capture("lego400")
    workers = devices.threads(0)
    settings = SplatSettings(max_gaussians=100_000, strategy="mcmc", sh_degree=2)
    trainer = SplatTrainer(TrainSettings(splat=settings), scene, views, "srgb", workers)
    if not file.is_file():
        for step in range(1500):
            trainer.step(step / 1500)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_splats(file, trainer.gaussians.splats("srgb", False))
    view = trainer.views[0]
    camera = view.camera
    twice = replace(camera, width=800, height=800, fx=2 * camera.fx, fy=2 * camera.fy, cx=2 * camera.cx, cy=2 * camera.cy)
    pixels = np.ascontiguousarray(view.image.repeat(2, axis=0).repeat(2, axis=1))
    return Gaussians.from_splats(read_splats(file)), twice, pixels, trainer.radius


FIXTURES: dict[str, Callable[[], Fixture]] = {"object-50k": object_50k, "fox-seed": fox_seed, "lego-100k": lego_100k}


def measure(fixture: Fixture, workers: int, most: float) -> dict[str, Any]:
    """Best milliseconds of the parts of a training step, and of a whole one, with the pairs it takes.

    Args:
        fixture: gaussians, camera, picture and the scene's radius. workers: threads.
        most: vector operations a second that all of them can do.
    """
    gaussians, camera, pixels, radius = fixture
    renderer, loss = Renderer(workers), PhotometricLoss(0.2, linear=False)
    # With these rates the fixture stays as it is.
    rates = 0 * optimizer.rates(SplatSettings(), radius, 0.5, len(gaussians.table))
    degree = round((gaussians.values["shn"].shape[1] + 1) ** 0.5) - 1
    black = np.zeros(3, np.float32)
    times: dict[str, float] = {}

    def timed(name: str, part: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        value = part()
        times[name] = min(times.get(name, np.inf), (time.perf_counter() - begin) * 1e3)
        return value

    def step() -> None:
        image = timed("forward", lambda: renderer.render(gaussians, camera, black, degree=degree, antialias=False, near=0.02))
        _, v_image = timed("loss", lambda: loss(image, pixels, black))
        timed("backward", lambda: renderer.backward(v_image))
        timed("update", lambda: renderer.step(gaussians, rates, gaussians.time + 1))

    for _ in range(RUNS):
        timed("step", step)
    evaluated, useful = rasterize.count_pairs(*renderer.composited)
    # The compositing alone, without projection and sorting.
    forward = best(renderer.composite)
    backward = best(lambda: renderer.backward(renderer.image))
    arithmetic = evaluated / tiles.TILE_WIDTH
    return {
        "gaussians": len(gaussians),
        "visible": len(renderer.order),
        "size": [camera.width, camera.height],
        "milliseconds": {name: round(value, 2) for name, value in times.items()},
        "evaluated_pairs": evaluated,
        "useful_pairs": useful,
        "evaluated_pairs_per_second": {"forward": round(evaluated / forward), "backward": round(evaluated / backward)},
        "useful_pairs_per_second": {"forward": round(useful / forward), "backward": round(useful / backward)},
        "share_of_peak": {
            "forward": round(arithmetic * _FORWARD_OPERATIONS / forward / most, 3),
            "backward": round(arithmetic * _BACKWARD_OPERATIONS / backward / most, 3),
        },
    }


def words(name: str, row: dict[str, Any]) -> list[str]:
    """The figures in lines of words."""
    parts = ", ".join(f"{part} {value:.1f} ms" for part, value in row["milliseconds"].items())
    width, height = row["size"]
    share = row["useful_pairs"] / max(row["evaluated_pairs"], 1)
    lines = [
        f"{name}: {row['gaussians']} gaussians, {row['visible']} visible, {width}×{height}: {parts}",
        f"  {row['evaluated_pairs'] / 1e6:.1f} M pairs of gaussian and pixel, {share:.0%} of them change a pixel",
    ]
    for way in ("forward", "backward"):
        evaluated, useful = row["evaluated_pairs_per_second"][way] / 1e9, row["useful_pairs_per_second"][way] / 1e9
        share = row["share_of_peak"][way]
        lines.append(f"  compositing {way}: {evaluated:.2f} G pairs/s, {useful:.2f} G of them useful, {share:.0%} of the peak")
    return lines
