# SPDX-License-Identifier: GPL-3.0-or-later
"""A training run from capture to result."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import psutil

from .. import __version__, devices, metrics
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.events import started
from ..contract.result import (
    BINVOX,
    BLOCKS,
    CANCEL,
    CHECKPOINT,
    EVENTS,
    FIELD,
    LOG,
    MESH,
    METRICS,
    POINTS,
    PREVIEWS,
    PROXY,
    RESULT,
    SMOOTH,
    SPLATS,
    SPLATS_LINEAR,
    VOXELS,
    WEIGHTS,
    Result,
    read_result,
    write_result,
)
from ..contract.schema import to_mapping
from ..contract.settings import TrainSettings
from ..data.up import up_of_capture
from ..data.views import View, load_views, shrunk
from ..formats.capture import read_capture
from ..kernels import compiling, use_threads
from ..methods import Trainer, new_trainer
from ..processes import identity
from .budget import Budget, Clock, Pace
from .checkpoint import read_checkpoint, restore, write_checkpoint
from .ending import Cancelled, EndRequest, end_requests
from .lock import LOCK, locked
from .reporting import Reporter
from .scoring import background, score, truth, write_metrics, write_picture

DEFAULT_MINUTES = 3.0
# What a run writes into its folder, and what another that overwrites it removes.
_OURS = (
    *(RESULT, EVENTS, CHECKPOINT, SPLATS, SPLATS_LINEAR, FIELD, POINTS, MESH, PROXY, METRICS),
    *(WEIGHTS, VOXELS, BINVOX, BLOCKS, SMOOTH, PREVIEWS),
)
_REPORT_EVERY = 0.5
_CHECKPOINT_EVERY = 60.0
_PREVIEW_EVERY = 10.0
# They come at least so often, whatever they take: of a field that is still haze that is many times as long as later, and from the last
# one is told what the end will take.
_PREVIEW_WAIT = 45.0
# Slow pictures are previewed so small that they take about as long. How slow they are is known from the first one, of this side in pixels.
_PREVIEW_SECONDS = 2.0
_FIRST_SIDE = 64
# What PSNR and SSIM take for a pixel, measured on two cores.
_COMPARING = 1e-6
# Otherwise previews and checkpoints each take at most this share of the time.
_SHARE = 0.02
# Held-out views that would take a larger share of a run by the clock are scored only in part; the command eval scores them all.
_SCORING_SHARE = 0.1


@dataclass
class Run:
    """One training: what it reads, writes, and says."""

    capture_folder: Path
    folder: Path
    settings: TrainSettings
    reporter: Reporter
    resume: bool = False


def prepare_folder(folder: Path, overwrite: bool) -> None:
    """Makes the folder of a new result.

    Raises:
        UserError: something is there already, or the folder cannot be made.
    """
    try:
        # What follows a run from outside may be there before it: its log, and already the wish to end it.
        if folder.exists() and (not folder.is_dir() or any(item.name not in (LOG, LOCK, CANCEL) for item in folder.iterdir())):
            if not overwrite:
                raise UserError(f"{folder} is there already.", "Use --resume to go on with it, or --overwrite to replace it.", "exists")
            if not folder.is_dir() or not any((folder / name).is_file() for name in (RESULT, EVENTS)):
                raise UserError(f"{folder} is not a result of this program, so it is not overwritten.", "Choose another folder.", "exists")
            # Its writer may be alive: the lock says so before anything is removed. What is not ours stays.
            with locked(folder):
                for item in folder.iterdir():
                    if item.name in _OURS or item.name.endswith(".part"):
                        shutil.rmtree(item) if item.is_dir() else item.unlink()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be used: {error.strerror or error}.", "Choose another folder.") from None


def run(job: Run) -> Result:
    """Trains, writes the result, and reports on the way.

    Returns:
        The result, done or cancelled.

    Raises:
        UserError: see the stages; the result's status is failed then.
    """
    with locked(job.folder), end_requests(job.folder) as asked_to_end:
        try:
            return _train(job, asked_to_end)
        except BaseException:
            mark_failed(job.folder)
            raise


def _train(job: Run, asked_to_end: EndRequest) -> Result:
    settings, report = job.settings, job.reporter
    clock = Clock(psutil.Process().create_time())
    choice = devices.choose(settings.method, settings.device)
    workers = devices.threads(settings.threads)
    use_threads(workers)
    result = Result(
        status="running",
        method=settings.method,
        capture=str(job.capture_folder),
        settings=to_mapping(settings),
        device=choice.device,
        versions={"reconstruct": __version__, **{name: version(name) for name in ("torch", "numba", "numpy")}},
        **identity(),
    )
    (job.folder / PREVIEWS).mkdir(exist_ok=True)
    if job.resume:
        kept = ("status", "settings", "versions", "pid", "pid_started")
        result = replace(read_result(job.folder), **{name: getattr(result, name) for name in kept})
    write_result(job.folder, result)
    first = started(method=settings.method, device=choice.device, capture=str(job.capture_folder), **identity())
    report(first.kind, **first.values)

    def stage_progress(stage: str):
        def say(done: int, steps: int) -> None:
            report("progress", stage=stage, step=done, steps=steps, seconds=clock.seconds())
            if asked_to_end():
                raise Cancelled

        return say

    trainer: Trainer | None = None
    budget: Budget | None = None
    test: list[View] = []
    try:
        saved = read_checkpoint(job.folder, settings.method) if job.resume else None
        if not compiling.is_compiled():
            with clock.paused():
                compiling.compile_all(stage_progress("compile"))
        capture = read_capture(job.capture_folder)
        for warning in capture.warnings:
            report("warning", message=warning)
        blend = settings.blend if settings.blend != "auto" else ("linear" if capture.source == "blender" else "srgb")
        views, test = _load(capture, stage_progress("load"), 1 / settings.downscale)
        up = tuple(up_of_capture(capture.source, [view.camera for view in views]).tolist())
        result = replace(result, blend=blend, scale=capture.scale, up=up)
        trainer = new_trainer(settings, capture, views, blend, workers)
        if trainer.note:
            report("note", message=trainer.note)
        transparent = views[0].image.shape[2] == 4
        result = replace(result, antialias=trainer.antialias, background="white" if transparent else "black")
        if saved is not None:
            restore(trainer, saved)
            clock.before = saved.progress.seconds
        elif job.resume:
            report("warning", message="There was no checkpoint yet, so training starts from the beginning.")
        budget = Budget(clock, settings.steps, None if settings.minutes is None else settings.minutes * 60)
        result = _loop(job, trainer, budget, test, result, asked_to_end)
        cancelled = asked_to_end() and not budget.finished(trainer.steps_done)
    except Cancelled:
        cancelled = True
    if trainer is not None:
        result = _finish(job, trainer, test, clock, result, asked_to_end)
    result = replace(result, status="cancelled" if cancelled else "done", timing={**result.timing, "total": clock.seconds()})
    write_result(job.folder, result)
    report("done", seconds=clock.seconds(), cancelled=cancelled)
    return result


def _load(capture: Capture, progress, scale: float) -> tuple[list[View], list[View]]:
    frames = len(capture.frames)
    views = load_views(capture, "train", scale=scale, progress=lambda done, _: progress(done, frames))
    if not views:
        raise UserError(f"{capture.folder} has no view to train on.", "Capture more views.")
    test = load_views(capture, "test", scale=scale, progress=lambda done, _: progress(len(views) + done, frames))
    return views, test


def _loop(job: Run, trainer: Trainer, budget: Budget, test: list[View], result: Result, asked_to_end: EndRequest) -> Result:
    """Steps until the budget is spent, with reports, previews and checkpoints between."""
    clock, report = budget.clock, job.reporter
    last_report = last_preview = last_checkpoint = clock.seconds()
    preview_wait, checkpoint_wait = 3.0, _CHECKPOINT_EVERY
    smooth_loss: float | None = None
    preview_psnr: float | None = None
    pace = Pace()
    view_seconds = 0.0
    now = started_at = clock.seconds()
    first_step = trainer.steps_done
    while not budget.finished(trainer.steps_done) and not asked_to_end():
        loss = trainer.step(budget.progress(trainer.steps_done))
        smooth_loss = loss if smooth_loss is None else 0.95 * smooth_loss + 0.05 * loss
        now, before = clock.seconds(), now
        if budget.seconds is not None:
            # Recent steps count: the first ones see smaller views.
            pace.add(now - before)
            budget.reserve = min(_ending(trainer, test, max(pace.seconds, 1.3 * view_seconds), budget.seconds), 0.3 * budget.seconds)
        if test and now - last_preview > preview_wait:
            view = _preview_view(trainer, test[0])
            display, _ = trainer.render(view.camera, background(view))
            preview_psnr = metrics.psnr(display, truth(view, trainer.blend))
            path = f"{PREVIEWS}/{trainer.steps_done:07d}.png"
            write_picture(job.folder / path, display)
            report("preview", path=path, step=trainer.steps_done, psnr=preview_psnr)
            last_preview = clock.seconds()
            view_seconds = last_preview - now
            preview_wait = min(max(_PREVIEW_EVERY, (last_preview - now) / _SHARE), _PREVIEW_WAIT)
        if now - last_checkpoint > checkpoint_wait:
            write_checkpoint(job.folder, trainer, clock.seconds())
            last_checkpoint = clock.seconds()
            checkpoint_wait = max(_CHECKPOINT_EVERY, (last_checkpoint - now) / _SHARE)
        if now - last_report > _REPORT_EVERY:
            last_report = now
            report(
                "progress",
                stage="train",
                step=trainer.steps_done,
                steps=budget.total(trainer.steps_done),
                seconds=now,
                eta_seconds=budget.eta(trainer.steps_done),
                loss=smooth_loss,
                psnr=preview_psnr,
                count=trainer.count,
            )
    seconds = clock.seconds() - started_at
    made = max(trainer.steps_done - first_step, 1)
    return replace(result, timing={"train": seconds, "step": seconds / made})


def _ending(trainer: Trainer, test: list[View], view_seconds: float, seconds: float) -> float:
    """About how many seconds of a budget pass after the last step."""
    # A scored view costs about a step of splats: the picture is half of one, SSIM in torch the other half. Fields make small steps.
    if not trainer.pixel_seconds:
        return 1.0 + trainer.ending_seconds + 1.2 * view_seconds * len(test)
    return 1.0 + trainer.ending_seconds + min(_scoring(trainer, test), _SCORING_SHARE * seconds)


def _scoring(trainer: Trainer, test: list[View]) -> float:
    """About how many seconds scores take of a trainer that knows what a pixel does."""
    return (trainer.pixel_seconds + _COMPARING) * sum(view.camera.width * view.camera.height for view in test)


def _preview_view(trainer: Trainer, view: View) -> View:
    """What previews show of a view: all of it, or as small as must be to be there in time."""
    width, height = view.camera.width, view.camera.height
    if trainer.count is None and not trainer.pixel_seconds and max(width, height) > _FIRST_SIDE:
        trainer.render(shrunk(view, _FIRST_SIDE / max(width, height)).camera, background(view))
    seconds = trainer.pixel_seconds * width * height
    return view if seconds <= _PREVIEW_SECONDS else shrunk(view, (_PREVIEW_SECONDS / seconds) ** 0.5)


def _affordable(trainer: Trainer, test: list[View], seconds: float) -> list[View]:
    """Those test views, spread evenly, that can be scored in a time; one at least."""
    if not test or not trainer.pixel_seconds:
        return test
    count = min(max(int(seconds / _scoring(trainer, test) * len(test)), 1), len(test))
    return [test[index * len(test) // count] for index in range(count)]


def _finish(job: Run, trainer: Trainer, test: list[View], clock: Clock, result: Result, asked_to_end: EndRequest) -> Result:
    """Writes checkpoint and artifacts, and scores them unless the user waits for the end."""
    report = job.reporter
    # Who ends a training early wants all that can be made of it; who asks later wants the end.
    ended_early = asked_to_end()
    write_checkpoint(job.folder, trainer, clock.seconds())
    # What an earlier end of this result left does not belong to what is there now: a mesh that is not made this time, scores.
    result = replace(result, artifacts=(), metrics={}, dimensions=None, bounds=None, step=trainer.steps_done)
    for kind, path in trainer.artifacts(job.folder):
        result = result.with_artifact(kind, path)
        write_result(job.folder, result)
        report("artifact", kind=kind, path=path)
        if asked_to_end() and not ended_early:
            break
    result = replace(result, bounds=trainer.bounds())
    write_result(job.folder, result)

    def progress(done: int, steps: int) -> None:
        report("progress", stage="evaluate", step=done, steps=steps, seconds=clock.seconds())
        if asked_to_end() and done < steps:
            raise Cancelled

    if not test or asked_to_end():
        return result
    if job.settings.minutes is not None:
        chosen = _affordable(trainer, test, 60 * job.settings.minutes - clock.seconds())
        if len(chosen) < len(test):
            report("warning", message=f"Only {len(chosen)} of {len(test)} held-out views were scored in the time; eval scores them all.")
        test = chosen
    try:
        scores = score(trainer, test, trainer.blend, progress)
    except Cancelled:
        return result
    write_metrics(job.folder, scores)
    result = result.with_artifact("metrics", METRICS)
    result = replace(result, metrics={"psnr": scores["psnr"], "ssim": scores["ssim"]})
    if trainer.count is not None:
        result = replace(result, metrics={**result.metrics, "count": trainer.count})
    write_result(job.folder, result)
    report("artifact", kind="metrics", path=METRICS)
    for name, value in result.metrics.items():
        report("metric", name=name, value=value)
    return result


def mark_failed(folder: Path) -> None:
    """Writes that a run failed. Best effort: the reason that a run failed may be that nothing can be written."""
    with contextlib.suppress(OSError, UserError):
        write_result(folder, replace(read_result(folder), status="failed"))
