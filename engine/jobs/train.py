# SPDX-License-Identifier: GPL-3.0-or-later
"""Job train: from a capture to a result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .. import devices, metrics
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.methods import METHODS
from ..contract.result import CHECKPOINT, METRICS, PREVIEWS, Result
from ..contract.settings import TrainSettings, check_method
from ..data.extent import Box, captured_extent
from ..data.poses import check_poses
from ..data.up import up_of_capture
from ..data.views import View, load_views, shrunk, view_scale
from ..formats.capture import capture_folder, read_capture
from ..kernels import use_threads
from ..methods import new_trainer
from ..methods.interface import Trainer
from ..runs.budget import Budget, Pace
from ..runs.cancel import Cancelled
from ..runs.checkpoint import write_checkpoint
from ..runs.context import RunContext, run_context
from ..runs.loop import Hooks, run_steps
from ..runs.reporter import Reporter, stage_progress
from ..runs.resume import TrainRequest, continue_from, new_budget, saved_state, starting_point
from ..runs.scoring import affordable_pixels, background, ending_seconds, record, scorable, score, target, which_views

# Shortest interval between previews, s, and the largest share of the time that they take.
_PREVIEW_EVERY, _PREVIEW_SHARE = 10.0, 0.02
# Upper bound on the interval, s: a field that is still haze renders many times as slowly as later, and the latest preview tells how long
# scoring will take.
_PREVIEW_WAIT = 45.0
# Slow images are previewed so small that they take about so long, s; the first preview, of this side in pixels, measures it.
_PREVIEW_SECONDS = 2.0
_FIRST_SIDE = 64
# Largest share of a time budget that is reserved for what follows the last step.
_MAX_RESERVE = 0.3


def train(request: TrainRequest[TrainSettings], reporter: Reporter) -> Result | None:
    """Trains, writes the result, and reports on the way. Before the first step an error leaves everything as it was.

    Returns:
        The result, done or cancelled; None where it was cancelled before the first step, so that nothing was written.

    Raises:
        UserError: the input is unusable; the result's status is failed where training had begun.
    """
    with run_context(request.folder, reporter, new=not request.resume, overwrite=request.overwrite) as context:
        made = _prepare(context, request)
        trainer, budget = made.trainer, new_budget(context, made.settings)
        context.check_cancelled()
        _begin(context, made)
        timing = run_steps(context, trainer, budget, _Previews(context, trainer, budget, made.test))
        _measure_rendering(trainer, budget, made.test)
        context.cancelled = context.cancel.requested and not budget.finished(trainer.steps_done)
        # A cancel during training still writes every file; a cancel while files are written skips the rest.
        _write_artifacts(context, trainer, captured_extent(made.capture, made.views), complete=context.cancel.requested)
        _score(context, trainer, made.test, budget)
        status = "cancelled" if context.cancelled else "done"
        context.folder.end(replace(context.result, status=status, timing={**timing, "total": context.clock.seconds()}))
    return context.folder.result


@dataclass(frozen=True)
class _Prepared:
    """A training before its first step. ``result`` is not written yet; ``test`` are the held-out views."""

    settings: TrainSettings
    result: Result
    capture: Capture
    views: list[View]
    test: list[View]
    trainer: Trainer


def _prepare(context: RunContext, request: TrainRequest) -> _Prepared:
    """Reads and checks all input, then compiles the kernels and makes the trainer."""
    source, settings = starting_point(context, request, capture_folder)
    check_method(settings)
    method = METHODS[settings.method]
    device = devices.choose(settings.method, settings.device).device
    workers = devices.threads(settings.threads)
    use_threads(workers)
    context.folder.claim(CHECKPOINT, METRICS, *method.artifacts)
    result = context.new_result(settings.method, source, settings, device)
    context.start(result)
    saved = saved_state(context, request, method.state)
    capture = read_capture(source)
    for warning in (*capture.warnings, *check_poses(capture)):
        context.report("warning", message=warning)
    _report_scaling(context, capture, settings)
    views, test = _load(context, capture, settings)
    context.compile_kernels()
    blend = settings.blend if settings.blend != "auto" else ("linear" if capture.source == "blender" else "srgb")
    trainer = new_trainer(settings, capture, views, blend, workers)
    if trainer.note:
        context.report("note", message=trainer.note)
    continue_from(context, trainer, saved)
    _report_time_left(context, settings)
    return _Prepared(settings, result, capture, views, test, trainer)


def _report_scaling(context: RunContext, capture: Capture, settings: TrainSettings) -> None:
    large = sum(view_scale(frame.w, frame.h, 1.0, settings.max_side) < 1 / settings.downscale for frame in capture.frames)
    if large:
        size = f"{large} of {len(capture.frames)} views are scaled down to {settings.max_side} pixels on their longest side"
        context.report("note", message=f"{size}. Larger ones take more time and memory; --max-side sets the limit.")


def _report_time_left(context: RunContext, settings: TrainSettings) -> None:
    loading = context.clock.seconds() - context.clock.before
    if settings.minutes is not None and (left := 60 * settings.minutes - context.clock.seconds()) < loading:
        took = f"Loading took {loading:.0f} s, so {max(left, 0):.0f} s of the time are left for training."
        context.report("warning", message=f"{took} Give more minutes, or a smaller --max-side.")


def _load(context: RunContext, capture: Capture, settings: TrainSettings) -> tuple[list[View], list[View]]:
    progress, frames = context.stage("load"), len(capture.frames)
    size = {"scale": 1 / settings.downscale, "max_side": settings.max_side}
    views = load_views(capture, "train", **size, progress=lambda done, _: progress(done, frames))
    alpha = views[0].image.shape[2] == 4
    test = load_views(capture, "test", **size, alpha=alpha, progress=lambda done, _: progress(len(views) + done, frames))
    return views, test


def _begin(context: RunContext, made: _Prepared) -> None:
    """Writes the result for the first time."""
    trainer, up = made.trainer, up_of_capture(made.capture.source, [view.camera for view in made.views])
    result = replace(
        made.result,
        blend=trainer.blend,
        scale=made.capture.scale,
        up=tuple(up.tolist()),
        antialias=trainer.antialias,
        near=trainer.near,
        background="white" if made.views[0].image.shape[2] == 4 else "black",
    )
    context.folder.begin(result)
    (context.path / PREVIEWS).mkdir(exist_ok=True)


class _Previews(Hooks):
    """Reserves the time that the end of the run needs, and renders previews."""

    def __init__(self, context: RunContext, trainer: Trainer, budget: Budget, test: list[View]):
        self.context, self.trainer, self.budget, self.test = context, trainer, budget, test
        self.pace, self.psnr = Pace(), None
        self.last, self.wait = context.clock.seconds(), 3.0

    def measure(self, step_seconds: float) -> None:
        """See :class:`~engine.runs.loop.Hooks`."""
        if self.budget.seconds is not None:
            # Recent steps count: the first ones see smaller views.
            self.pace.add(step_seconds)
            self.budget.step_seconds = step_seconds if self.pace.seconds else 0.0
            ending = ending_seconds(self.trainer, self.test, self.pace.seconds, self.budget.seconds)
            self.budget.reserve = min(ending, _MAX_RESERVE * self.budget.seconds)

    def between_steps(self, now: float) -> None:
        """See :class:`~engine.runs.loop.Hooks`."""
        if self.test and now - self.last > self.wait:
            self._render()
            self.last = self.context.clock.seconds()
            self.wait = min(max(_PREVIEW_EVERY, (self.last - now) / _PREVIEW_SHARE), _PREVIEW_WAIT)

    def facts(self) -> dict[str, Any]:
        """See :class:`~engine.runs.loop.Hooks`."""
        return {"psnr": self.psnr, "count": self.trainer.count}

    def _render(self) -> None:
        view = _preview_view(self.trainer, self.test[0])
        image, _ = self.trainer.render(view.camera, background(view))
        self.psnr = metrics.psnr(image, target(view, self.trainer.blend))
        path = f"{PREVIEWS}/{self.trainer.steps_done:07d}.png"
        with self.context.tolerate_full_disk("The preview was not written."):
            self.context.folder.write_preview(path, image)
            self.context.report("preview", path=path, step=self.trainer.steps_done, psnr=self.psnr)


def _preview_view(trainer: Trainer, view: View) -> View:
    """A view in the size that previews have: its own, or as small as is needed to render it in time."""
    width, height = view.camera.width, view.camera.height
    if trainer.count is None and not trainer.pixel_seconds and max(width, height) > _FIRST_SIDE:
        trainer.render(shrunk(view, _FIRST_SIDE / max(width, height)).camera, background(view))
    seconds = trainer.pixel_seconds * width * height
    return view if seconds <= _PREVIEW_SECONDS else shrunk(view, (_PREVIEW_SECONDS / seconds) ** 0.5)


def _measure_rendering(trainer: Trainer, budget: Budget, test: list[View]) -> None:
    """Renders a small view where none was rendered yet: what follows in a time budget has to know how long images take."""
    if budget.seconds is not None and test and not trainer.pixel_seconds:
        view = shrunk(test[0], min(1.0, _FIRST_SIDE / max(test[0].camera.width, test[0].camera.height)))
        trainer.render(view.camera, background(view))


def _write_artifacts(context: RunContext, trainer: Trainer, extent: Box | None, complete: bool) -> None:
    """Writes the artifacts, then the checkpoint, which is larger: on a nearly full disk what fits is kept.

    Args:
        extent: of what the capture shows, where it is known better than from what was trained.
        complete: whether all is written although the user cancelled.

    Raises:
        UserError: the disk is full, and an artifact is missing.
    """
    folder = context.folder
    # What an earlier end of this result left does not belong to what is there now: a mesh that is not made this time, scores.
    folder.write(replace(context.result, artifacts=(), metrics={}, dimensions=None, bounds=None, step=trainer.steps_done))
    lost: UserError | None = None
    progress = stage_progress(context.report, "write", context.clock.seconds)
    files = len(METHODS[context.result.method].artifacts)
    progress(0, files)
    try:
        for kind, path in trainer.artifacts(context.path):
            context.made(kind, path, context.result)
            progress(len(context.result.artifacts), files)
            if context.cancel.requested and not complete:
                context.cancelled = True
                context.report("warning", message="Some files of the result were not written. Resume the training to write them.")
                break
    except UserError as error:
        if error.code != "disk_full":
            raise
        lost = error
    folder.write(replace(context.result, bounds=extent or trainer.bounds()))
    kept = [item.path for item in context.result.artifacts]
    try:
        write_checkpoint(context.path, trainer, context.clock.seconds())
        kept.append(CHECKPOINT)
    except UserError as error:
        if error.code != "disk_full":
            raise
        older = (context.path / CHECKPOINT).is_file()
        if lost is None:
            resume = "Resuming continues from the checkpoint before it." if older else "The training cannot be resumed."
            were = f"{', '.join(kept)} {'were' if len(kept) > 1 else 'was'} kept"
            context.report("warning", message=f"{error.message} {were}. {resume}")
        kept += ["the checkpoint before the last steps"] * older
    if lost is not None:
        if not kept:
            raise UserError(f"{lost.message} Nothing was kept.", "Free some space, then train again.", lost.code)
        raise UserError(f"{lost.message} What was kept: {', '.join(kept)}.", "Free some space, then resume.", lost.code)


def _score(context: RunContext, trainer: Trainer, test: list[View], budget: Budget) -> None:
    """Scores held-out views unless the user waits for the end."""
    stage = context.stage("evaluate")

    def progress(done: int, total: int) -> None:
        if done < total or not context.cancel.requested:
            stage(done, total)

    if not test or context.cancel.requested:
        return
    chosen, factor = scorable(test, affordable_pixels(trainer, budget))
    seconds_left = None if budget.seconds is None else lambda: budget.seconds - context.clock.seconds()
    try:
        scores = score(trainer, chosen, trainer.blend, progress, seconds_left)
    except Cancelled:
        return
    count = {} if trainer.count is None else {"count": trainer.count}
    result = record(context, replace(context.result, metrics=count), scores, len(test), factor)
    if len(scores["views"]) < len(test) or factor < 1:
        which = which_views(result.metrics)
        context.report("warning", message=f"Scoring takes long: the scores are of {which}. The command eval scores all.")
    for name, value in result.metrics.items():
        context.report("metric", name=name, value=value)
