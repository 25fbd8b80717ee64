# SPDX-License-Identifier: GPL-3.0-or-later
"""How a training begins: with a new result, or where an earlier run of it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from .. import devices
from ..contract.errors import UserError
from ..contract.result import Result
from ..contract.settings import TrainSettings, trained_settings
from ..contract.voxels import METHOD as VOXELS
from .budget import Budget
from .checkpoint import Checkpoint, Resumable, read_checkpoint, read_progress, restore
from .context import RunContext

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class TrainRequest(Generic[Settings]):
    """A training, as asked for.

    Args:
        folder: of the result.
        settings: with ``resume`` only their budget counts.
        source: the capture, or the training data of voxels; None with ``resume``.
        resume: continue the result that is there.
        overwrite: replace it.
    """

    folder: Path
    settings: Settings
    source: Path | None = None
    resume: bool = False
    overwrite: bool = False


def starting_point(context: RunContext, request: TrainRequest, find_source: Callable[[Path], Path]) -> tuple[Path, Settings]:
    """The source of a training and its complete settings.

    Args:
        find_source: makes a new training's source of the path that was given.

    Raises:
        UserError: the result cannot be continued as asked.
    """
    old = context.folder.old
    if old is None:
        return find_source(request.source), request.settings
    return Path(old.capture), _with_device(resumed(context.path, old, request.settings), old, context)


def saved_state(context: RunContext, request: TrainRequest, state: type) -> Checkpoint | None:
    """The checkpoint that a training continues from; None where it starts from the beginning.

    Args:
        state: dataclass of what it holds beside arrays.

    Raises:
        UserError: the checkpoint is damaged.
    """
    if not request.resume:
        return None
    saved = read_checkpoint(context.path, state)
    if saved is None:
        context.report("warning", message="There was no checkpoint yet, so training starts from the beginning.")
    return saved


def continue_from(context: RunContext, trainer: Resumable, saved: Checkpoint | None) -> None:
    """Restores a trainer, and the time that earlier runs took."""
    if saved is not None:
        restore(trainer, saved)
        context.clock.before = saved.progress.seconds


def new_budget(context: RunContext, settings: Settings) -> Budget:
    """The budget that the settings give."""
    return Budget(context.clock, settings.steps, None if settings.minutes is None else settings.minutes * 60)


def resumed(folder: Path, old: Result, given: Settings) -> Settings:
    """The settings of a result with the budget that is given now: steps in all, or further minutes.

    Raises:
        UserError: it has more steps already, or is finished and no budget is given.
    """
    train = isinstance(given, TrainSettings)
    if train == (old.method == VOXELS):
        command = "train" if old.method != VOXELS else "voxels train"
        raise UserError(f"{folder} is a result of method {old.method}.", f"Resume it with: {command} --resume.", "other_method")
    settings = trained_settings(old.settings, folder, type(given))
    saved = read_progress(folder)
    if given.steps is not None:
        if saved is not None and saved.step > given.steps:
            raise UserError(f"{folder} has {saved.step} steps already.", "Ask for more steps (--steps counts all of them).", "enough_steps")
        return replace(settings, steps=given.steps, minutes=None)
    if given.minutes is not None:
        spent = saved.seconds / 60 if saved is not None else 0.0
        return replace(settings, steps=None, minutes=given.minutes + spent)
    if old.status == "done":
        raise UserError(f"{folder} is finished.", "To continue, give more time (--minutes) or more steps in all (--steps).", "finished")
    return settings


def _with_device(settings: Settings, old: Result, context: RunContext) -> Settings:
    """The settings of a result with a device that this machine has. Another device than before is reported."""
    try:
        chosen = devices.choose(old.method, settings.device)
    except UserError:
        settings = replace(settings, device="auto")
        chosen = devices.choose(old.method, settings.device)
    if old.device and chosen.device != old.device:
        context.report("warning", message=f"This result was trained on {old.device}; its training continues on {chosen.device}.")
    return settings
