# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of a model on views it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .. import metrics
from ..contract.result import METRICS, replacing
from ..data.views import View
from ..kernels.photometric import cpu as photometric
from ..methods import Model


def truth(view: View, blend: str) -> np.ndarray:
    """The captured picture, [3, H, W] float32 sRGB codes, on white where it has alpha."""
    target = np.empty((3, *view.image.shape[:2]), np.float32)
    photometric.compose_target(view.image, np.ones(3, np.float32), blend == "linear", target)
    return target


def background(view: View) -> np.ndarray:
    """What scores put behind a view: white where it has alpha, else black. [3]."""
    return np.full(3, 1.0 if view.image.shape[2] == 4 else 0.0, np.float32)


def score(model: Model, views: list[View], blend: str, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """PSNR and SSIM of each view and their means: {"psnr", "ssim", "views": [{"name", "psnr", "ssim"}]}."""
    rows = []
    for index, view in enumerate(views):
        display, _ = model.render(view.camera, background(view))
        target = truth(view, blend)
        rows.append({"name": view.name, "psnr": metrics.psnr(display, target), "ssim": metrics.ssim(display, target)})
        if progress is not None:
            progress(index + 1, len(views))
    means = {name: float(np.mean([row[name] for row in rows])) for name in ("psnr", "ssim")} if rows else {}
    return {**means, "views": rows}


def write_metrics(folder: Path, scores: dict[str, Any]) -> None:
    """Writes metrics.json."""
    with replacing(folder / METRICS) as temporary:
        temporary.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")


def to_bytes(display: np.ndarray) -> np.ndarray:
    """[3, H, W] sRGB codes, 0 to 1, as [H, W, 3] uint8."""
    return np.ascontiguousarray(np.rint(np.clip(np.nan_to_num(display), 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def write_picture(file: Path, display: np.ndarray) -> None:
    """Writes [3, H, W] sRGB codes, 0 to 1, as an 8-bit PNG."""
    with replacing(file) as temporary:
        # Level 6, the default, takes five times as long as the picture took to render, and saves a quarter.
        Image.fromarray(to_bytes(display)).save(temporary, "PNG", compress_level=1)
