# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of a model on views it was not trained on."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics
from ..contract.result import METRICS, Result, replacing
from ..data.views import View, shrunk
from ..kernels.photometric import cpu as photometric
from ..methods.interface import Model, Trainer
from .budget import Budget
from .context import RunContext

# Shorter side of the smallest view that is scored, px: the window of SSIM has 11.
_MIN_SIDE = 32
_GOLDEN = (5**0.5 - 1) / 2
# What PSNR and SSIM take for a pixel, s.
_METRIC_SECONDS = 4e-7
# Scores take at most this share of a run: of its time, or of the work of its steps. The command eval scores all views.
_SCORING_SHARE = 0.1
# But so many pixels are always scored, or so many seconds spent on it.
_MIN_SCORED_PIXELS, _MIN_SCORING_SECONDS = 1 << 16, 2.0


def target(view: View, blend: str) -> np.ndarray:
    """The reference image, [3, H, W] float32 sRGB, on white where it has alpha."""
    image = np.empty((3, *view.image.shape[:2]), np.float32)
    photometric.compose_target(view.image, np.ones(3, np.float32), blend == "linear", image)
    return image


def background(view: View) -> np.ndarray:
    """What scores put behind a view: white where it has alpha, else black. [3]."""
    return np.full(3, 1.0 if view.image.shape[2] == 4 else 0.0, np.float32)


def score(
    model: Model,
    views: list[View],
    blend: str,
    progress: Callable[[int, int], None] | None = None,
    seconds_left: Callable[[], float] | None = None,
) -> dict[str, Any]:
    """PSNR (dB) and SSIM of each view and their means: {"psnr", "ssim", "views": [{"name", "width", "height", "psnr", "ssim"}]}.

    Args:
        progress: called with (done, all) before the first view and after each.
        seconds_left: views for which there is no time left are not scored, but one always is; None scores all.
    """
    rows, begin = {}, time.monotonic()
    if progress is not None:
        progress(0, len(views))
    # Whenever time runs out, those scored are spread over all: steps of the golden ratio.
    order = sorted(range(len(views)), key=lambda index: index * _GOLDEN % 1)
    for index in order:
        if rows and seconds_left is not None and seconds_left() < (time.monotonic() - begin) / len(rows):
            break
        view = views[index]
        image, _ = model.render(view.camera, background(view))
        reference = target(view, blend)
        size = {"width": view.camera.width, "height": view.camera.height}
        rows[index] = {"name": view.name, **size, "psnr": metrics.psnr(image, reference), "ssim": metrics.ssim(image, reference)}
        if progress is not None:
            progress(len(rows), len(views))
    scored = [rows[index] for index in sorted(rows)]
    means = {name: float(np.mean([row[name] for row in scored])) for name in ("psnr", "ssim")} if scored else {}
    return {**means, "views": scored}


def affordable_pixels(trainer: Trainer, budget: Budget) -> float:
    """The number of pixels of held-out views to score: what fits into the time that is left or, so that the same steps always give the
    same scores, a share of the pixels that the steps could have rendered.
    """
    if budget.seconds is None:
        return max(_SCORING_SHARE * trainer.trained_pixels, _MIN_SCORED_PIXELS) if trainer.trained_pixels else math.inf
    seconds = max(budget.seconds - budget.clock.seconds(), _MIN_SCORING_SECONDS)
    return seconds / (trainer.pixel_seconds + _METRIC_SECONDS) if trainer.pixel_seconds else math.inf


def ending_seconds(trainer: Trainer, views: list[View], step_seconds: float, budget_seconds: float) -> float:
    """Estimated time that follows the last step of a time budget: artifacts and scores, s."""
    scoring = (trainer.pixel_seconds + _METRIC_SECONDS) * sum(view.camera.width * view.camera.height for view in views)
    # Until something is rendered: a splat's view takes half a step. Fields make small steps, and are rendered soon.
    scoring += 0.0 if trainer.pixel_seconds else 0.5 * step_seconds * len(views)
    # Splats are rendered so fast that all views are scored.
    return 1.0 + trainer.ending_seconds + (1.2 * scoring if trainer.count is not None else min(scoring, _SCORING_SHARE * budget_seconds))


def scorable(views: Sequence[View], pixels: float) -> tuple[list[View], float]:
    """The views to score where not all may be rendered.

    Args:
        views: at least one. pixels: how many may be rendered in all.

    Returns:
        Some of the views, spread evenly over all; and 1. If not even one view is small enough: that view in fewer pixels, and the factor
        by which its sides are smaller.
    """
    sizes = [view.camera.width * view.camera.height for view in views]
    for count in range(len(views), 0, -1):
        chosen = [index * len(views) // count for index in range(count)]
        if sum(sizes[index] for index in chosen) <= pixels:
            return [views[index] for index in chosen], 1.0
    side = min(views[0].camera.width, views[0].camera.height)
    factor = min(max((pixels / sizes[0]) ** 0.5, _MIN_SIDE / side), 1.0)
    return [shrunk(views[0], factor) if factor < 1 else views[0]], factor


def record(context: RunContext, result: Result, scores: dict[str, Any], held_out: int, factor: float = 1.0) -> Result:
    """Writes scores of held-out views, ``held_out`` in all, into metrics.json and their means into the result. ``factor`` is by how much
    the sides of the scored views were smaller than those of training views.
    """
    about = {"views_held_out": held_out} | ({"views_factor": factor} if factor < 1 else {})
    write_metrics(context.path, {**scores, **about})
    means = {"psnr": scores["psnr"], "ssim": scores["ssim"], "views": len(scores["views"]), **about}
    others = {name: value for name, value in result.metrics.items() if name != "views_factor"}
    return context.made("metrics", METRICS, replace(result, metrics={**others, **means}))


def which_views(metrics: Mapping[str, float]) -> str:
    """What the means of a result are of, in words."""
    scored, held_out = (int(metrics.get(name, 0)) for name in ("views", "views_held_out"))
    which = f"{scored} of {held_out} held-out views" if scored < held_out else f"{scored} held-out view{'s' * (scored != 1)}"
    factor = metrics.get("views_factor", 1.0)
    return which if factor >= 1 else f"{which} at {factor:.0%} of {'its' if scored == 1 else 'their'} width"


def write_metrics(folder: Path, scores: dict[str, Any]) -> None:
    """Writes metrics.json."""
    with replacing(folder / METRICS) as temporary:
        temporary.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
