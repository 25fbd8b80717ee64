# SPDX-License-Identifier: GPL-3.0-or-later
"""What a training is asked for on the command line, on captures and on shapes, and what a resumed one continues with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from .. import devices
from ..contract.errors import UserError
from ..contract.result import Result
from ..contract.settings import TrainSettings, trained_settings
from ..contract.voxels import METHOD as VOXELS
from .checkpoint import read_progress
from .reporting import Reporter

Settings = TypeVar("Settings")


def check_asked(given: Settings, source: str, out: str, resume: str, overwrite: bool, *, name: str, command: str) -> None:
    """Refuses what does not go together.

    Args:
        given: settings as typed, with ``minutes`` and ``steps``. source, out, resume, overwrite: as typed. name: what the source is
            called in the help of the command.

    Raises:
        UserError: two budgets, or something beside ``resume`` that the result itself says, or nothing to begin with.
    """
    if given.minutes is not None and given.steps is not None:
        raise UserError("Give either --minutes or --steps, not both.")
    if resume and (source or out or overwrite):
        raise UserError(f"--resume goes on with a result; it takes no {name}, no --out and no --overwrite.")
    if resume and replace(given, minutes=None, steps=None) != type(given)():
        raise UserError("--resume goes on with the settings that the result has.", "Give no others than --minutes or --steps.")
    if not resume and not (source and out):
        raise UserError(f"train needs {name} and --out RESULT.", f"See {command} --help.")


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


def available(settings: Settings, old: Result, report: Reporter) -> Settings:
    """The settings of a result with a device that this machine has; says so where it is another one than before."""
    try:
        chosen = devices.choose(old.method, settings.device)
    except UserError:
        settings = replace(settings, device="auto")
        chosen = devices.choose(old.method, settings.device)
    if old.device and chosen.device != old.device:
        report("warning", message=f"This result was trained on {old.device}; its training continues on {chosen.device}.")
    return settings
