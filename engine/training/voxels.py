# SPDX-License-Identifier: GPL-3.0-or-later
"""A training of 3D-R2N2 from data to weights. It shares folder, lock, checkpoints, events and cancelling with trainings on captures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
import torch

from .. import __version__, devices
from ..contract.events import started
from ..contract.result import METRICS, WEIGHTS, Result, read_result, write_result
from ..contract.schema import to_mapping
from ..contract.voxels import METHOD, VoxelTrainSettings
from ..processes import identity
from ..voxels import scores
from ..voxels.dataset import SPLITS, Shapes, load_split, shape_folders
from ..voxels.make_data import MADE_UP
from ..voxels.trainer import VoxelTrainer
from ..voxels.weights import read_weights, write_weights
from .budget import Budget, Clock
from .checkpoint import read_checkpoint, restore, write_checkpoint
from .ending import Cancelled, EndRequest, end_requests
from .lock import locked
from .loop import mark_failed
from .reporting import Reporter
from .scoring import write_metrics

# Numbers of views that are scored, where the data has so many.
SCORED = (1, 5)
_REPORT_EVERY, _CHECKPOINT_EVERY, _LOOK_EVERY = 0.5, 60.0, 240.0
# Shapes that are looked at while training: a look should take some seconds.
_LOOKED_AT = 160


@dataclass
class VoxelRun:
    """One training: what it reads, writes, and says."""

    data: Path
    folder: Path
    settings: VoxelTrainSettings
    reporter: Reporter
    resume: bool = False


def run(job: VoxelRun) -> Result:
    """Trains for the time or the steps that the settings give, scores the shapes for testing, and writes the weights.

    Returns:
        The result, done or cancelled.

    Raises:
        UserError: there is no data, another process trains here, or the device is not there; the result's status is failed then.
    """
    with locked(job.folder), end_requests(job.folder) as asked_to_end:
        try:
            return _train(job, asked_to_end)
        except BaseException:
            mark_failed(job.folder)
            raise


def _train(job: VoxelRun, asked_to_end: EndRequest) -> Result:
    settings, report = job.settings, job.reporter
    clock = Clock(psutil.Process().create_time())
    device = devices.choose(METHOD, settings.device).device
    torch.set_num_threads(devices.threads(settings.threads))
    result = Result(
        status="running",
        method=METHOD,
        capture=str(job.data),
        settings=to_mapping(settings),
        device=device,
        versions={"reconstruct": __version__, **{name: version(name) for name in ("torch", "numba", "numpy")}},
        **identity(),
    )
    if job.resume:
        kept = ("status", "settings", "versions", "pid", "pid_started")
        result = replace(read_result(job.folder), **{name: getattr(result, name) for name in kept})
    write_result(job.folder, result)
    first = started(method=METHOD, device=device, capture=str(job.data), **identity())
    report(first.kind, **first.values)

    def progress(stage: str):
        def say(done: int, steps: int) -> None:
            report("progress", stage=stage, step=done, steps=steps, seconds=clock.seconds())
            if asked_to_end():
                raise Cancelled

        return say

    trainer: VoxelTrainer | None = None
    cancelled = True
    try:
        # Before data is packed, which takes minutes.
        saved = read_checkpoint(job.folder, METHOD) if job.resume else None
        start = read_weights(Path(settings.start), settings.network)[0] if settings.start and saved is None else None
        shapes = {
            split: load_split(job.data, split, progress("load")) for split in SPLITS if split == "train" or shape_folders(job.data, split)
        }
        if "val" in shapes:
            shapes["val"] = shapes["val"].at_most(_LOOKED_AT)
        trainer = VoxelTrainer(settings, shapes["train"], device, _half(settings, device))
        if start is not None:
            trainer.start_from(start)
        if saved is not None:
            restore(trainer, saved)
            clock.before = saved.progress.seconds
        elif job.resume:
            report("warning", message="There was no checkpoint yet, so training starts from the beginning.")
        budget = Budget(clock, settings.steps, None if settings.minutes is None else settings.minutes * 60)
        test = shapes.get("test")
        _loop(job, trainer, budget, shapes.get("val"), test, asked_to_end)
        cancelled = asked_to_end() and not budget.finished(trainer.steps_done)
        result = _finish(job, trainer, test, clock, result, progress("evaluate"), asked_to_end)
        cancelled |= test is not None and not result.metrics
    except Cancelled:
        # Still reading data.
        pass
    if trainer is not None:
        result = replace(result, step=trainer.steps_done)
    result = replace(result, status="cancelled" if cancelled else "done", timing={**result.timing, "total": clock.seconds()})
    write_result(job.folder, result)
    report("done", seconds=clock.seconds(), cancelled=cancelled)
    return result


def _half(settings: VoxelTrainSettings, device: str) -> bool:
    if settings.precision == "auto":
        return devices.has_bfloat16(device)
    return settings.precision == "bfloat16"


def _loop(job: VoxelRun, trainer: VoxelTrainer, budget: Budget, val: Shapes | None, test: Shapes | None, asked_to_end: EndRequest) -> None:
    """Steps until the budget is spent, with reports, looks at shapes that are not learnt from, and checkpoints between."""
    clock, report = budget.clock, job.reporter
    last_report = last_checkpoint = last_look = clock.seconds()
    smooth: float | None = None
    while not budget.finished(trainer.steps_done) and not asked_to_end():
        loss = trainer.step()
        smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
        now = clock.seconds()
        if now - last_report >= _REPORT_EVERY:
            step, steps = trainer.steps_done, budget.total(trainer.steps_done)
            report("progress", stage="train", step=step, steps=steps, seconds=now, eta_seconds=budget.eta(step), loss=smooth)
            last_report = now
        if now - last_look >= _LOOK_EVERY and val is not None:
            for views in _scored(val):
                value = float(trainer.score(val, views).mean())
                report("metric", name=f"val_iou_{views}", value=value, step=trainer.steps_done, loss=smooth)
            last_look = clock.seconds()
            if test is not None:
                # The end is scored within the time, at the pace of this look.
                budget.reserve = 1.2 * (last_look - now) * len(test) / len(val)
        if now - last_checkpoint >= _CHECKPOINT_EVERY:
            write_checkpoint(job.folder, trainer, clock.seconds())
            last_checkpoint = clock.seconds()


def _finish(job, trainer: VoxelTrainer, test: Shapes | None, clock: Clock, result: Result, progress, asked_to_end: EndRequest) -> Result:
    """Writes checkpoint and weights, and scores them unless the user waits for the end."""
    report = job.reporter
    write_checkpoint(job.folder, trainer, clock.seconds())
    result = replace(result, artifacts=(), metrics={})
    (job.folder / METRICS).unlink(missing_ok=True)
    found: dict[int, np.ndarray] = {}
    if test is not None and not asked_to_end():
        try:
            found = {views: trainer.score(test, views, progress) for views in _scored(test)}
        except Cancelled:
            found = {}
    means = {f"iou_{views}": float(values.mean()) for views, values in found.items()}
    # Weights are given away, and where others lay on this machine is nobody's business.
    settings = replace(job.settings, start=Path(job.settings.start).name)
    facts = {"network": settings.network, "steps": trainer.steps_done, "settings": to_mapping(settings), **means}
    write_weights(job.folder / WEIGHTS, trainer.mean, facts)
    result = result.with_artifact("weights", WEIGHTS)
    report("artifact", kind="weights", path=WEIGHTS)
    if found:
        write_metrics(job.folder, scores.table(test.names, found, MADE_UP))
        result = replace(result.with_artifact("metrics", METRICS), metrics=means)
        report("artifact", kind="metrics", path=METRICS)
        for name, value in means.items():
            report("metric", name=name, value=value, step=trainer.steps_done)
    return result


def _scored(shapes: Shapes) -> list[int]:
    return [views for views in SCORED if views <= shapes.views.shape[1]]
