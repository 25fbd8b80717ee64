# SPDX-License-Identifier: GPL-3.0-or-later
"""A training run from capture to result."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import psutil

from .. import __version__, devices, metrics
from ..contract.capture import Capture
from ..contract.checks import check_together
from ..contract.errors import UserError
from ..contract.events import started
from ..contract.result import CHECKPOINT, METRICS, PREVIEWS, Result
from ..contract.schema import to_mapping
from ..contract.settings import TrainSettings
from ..data.extent import Box, captured_extent
from ..data.poses import check_poses
from ..data.up import up_of_capture
from ..data.views import View, load_views, shrunk, view_scale
from ..formats.capture import capture_folder, read_capture
from ..kernels import compiling, use_threads
from ..methods import FILES, Trainer, new_trainer
from ..processes import identity
from .asking import available, resumed
from .budget import Budget, Clock, Pace
from .checkpoint import FIRST_CHECKPOINT, FullDisk, checkpoint_wait, read_checkpoint, restore, write_checkpoint
from .ending import Cancelled
from .folder import ResultFolder, opened
from .reporting import Reporter
from .scoring import background, record, scorable, score, truth, which_views

DEFAULT_MINUTES = 3.0
_REPORT_EVERY = 0.5
_PREVIEW_EVERY = 10.0
# They come at least so often, whatever they take: of a field that is still haze that is many times as long as later, and from the last
# one is told what the end will take.
_PREVIEW_WAIT = 45.0
# Slow pictures are previewed so small that they take about as long. How slow they are is known from the first one, of this side in pixels.
_PREVIEW_SECONDS = 2.0
_FIRST_SIDE = 64
# What PSNR and SSIM take for a pixel.
_COMPARING = 4e-7
# Otherwise previews take at most this share of the time.
_SHARE = 0.02
# Scores take at most this share of a run: of its time, or of the work of its steps. The command eval scores all views.
_SCORING_SHARE = 0.1
_MAX_RESERVE = 0.3
# But so many pixels are always scored, or so many seconds spent on it.
_MIN_SCORED_PIXELS, _MIN_SCORING_SECONDS = 1 << 16, 2.0


@dataclass
class Run:
    """One training.

    Args:
        folder: of the result. settings: as asked for; with ``resume`` only their budget counts. reporter: of its events.
        capture: what is trained on; None with ``resume``. resume: continue the result that is there. overwrite: replace it.
    """

    folder: Path
    settings: TrainSettings
    reporter: Reporter
    capture: Path | None = None
    resume: bool = False
    overwrite: bool = False


def run(job: Run) -> Result:
    """Trains, writes the result, and reports on the way. Until the first step an error leaves everything as it was.

    Returns:
        The result, done or cancelled; where it was cancelled before the first step, it is not written.

    Raises:
        UserError: see the stages; the result's status is failed where training had begun.
    """
    with opened(job.folder, job.reporter, new=not job.resume, overwrite=job.overwrite) as folder:
        return _train(job, folder)


def _train(job: Run, folder: ResultFolder) -> Result:
    settings, report, asked_to_end = job.settings, job.reporter, folder.asked_to_end
    clock = Clock(psutil.Process().create_time())
    if folder.old is None:
        source = capture_folder(job.capture)
    else:
        source = Path(folder.old.capture)
        settings = available(resumed(folder.path, folder.old, settings), folder.old, report)
    check_together(settings)
    choice = devices.choose(settings.method, settings.device)
    workers = devices.threads(settings.threads)
    use_threads(workers)
    folder.claim(CHECKPOINT, METRICS, *FILES[settings.method])
    result = replace(
        folder.old or Result("running", settings.method, str(source)),
        status="running",
        settings=to_mapping(settings),
        device=choice.device,
        versions={"reconstruct": __version__, **{name: version(name) for name in ("torch", "numba", "numpy")}},
        **identity(),
    )
    first = started(method=settings.method, device=choice.device, capture=result.capture, **identity())
    report(first.kind, **first.values)

    def stage_progress(stage: str) -> Callable[[int, int], None]:
        def say(done: int, steps: int) -> None:
            report("progress", stage=stage, step=done, steps=steps, seconds=clock.seconds())
            if asked_to_end():
                raise Cancelled

        return say

    try:
        # What can be wrong with the input is said before kernels are compiled, which takes minutes once.
        saved = read_checkpoint(folder.path, settings.method) if job.resume else None
        capture = read_capture(source)
        for warning in (*capture.warnings, *check_poses(capture)):
            report("warning", message=warning)
        large = sum(view_scale(frame.w, frame.h, 1.0, settings.max_side) < 1 / settings.downscale for frame in capture.frames)
        if large:
            size = f"{large} of {len(capture.frames)} views are scaled down to {settings.max_side} pixels on their longest side"
            report("note", message=f"{size}. Larger ones take more time and memory; --max-side sets the limit.")
        views, test = _load(capture, stage_progress("load"), settings)
        if not compiling.is_compiled():
            with clock.paused():
                compiling.compile_all(stage_progress("compile"))
        blend = settings.blend if settings.blend != "auto" else ("linear" if capture.source == "blender" else "srgb")
        trainer = new_trainer(settings, capture, views, blend, workers)
        if trainer.note:
            report("note", message=trainer.note)
        if saved is not None:
            restore(trainer, saved)
            clock.before = saved.progress.seconds
        elif job.resume:
            report("warning", message="There was no checkpoint yet, so training starts from the beginning.")
        loading = clock.seconds() - clock.before
        if settings.minutes is not None and (left := 60 * settings.minutes - clock.seconds()) < loading:
            took = f"Loading took {loading:.0f} s, so {max(left, 0):.0f} s of the time are left for training."
            report("warning", message=f"{took} Give more minutes, or a smaller --max-side.")
        if asked_to_end():
            raise Cancelled
    except Cancelled:
        report("done", seconds=clock.seconds(), cancelled=True)
        return replace(result, status="cancelled", timing={"total": clock.seconds()})
    up = tuple(up_of_capture(capture.source, [view.camera for view in views]).tolist())
    result = replace(result, blend=blend, scale=capture.scale, up=up, antialias=trainer.antialias, near=trainer.near)
    folder.begin(replace(result, background="white" if views[0].image.shape[2] == 4 else "black"))
    (folder.path / PREVIEWS).mkdir(exist_ok=True)
    extent = captured_extent(capture, views)
    budget = Budget(clock, settings.steps, None if settings.minutes is None else settings.minutes * 60)
    timing = _loop(folder, trainer, budget, test)
    cancelled = asked_to_end() and not budget.finished(trainer.steps_done)
    # A cancel during training still writes every file; a cancel while files are written skips the rest.
    _write_artifacts(folder, trainer, clock, extent, patient=asked_to_end())
    _score(folder, trainer, test, budget)
    status = "cancelled" if cancelled else "done"
    result = folder.end(replace(folder.result, status=status, timing={**timing, "total": clock.seconds()}))
    report("done", seconds=clock.seconds(), cancelled=cancelled)
    return result


def _load(capture: Capture, progress: Callable[[int, int], None], settings: TrainSettings) -> tuple[list[View], list[View]]:
    frames, size = len(capture.frames), {"scale": 1 / settings.downscale, "max_side": settings.max_side}
    views = load_views(capture, "train", **size, progress=lambda done, _: progress(done, frames))
    alpha = views[0].image.shape[2] == 4
    test = load_views(capture, "test", **size, alpha=alpha, progress=lambda done, _: progress(len(views) + done, frames))
    return views, test


def _loop(folder: ResultFolder, trainer: Trainer, budget: Budget, test: list[View]) -> dict[str, float]:
    """Steps until the budget is spent, with reports, previews and checkpoints between. Returns the timing, see Result."""
    clock, report, asked_to_end = budget.clock, folder.report, folder.asked_to_end
    last_report = last_preview = last_checkpoint = clock.seconds()
    preview_wait, wait = 3.0, FIRST_CHECKPOINT
    disk = FullDisk(report)
    smooth_loss: float | None = None
    preview_psnr: float | None = None
    pace = Pace()
    started_at = clock.seconds()
    first_step = trainer.steps_done

    def report_progress() -> None:
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

    while not budget.finished(trainer.steps_done) and not asked_to_end():
        begin = clock.seconds()
        loss = trainer.step(budget.progress(trainer.steps_done))
        smooth_loss = loss if smooth_loss is None else 0.95 * smooth_loss + 0.05 * loss
        now = clock.seconds()
        if budget.seconds is not None:
            # Recent steps count: the first ones see smaller views.
            pace.add(now - begin)
            budget.step_seconds = now - begin if pace.seconds else 0.0
            budget.reserve = min(_ending(trainer, test, pace.seconds, budget.seconds), _MAX_RESERVE * budget.seconds)
        if budget.finished(trainer.steps_done):
            # What is written now is written again at the end.
            break
        if test and now - last_preview > preview_wait:
            view = _preview_view(trainer, test[0])
            display, _ = trainer.render(view.camera, background(view))
            preview_psnr = metrics.psnr(display, truth(view, trainer.blend))
            path = f"{PREVIEWS}/{trainer.steps_done:07d}.png"
            with disk.passed("The preview was not written."):
                folder.write_preview(path, display)
                report("preview", path=path, step=trainer.steps_done, psnr=preview_psnr)
            last_preview = clock.seconds()
            preview_wait = min(max(_PREVIEW_EVERY, (last_preview - now) / _SHARE), _PREVIEW_WAIT)
        if now - last_checkpoint > wait:
            with disk.passed("Training continues; what is learned since the last checkpoint is lost if it crashes."):
                write_checkpoint(folder.path, trainer, clock.seconds())
            last_checkpoint = clock.seconds()
            wait = checkpoint_wait(last_checkpoint - now)
        if now - last_report > _REPORT_EVERY:
            last_report = now
            report_progress()
    # Its last line names the last step.
    report_progress()
    seconds = clock.seconds() - started_at
    if budget.seconds is not None and test and not trainer.pixel_seconds:
        # What follows has to know how slow pictures are.
        small = shrunk(test[0], min(1.0, _FIRST_SIDE / max(test[0].camera.width, test[0].camera.height)))
        trainer.render(small.camera, background(small))
    made = max(trainer.steps_done - first_step, 1)
    return {"train": seconds, "step": seconds / made}


def _ending(trainer: Trainer, test: list[View], step_seconds: float, seconds: float) -> float:
    """About how many seconds of a budget pass after the last step."""
    # Until something is rendered: a splat's view takes half a step. Fields make small steps, and are rendered soon.
    scoring = _scoring(trainer, test) + (0.0 if trainer.pixel_seconds else 0.5 * step_seconds * len(test))
    # Splats are rendered so fast that all views are scored.
    return 1.0 + trainer.ending_seconds + (1.2 * scoring if trainer.count is not None else min(scoring, _SCORING_SHARE * seconds))


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


def _affordable_pixels(trainer: Trainer, budget: Budget) -> float:
    """How many pixels of held-out views are scored: what fits into the time that is left or, so that the same steps always give the same
    scores, a share of the pixels that the steps could have rendered.
    """
    if budget.seconds is None:
        return max(_SCORING_SHARE * trainer.trained_pixels, _MIN_SCORED_PIXELS) if trainer.trained_pixels else math.inf
    seconds = max(budget.seconds - budget.clock.seconds(), _MIN_SCORING_SECONDS)
    return seconds / (trainer.pixel_seconds + _COMPARING) if trainer.pixel_seconds else math.inf


def _write_artifacts(folder: ResultFolder, trainer: Trainer, clock: Clock, extent: Box | None, patient: bool) -> None:
    """Writes what was made, then the checkpoint, which is larger: on a nearly full disk what fits is kept.

    Args:
        extent: what the capture shows, where it is known better than from what was trained.
        patient: whether all is written although the user asked for the end.

    Raises:
        UserError: the disk is full, and an artifact is missing.
    """
    # What an earlier end of this result left does not belong to what is there now: a mesh that is not made this time, scores.
    folder.write(replace(folder.result, artifacts=(), metrics={}, dimensions=None, bounds=None, step=trainer.steps_done))
    lost: UserError | None = None
    try:
        for kind, path in trainer.artifacts(folder.path):
            folder.made(kind, path, folder.result)
            if folder.asked_to_end() and not patient:
                break
    except UserError as error:
        if error.code != "disk_full":
            raise
        lost = error
    kept = ", ".join(item.path for item in folder.result.artifacts)
    folder.write(replace(folder.result, bounds=extent or trainer.bounds()))
    try:
        write_checkpoint(folder.path, trainer, clock.seconds())
    except UserError as error:
        if error.code != "disk_full":
            raise
        older = (folder.path / CHECKPOINT).is_file()
        resume = "Resuming continues from the checkpoint before it." if older else "The training cannot be resumed."
        if lost is None:
            folder.report("warning", message=f"{error.message} {kept} {'were' if ',' in kept else 'was'} kept. {resume}")
        kept += f"{', ' * bool(kept)}the checkpoint before the last steps" if older else ""
    else:
        kept += f"{', ' * bool(kept)}{CHECKPOINT}"
    if lost is not None:
        if not kept:
            raise UserError(f"{lost.message} Nothing was kept.", "Free some space, then train again.", lost.code)
        raise UserError(f"{lost.message} What was kept: {kept}.", "Free some space, then resume.", lost.code)


def _score(folder: ResultFolder, trainer: Trainer, test: list[View], budget: Budget) -> None:
    """Scores held-out views unless the user waits for the end."""
    clock, report, asked_to_end = budget.clock, folder.report, folder.asked_to_end

    def progress(done: int, steps: int) -> None:
        report("progress", stage="evaluate", step=done, steps=steps, seconds=clock.seconds())
        if asked_to_end() and done < steps:
            raise Cancelled

    if not test or asked_to_end():
        return
    chosen, factor = scorable(test, _affordable_pixels(trainer, budget))
    seconds_left = None if budget.seconds is None else lambda: budget.seconds - clock.seconds()
    try:
        scores = score(trainer, chosen, trainer.blend, progress, seconds_left)
    except Cancelled:
        return
    count = {} if trainer.count is None else {"count": trainer.count}
    result = record(folder, replace(folder.result, metrics=count), scores, len(test), factor)
    if len(scores["views"]) < len(test) or factor < 1:
        report("warning", message=f"Scoring takes long: the scores are of {which_views(result.metrics)}. The command eval scores all.")
    for name, value in result.metrics.items():
        report("metric", name=name, value=value)
