# SPDX-License-Identifier: GPL-3.0-or-later
"""Job voxels train: 3D-R2N2 from training data to weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from .. import devices
from ..contract.checkpoints import VoxelFacts
from ..contract.errors import UserError
from ..contract.result import CHECKPOINT, METRICS, WEIGHTS, Result
from ..contract.schema import to_mapping
from ..contract.voxels import METHOD, VoxelTrainSettings
from ..runs.budget import Budget
from ..runs.cancel import Cancelled
from ..runs.checkpoint import write_checkpoint
from ..runs.context import RunContext, run_context
from ..runs.loop import Hooks, run_steps
from ..runs.reporter import Reporter
from ..runs.resume import TrainRequest, continue_from, new_budget, saved_state, starting_point
from ..runs.scoring import write_metrics
from ..voxels import scores
from ..voxels.dataset import SPLITS, Shapes, load_split, shape_folders
from ..voxels.make_data import MADE_UP
from ..voxels.trainer import VoxelTrainer
from ..voxels.weights import read_weights, write_weights

# Numbers of views that are scored, where the data has so many.
SCORED = (1, 5)
# Interval between two validations, s, and the number of shapes in one: it should take some seconds.
_VALIDATE_EVERY, _VALIDATION_SHAPES = 240.0, 160


def train_voxels(request: TrainRequest[VoxelTrainSettings], reporter: Reporter) -> Result | None:
    """Trains for the time or the steps that the settings give, scores the test shapes, and writes the weights. Before the first step an
    error leaves everything as it was.

    Returns:
        The result, done or cancelled; None where it was cancelled before the first step, so that nothing was written.

    Raises:
        UserError: there is no data, another process trains here, or the device is not there; the result's status is failed where training
            had begun.
    """
    with run_context(request.folder, reporter, new=not request.resume, overwrite=request.overwrite) as context:
        settings, result, shapes, trainer = _prepare(context, request)
        context.check_cancelled()
        context.folder.begin(result)
        budget, test = new_budget(context, settings), shapes.get("test")
        run_steps(context, trainer, budget, _Validation(context, trainer, budget, shapes.get("val"), test))
        context.cancelled = context.cancel.requested and not budget.finished(trainer.steps_done)
        _finish(context, trainer, settings, test)
        context.cancelled |= test is not None and not context.result.metrics
        status = "cancelled" if context.cancelled else "done"
        context.folder.end(replace(context.result, status=status, timing={"total": context.clock.seconds()}))
    return context.folder.result


def _prepare(context: RunContext, request: TrainRequest) -> tuple[VoxelTrainSettings, Result, dict[str, Shapes], VoxelTrainer]:
    """The settings, the result that is not written yet, the shapes of each split, and the trainer."""
    old = context.folder.old
    if old is not None and old.method == METHOD and "network" not in old.settings:
        raise UserError(f"{context.path} is not a training of voxels.", "Choose the result of voxels train.", "other_method")
    data, settings = starting_point(context, request, lambda path: path)
    device = devices.choose(METHOD, settings.device).device
    torch.set_num_threads(devices.threads(settings.threads))
    context.folder.claim(CHECKPOINT, METRICS, WEIGHTS)
    result = context.new_result(METHOD, data, settings, device)
    context.start(result)
    # Before data is packed, which takes minutes.
    saved = saved_state(context, request, VoxelFacts)
    start = read_weights(Path(settings.start), settings.network)[0] if settings.start and saved is None else None
    if not data.is_dir():
        raise UserError(f"There is no folder {data}.", "Give the folder that make-data has made.", "no_data")
    progress = context.stage("load")
    shapes = {split: load_split(data, split, progress) for split in SPLITS if split == "train" or shape_folders(data, split)}
    if "val" in shapes:
        shapes["val"] = shapes["val"].at_most(_VALIDATION_SHAPES)
    bfloat16 = settings.precision == "bfloat16" or (settings.precision == "auto" and devices.has_bfloat16(device))
    trainer = VoxelTrainer(settings, shapes["train"], device, bfloat16)
    if start is not None:
        trainer.start_from(start)
    continue_from(context, trainer, saved)
    return settings, result, shapes, trainer


class _Validation(Hooks):
    """Scores shapes that are not trained on."""

    def __init__(self, context: RunContext, trainer: VoxelTrainer, budget: Budget, val: Shapes | None, test: Shapes | None):
        self.context, self.trainer, self.budget, self.val, self.test = context, trainer, budget, val, test
        self.last = context.clock.seconds()

    def between_steps(self, now: float) -> None:
        """See :class:`~engine.runs.loop.Hooks`."""
        if self.val is not None and now - self.last >= _VALIDATE_EVERY:
            for views in _scored(self.val):
                value = float(self.trainer.score(self.val, views).mean())
                self.context.report("metric", name=f"val_iou_{views}", value=value, step=self.trainer.steps_done)
            self.last = self.context.clock.seconds()
            if self.test is not None:
                # The end is scored within the time, as fast as this validation.
                self.budget.reserve = 1.2 * (self.last - now) * len(self.test) / len(self.val)


def _finish(context: RunContext, trainer: VoxelTrainer, settings: VoxelTrainSettings, test: Shapes | None) -> None:
    """Writes weights and checkpoint, and scores them unless the user waits for the end."""
    context.folder.write(replace(context.result, artifacts=(), metrics={}, step=trainer.steps_done))
    (context.path / METRICS).unlink(missing_ok=True)
    # Weights first: they are smaller than the checkpoint. Scores, which take minutes, are written into them afterwards.
    lost: UserError | None = None
    try:
        _write_weights(context.path, trainer, settings, {})
        context.made("weights", WEIGHTS, context.result)
    except UserError as error:
        if error.code != "disk_full":
            raise
        lost = error
    with context.tolerate_full_disk("The weights were kept." if lost is None else "Nothing was kept."):
        write_checkpoint(context.path, trainer, context.clock.seconds())
    if lost is not None:
        raise lost
    if test is None or context.cancel.requested:
        return
    progress: Callable[[int, int], None] = context.stage("evaluate")
    try:
        found = {views: trainer.score(test, views, progress) for views in _scored(test)}
    except Cancelled:
        return
    means = {f"iou_{views}": float(values.mean()) for views, values in found.items()}
    _write_weights(context.path, trainer, settings, means)
    write_metrics(context.path, scores.table(test.names, found, MADE_UP))
    context.made("metrics", METRICS, replace(context.result, metrics=means))
    for name, value in means.items():
        context.report("metric", name=name, value=value, step=trainer.steps_done)


def _write_weights(folder: Path, trainer: VoxelTrainer, settings: VoxelTrainSettings, means: dict[str, float]) -> None:
    # Weights are given to others, whom the paths of this machine do not concern.
    shared = replace(settings, start=Path(settings.start).name)
    facts = {"network": shared.network, "steps": trainer.steps_done, "settings": to_mapping(shared), **means}
    write_weights(folder / WEIGHTS, trainer.mean, facts)


def _scored(shapes: Shapes) -> list[int]:
    return [views for views in SCORED if views <= shapes.views.shape[1]]
