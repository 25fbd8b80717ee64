# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of a training step, timed on named fixtures, with the machine named.

A fixture is the same everywhere: made from a seed, or from the real data with fixed settings. Times are the best of several runs: machines
are shared and noisy. Beside the time stands the work: pairs of gaussian and pixel that are evaluated, those that change a pixel, and how
much of the arithmetic that this machine's vector units can do the compositing does.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from . import devices
from .cameras import Camera
from .contract.errors import UserError
from .contract.settings import SplatSettings, TrainSettings
from .data.views import load_views
from .formats.capture import read_capture
from .formats.splats import read_splats, write_splats
from .kernels import cache_root, peak, use_threads
from .kernels.rasterize import cpu as rasterize
from .kernels.tiles import cpu as tiles
from .methods.splat import SplatTrainer
from .splats import optimizer
from .splats.gaussians import Gaussians
from .splats.loss import PhotometricLoss
from .splats.renderer import Renderer

_RUNS = 15
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
    trainer = SplatTrainer(TrainSettings(), *_capture("fox_colmap"), "srgb", devices.threads(0))
    view = trainer.views[0]
    return trainer.gaussians, view.camera, view.image, trainer.radius


def lego_100k() -> Fixture:
    """A lego of 100 000 gaussians, trained for 1 500 steps on views of 400×400, seen at 800×800."""
    file = cache_root() / "bench" / "lego-100k.ply"
    capture, views = _capture("lego400")
    workers = devices.threads(0)
    settings = SplatSettings(max_gaussians=100_000, strategy="mcmc", sh_degree=2)
    trainer = SplatTrainer(TrainSettings(splat=settings), capture, views, "srgb", workers)
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


def _capture(name: str):
    """A capture of the real data, with its training views."""
    root = Path(os.environ.get("RECONSTRUCT_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not (root / name).is_dir():
        raise UserError(f"There is no real data {name} at {root}.", "Set RECONSTRUCT_DATA to its folder.")
    capture = read_capture(root / name)
    return capture, load_views(capture, "train")


FIXTURES: dict[str, Callable[[], Fixture]] = {"object-50k": object_50k, "fox-seed": fox_seed, "lego-100k": lego_100k}


def fixture(name: str) -> Callable[[], Fixture]:
    """What makes the fixture of a name: one of FIXTURES, or shells of any size, as ``shells-1000k-1920x1080``.

    Raises:
        UserError: the name is not known.
    """
    size = re.fullmatch(r"shells-([1-9]\d{0,4})k-([1-9]\d{1,3})x([1-9]\d{1,3})", name)
    if size:
        thousands, width, height = map(int, size.groups())
        return lambda: shells(1000 * thousands, width, height)
    if name not in FIXTURES:
        raise UserError(f"There is no fixture {name}.", f"There are: {', '.join(FIXTURES)}, and shells-THOUSANDSk-WIDTHxHEIGHT.")
    return FIXTURES[name]


def run(names: tuple[str, ...]) -> dict[str, Any]:
    """Times the named fixtures, all of FIXTURES where none is named.

    Raises:
        UserError: a name is not known.
    """
    makers = {name: fixture(name) for name in names or FIXTURES}
    workers = devices.threads(0)
    use_threads(workers)
    most = peak.operations_per_second(workers)
    rows = {name: _time(*make(), workers, most) for name, make in makers.items()}
    return {"processor": devices.processor(), "threads": workers, "peak_vector_operations_per_second": round(most), "fixtures": rows}


def _time(gaussians: Gaussians, camera: Camera, pixels: np.ndarray, radius: float, workers: int, most: float) -> dict[str, Any]:
    """Best milliseconds of the parts of a training step, and of a whole one, with the pairs it takes."""
    renderer, loss = Renderer(workers), PhotometricLoss(0.2, linear=False)
    # With these rates the fixture stays as it is.
    rates = 0 * optimizer.rates(SplatSettings(), radius, 0.5, len(gaussians.table))
    degree = round((gaussians.values["shn"].shape[1] + 1) ** 0.5) - 1
    black = np.zeros(3, np.float32)
    best: dict[str, float] = {}

    def timed(name: str, part: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        value = part()
        best[name] = min(best.get(name, np.inf), (time.perf_counter() - begin) * 1e3)
        return value

    def step() -> None:
        image = timed("forward", lambda: renderer.render(gaussians, camera, black, degree=degree, antialias=False, near=0.02))
        _, v_image = timed("loss", lambda: loss(image, pixels, black))
        timed("backward", lambda: renderer.backward(v_image))
        timed("update", lambda: renderer.step(gaussians, rates, gaussians.time + 1))

    for _ in range(_RUNS):
        timed("step", step)
    evaluated, useful = rasterize.count_pairs(*renderer.composited)
    # The compositing alone, without projection and sorting.
    forward = _best(renderer.composite)
    backward = _best(lambda: renderer.backward(renderer.image))
    arithmetic = evaluated / tiles.TILE_WIDTH
    return {
        "gaussians": len(gaussians),
        "visible": len(renderer.order),
        "size": [camera.width, camera.height],
        "milliseconds": {name: round(value, 2) for name, value in best.items()},
        "evaluated_pairs": evaluated,
        "useful_pairs": useful,
        "evaluated_pairs_per_second": {"forward": round(evaluated / forward), "backward": round(evaluated / backward)},
        "useful_pairs_per_second": {"forward": round(useful / forward), "backward": round(useful / backward)},
        "share_of_peak": {
            "forward": round(arithmetic * _FORWARD_OPERATIONS / forward / most, 3),
            "backward": round(arithmetic * _BACKWARD_OPERATIONS / backward / most, 3),
        },
    }


def _best(part: Callable[[], Any]) -> float:
    """The best seconds of several runs."""
    times = []
    for _ in range(_RUNS):
        begin = time.perf_counter()
        part()
        times.append(time.perf_counter() - begin)
    return min(times)


def plain(facts: dict[str, Any]) -> str:
    """The figures in words."""
    lines = [
        f"{facts['processor']}; {facts['threads']} threads; best of {_RUNS} runs; "
        f"{facts['peak_vector_operations_per_second'] / 1e9:.1f} G multiply-adds of 16 numbers a second at most"
    ]
    for name, row in facts["fixtures"].items():
        parts = ", ".join(f"{part} {value:.1f} ms" for part, value in row["milliseconds"].items())
        width, height = row["size"]
        lines.append(f"{name}: {row['gaussians']} gaussians, {row['visible']} visible, {width}×{height}: {parts}")
        share = row["useful_pairs"] / max(row["evaluated_pairs"], 1)
        lines.append(f"  {row['evaluated_pairs'] / 1e6:.1f} M pairs of gaussian and pixel, {share:.0%} of them change a pixel")
        for way in ("forward", "backward"):
            evaluated, useful = row["evaluated_pairs_per_second"][way] / 1e9, row["useful_pairs_per_second"][way] / 1e9
            share = row["share_of_peak"][way]
            lines.append(f"  compositing {way}: {evaluated:.2f} G pairs/s, {useful:.2f} G of them useful, {share:.0%} of the peak")
    return "\n".join(lines)
