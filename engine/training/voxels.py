# SPDX-License-Identifier: GPL-3.0-or-later
"""A training of 3D-R2N2 from data to weights. It shares folder, lock, checkpoints, events and cancelling with trainings on captures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

from .. import __version__, devices
from ..contract.errors import UserError
from ..contract.events import started
from ..contract.result import CHECKPOINT, METRICS, WEIGHTS, Result
from ..contract.schema import to_mapping
from ..contract.voxels import METHOD, VoxelTrainSettings
from ..processes import identity
from ..voxels import scores
from ..voxels.dataset import SPLITS, Shapes, load_split, shape_folders
from ..voxels.make_data import MADE_UP
from ..voxels.trainer import VoxelTrainer
from ..voxels.weights import read_weights, write_weights
from .asking import available, resumed
from .budget import Budget, Clock
from .checkpoint import FIRST_CHECKPOINT, FullDisk, checkpoint_wait, read_checkpoint, restore, write_checkpoint
from .ending import Cancelled
from .folder import ResultFolder, opened
from .reporting import Reporter
from .scoring import write_metrics

# Numbers of views that are scored, where the data has so many.
SCORED = (1, 5)
_REPORT_EVERY, _LOOK_EVERY = 0.5, 240.0
# Shapes that are looked at while training: a look should take some seconds.
_LOOKED_AT = 160


@dataclass
class VoxelRun:
    """One training.

    Args:
        folder: of the result. settings: as asked for; with ``resume`` only their budget counts. reporter: of its events.
        data: folder of shapes; None with ``resume``. resume: continue the result that is there. overwrite: replace it.
    """

    folder: Path
    settings: VoxelTrainSettings
    reporter: Reporter
    data: Path | None = None
    resume: bool = False
    overwrite: bool = False


def run(job: VoxelRun) -> Result:
    """Trains for the time or the steps that the settings give, scores the shapes for testing, and writes the weights. Until the first step
    an error leaves everything as it was.

    Returns:
        The result, done or cancelled; where it was cancelled before the first step, it is not written.

    Raises:
        UserError: there is no data, another process trains here, or the device is not there; the result's status is failed where training
            had begun.
    """
    with opened(job.folder, job.reporter, new=not job.resume, overwrite=job.overwrite) as folder:
        return _train(job, folder)


def _train(job: VoxelRun, folder: ResultFolder) -> Result:
    settings, report, asked_to_end = job.settings, job.reporter, folder.asked_to_end
    clock = Clock(psutil.Process().create_time())
    data = job.data
    if folder.old is not None:
        if folder.old.method == METHOD and "network" not in folder.old.settings:
            raise UserError(f"{folder.path} is not a training of voxels.", "Choose the result of voxels train.", "other_method")
        data = Path(folder.old.capture)
        settings = available(resumed(folder.path, folder.old, settings), folder.old, report)
    device = devices.choose(METHOD, settings.device).device
    torch.set_num_threads(devices.threads(settings.threads))
    folder.claim(CHECKPOINT, METRICS, WEIGHTS)
    result = replace(
        folder.old or Result("running", METHOD, str(data)),
        status="running",
        settings=to_mapping(settings),
        device=device,
        versions={"reconstruct": __version__, **{name: version(name) for name in ("torch", "numba", "numpy")}},
        **identity(),
    )
    first = started(method=METHOD, device=device, capture=result.capture, **identity())
    report(first.kind, **first.values)

    def progress(stage: str) -> Callable[[int, int], None]:
        def say(done: int, steps: int) -> None:
            report("progress", stage=stage, step=done, steps=steps, seconds=clock.seconds())
            if asked_to_end():
                raise Cancelled

        return say

    try:
        # Before data is packed, which takes minutes.
        saved = read_checkpoint(folder.path, METHOD) if job.resume else None
        start = read_weights(Path(settings.start), settings.network)[0] if settings.start and saved is None else None
        if not data.is_dir():
            raise UserError(f"There is no folder {data}.", "Give the folder that make-data has made.", "no_data")
        shapes = {split: load_split(data, split, progress("load")) for split in SPLITS if split == "train" or shape_folders(data, split)}
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
        if asked_to_end():
            raise Cancelled
    except Cancelled:
        report("done", seconds=clock.seconds(), cancelled=True)
        return replace(result, status="cancelled", timing={"total": clock.seconds()})
    folder.begin(result)
    budget = Budget(clock, settings.steps, None if settings.minutes is None else settings.minutes * 60)
    test = shapes.get("test")
    _loop(folder, trainer, budget, shapes.get("val"), test)
    cancelled = asked_to_end() and not budget.finished(trainer.steps_done)
    _finish(folder, trainer, settings, test, clock, progress("evaluate"))
    cancelled |= test is not None and not folder.result.metrics
    result = folder.end(replace(folder.result, status="cancelled" if cancelled else "done", timing={"total": clock.seconds()}))
    report("done", seconds=clock.seconds(), cancelled=cancelled)
    return result


def _half(settings: VoxelTrainSettings, device: str) -> bool:
    if settings.precision == "auto":
        return devices.has_bfloat16(device)
    return settings.precision == "bfloat16"


def _loop(folder: ResultFolder, trainer: VoxelTrainer, budget: Budget, val: Shapes | None, test: Shapes | None) -> None:
    """Steps until the budget is spent, with reports, looks at shapes that are not learnt from, and checkpoints between."""
    clock, report, asked_to_end = budget.clock, folder.report, folder.asked_to_end
    wait, disk = FIRST_CHECKPOINT, FullDisk(report)
    last_report = last_checkpoint = last_look = clock.seconds()
    smooth: float | None = None

    def report_progress() -> None:
        step, steps = trainer.steps_done, budget.total(trainer.steps_done)
        report("progress", stage="train", step=step, steps=steps, seconds=clock.seconds(), eta_seconds=budget.eta(step), loss=smooth)

    while not budget.finished(trainer.steps_done) and not asked_to_end():
        loss = trainer.step()
        smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
        now = clock.seconds()
        if now - last_report >= _REPORT_EVERY:
            report_progress()
            last_report = now
        if now - last_look >= _LOOK_EVERY and val is not None:
            for views in _scored(val):
                value = float(trainer.score(val, views).mean())
                report("metric", name=f"val_iou_{views}", value=value, step=trainer.steps_done, loss=smooth)
            last_look = clock.seconds()
            if test is not None:
                # The end is scored within the time, at the pace of this look.
                budget.reserve = 1.2 * (last_look - now) * len(test) / len(val)
        if now - last_checkpoint >= wait:
            with disk.passed("Training continues; what is learned since the last checkpoint is lost if it crashes."):
                write_checkpoint(folder.path, trainer, clock.seconds())
            last_checkpoint = clock.seconds()
            wait = checkpoint_wait(last_checkpoint - now)
    report_progress()


def _finish(folder: ResultFolder, trainer: VoxelTrainer, settings: VoxelTrainSettings, test: Shapes | None, clock: Clock, progress) -> None:
    """Writes weights and checkpoint, and scores them unless the user waits for the end."""
    report = folder.report
    folder.write(replace(folder.result, artifacts=(), metrics={}, step=trainer.steps_done))
    (folder.path / METRICS).unlink(missing_ok=True)

    def write(means: dict[str, float]) -> None:
        # Weights are given away, and where others lay on this machine is nobody's business.
        known = replace(settings, start=Path(settings.start).name)
        facts = {"network": known.network, "steps": trainer.steps_done, "settings": to_mapping(known), **means}
        write_weights(folder.path / WEIGHTS, trainer.mean, facts)

    # Weights first: they are smaller than the checkpoint. Scores, which take minutes, are written into them afterwards.
    lost: UserError | None = None
    try:
        write({})
        folder.made("weights", WEIGHTS, folder.result)
    except UserError as error:
        if error.code != "disk_full":
            raise
        lost = error
    with FullDisk(report).passed("The weights were kept." if lost is None else "Nothing was kept."):
        write_checkpoint(folder.path, trainer, clock.seconds())
    if lost is not None:
        raise lost
    if test is None or folder.asked_to_end():
        return
    try:
        found = {views: trainer.score(test, views, progress) for views in _scored(test)}
    except Cancelled:
        return
    means = {f"iou_{views}": float(values.mean()) for views, values in found.items()}
    write(means)
    write_metrics(folder.path, scores.table(test.names, found, MADE_UP))
    folder.made("metrics", METRICS, replace(folder.result, metrics=means))
    for name, value in means.items():
        report("metric", name=name, value=value, step=trainer.steps_done)


def _scored(shapes: Shapes) -> list[int]:
    return [views for views in SCORED if views <= shapes.views.shape[1]]
