# SPDX-License-Identifier: GPL-3.0-or-later
"""Job eval: PSNR and SSIM of a result on its held-out views, or on those it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from .. import devices
from ..contract.errors import UserError
from ..contract.result import METRICS, Result, read_result
from ..contract.settings import trained_settings
from ..data.views import load_views
from ..formats.capture import read_capture
from ..methods import check_has_model, load_model, set_precision
from ..runs.context import run_context
from ..runs.reporter import Reporter, stage_progress
from ..runs.scoring import record, score

Split = Literal["test", "train"]


def evaluate(folder: Path, split: Split, precision: str, reporter: Reporter) -> dict[str, Any]:
    """Scores a result. Scores of held-out views with the precision of the training are written to metrics.json.

    Args:
        precision: of the networks of method nerf; auto, float32, bfloat16 or int8.

    Returns:
        See :func:`~engine.runs.scoring.score`.

    Raises:
        UserError: there is no result, its capture is gone or has no such views, or the precision cannot be chosen.
    """
    if split != "test" or precision != "auto":
        return _scores(folder, read_result(folder), split, precision, reporter)
    with run_context(folder, reporter, events=False) as context:
        known = context.result
        context.folder.claim(METRICS)
        scores = _scores(folder, known, split, precision, reporter)
        context.folder.begin(known)
        record(context, known, scores, len(scores["views"]))
    return scores


def _scores(folder: Path, known: Result, split: Split, precision: str, reporter: Reporter) -> dict[str, Any]:
    check_has_model(folder, known)
    trained = trained_settings(known.settings, folder)
    size = {"scale": 1 / trained.downscale, "max_side": trained.max_side}
    views = load_views(read_capture(Path(known.capture)), split, **size, alpha=known.background == "white")
    if not views:
        raise UserError(f"{known.capture} has no {split} views.", "Try --split train.")
    model = load_model(folder, known, devices.threads(0))
    if note := set_precision(model, precision, [view.camera for view in views]):
        reporter("warning", message=note)
    return score(model, views, known.blend, stage_progress(reporter, "evaluate"))
