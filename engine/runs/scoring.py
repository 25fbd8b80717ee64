# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of a model on views it was not trained on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .. import metrics
from ..contract.result import METRICS, Result, replacing
from ..data.views import View, shrunk
from ..kernels.photometric import cpu as photometric
from ..methods import Model

if TYPE_CHECKING:
    from .result_folder import ResultFolder


# Shorter side of the smallest view that is scored, px: the window of SSIM has 11.
_MIN_SIDE = 32
_GOLDEN = (5**0.5 - 1) / 2
# What images of this program say of their origin.
SOFTWARE = "Reconstruct"
_ORIGIN = PngInfo()
_ORIGIN.add_text("Software", SOFTWARE)


def truth(view: View, blend: str) -> np.ndarray:
    """The captured picture, [3, H, W] float32 sRGB codes, on white where it has alpha."""
    target = np.empty((3, *view.image.shape[:2]), np.float32)
    photometric.compose_target(view.image, np.ones(3, np.float32), blend == "linear", target)
    return target


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
        display, _ = model.render(view.camera, background(view))
        target = truth(view, blend)
        size = {"width": view.camera.width, "height": view.camera.height}
        rows[index] = {"name": view.name, **size, "psnr": metrics.psnr(display, target), "ssim": metrics.ssim(display, target)}
        if progress is not None:
            progress(len(rows), len(views))
    scored = [rows[index] for index in sorted(rows)]
    means = {name: float(np.mean([row[name] for row in scored])) for name in ("psnr", "ssim")} if scored else {}
    return {**means, "views": scored}


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


def record(folder: ResultFolder, result: Result, scores: dict[str, Any], held_out: int, factor: float = 1.0) -> Result:
    """Writes scores of held-out views, ``held_out`` in all, into metrics.json and their means into the result. ``factor`` is by how much
    the sides of the scored views were smaller than those of training views.
    """
    about = {"views_held_out": held_out} | ({"views_factor": factor} if factor < 1 else {})
    write_metrics(folder.path, {**scores, **about})
    means = {"psnr": scores["psnr"], "ssim": scores["ssim"], "views": len(scores["views"]), **about}
    others = {name: value for name, value in result.metrics.items() if name != "views_factor"}
    return folder.made("metrics", METRICS, replace(result, metrics={**others, **means}))


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


def to_bytes(display: np.ndarray) -> np.ndarray:
    """[3, H, W] sRGB codes, 0 to 1, as [H, W, 3] uint8."""
    return np.ascontiguousarray(np.rint(np.clip(np.nan_to_num(display), 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def is_ours(file: Path) -> bool:
    """Whether :func:`write_picture` wrote a PNG."""
    try:
        with Image.open(file) as image:
            return image.info.get("Software") == SOFTWARE
    except (OSError, ValueError):
        return False


def write_picture(file: Path, display: np.ndarray) -> None:
    """Writes [3, H, W] sRGB codes, 0 to 1, as an 8-bit PNG."""
    with replacing(file) as temporary:
        # Level 6, the default, takes five times as long as the picture took to render, and saves a quarter.
        Image.fromarray(to_bytes(display)).save(temporary, "PNG", compress_level=1, pnginfo=_ORIGIN)
