# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of a training step, timed on named fixtures, with the machine named.

A fixture is made from a seed, so that it is the same everywhere. Times are the best of several runs: machines are shared and noisy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from . import devices
from .cameras import Camera
from .contract.errors import UserError
from .contract.settings import SplatSettings
from .kernels import use_threads
from .kernels.tiles import cpu as tiles
from .splats import optimizer
from .splats.gaussians import Gaussians
from .splats.loss import PhotometricLoss
from .splats.renderer import Renderer

_RUNS = 15


def object_50k() -> tuple[Gaussians, Camera, np.ndarray]:
    """50 000 gaussians on two shells of radius 1 and 0.6, seen at 400×400 from 4 away.

    Sizes and opacities are spread as in a lego400 trained to that number: the medians of a gaussian's three axes are 2, 6 and 17
    thousandths, half of them are more transparent than 0.5, and a tenth more than 0.01.
    """
    rng = np.random.default_rng(0)
    count, f = 50_000, np.float32
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
    pixels = rng.integers(0, 256, (400, 400, 3)).astype(np.uint8)
    return Gaussians(values, np.zeros(3)), Camera(400, 400, 555.6, 555.6, 200.0, 200.0, pose), pixels


FIXTURES: dict[str, Callable[[], tuple[Gaussians, Camera, np.ndarray]]] = {"object-50k": object_50k}


def run(names: tuple[str, ...]) -> dict[str, Any]:
    """Times the named fixtures, all where none is named.

    Raises:
        UserError: a name is not known.
    """
    unknown = [name for name in names if name not in FIXTURES]
    if unknown:
        raise UserError(f"There is no fixture {unknown[0]}.", f"There are: {', '.join(FIXTURES)}.")
    workers = devices.threads(0)
    use_threads(workers)
    rows = {name: _time(*FIXTURES[name](), workers) for name in names or FIXTURES}
    return {"processor": devices.processor(), "threads": workers, "fixtures": rows}


def _time(gaussians: Gaussians, camera: Camera, pixels: np.ndarray, workers: int) -> dict[str, Any]:
    """Best milliseconds of the parts of a training step, and of a whole one."""
    renderer, loss = Renderer(workers), PhotometricLoss(0.2, linear=False)
    # With these rates the fixture stays as it is.
    rates = 0 * optimizer.rates(SplatSettings(), 1.0, 0.5, len(gaussians.table))
    black = np.zeros(3, np.float32)
    best: dict[str, float] = {}

    def timed(name: str, part: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        value = part()
        best[name] = min(best.get(name, np.inf), (time.perf_counter() - begin) * 1e3)
        return value

    def step() -> None:
        image = timed("forward", lambda: renderer.render(gaussians, camera, black, degree=2, antialias=False, near=0.02))
        _, v_image = timed("loss", lambda: loss(image, pixels, black))
        timed("backward", lambda: renderer.backward(v_image))
        timed("update", lambda: renderer.step(gaussians, rates, 1))

    step()
    for _ in range(_RUNS):
        timed("step", step)
    pairs = renderer.pairs
    evaluated = int((pairs[:, 2] - pairs[:, 1]).sum()) * tiles.TILE_WIDTH
    return {
        "gaussians": len(gaussians),
        "visible": len(renderer.order),
        "size": [camera.width, camera.height],
        "milliseconds": {name: round(value, 2) for name, value in best.items()},
        "evaluated_pairs": evaluated,
        "evaluated_pairs_per_second": round(evaluated / best["forward"] * 1e3),
    }


def plain(facts: dict[str, Any]) -> str:
    """The figures in words."""
    lines = [f"{facts['processor']}; {facts['threads']} threads; best of {_RUNS} runs"]
    for name, row in facts["fixtures"].items():
        parts = ", ".join(f"{part} {value:.1f} ms" for part, value in row["milliseconds"].items())
        width, height = row["size"]
        lines.append(f"{name}: {row['gaussians']} gaussians, {row['visible']} visible, {width}×{height}: {parts}")
        lines.append(
            f"  {row['evaluated_pairs'] / 1e6:.1f} M pairs of gaussian and pixel, {row['evaluated_pairs_per_second'] / 1e9:.2f} G/s forward"
        )
    return "\n".join(lines)
