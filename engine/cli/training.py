# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands train and voxels train have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from ..contract.errors import UserError
from ..contract.result import Result
from ..contract.schema import check
from ..runs.reporter import Reporter
from ..runs.resume import Settings, TrainRequest
from .options import PROGRAM, Events, Overwrite, option
from .reporting import run_reported


@dataclass(frozen=True)
class TrainingCommand:
    """Options of every training command. ``name``: of the command. ``source_name``: of its positional argument."""

    name: ClassVar[str]
    source_name: ClassVar[str]

    out: Annotated[str, option("Folder that receives the result.", "RESULT")] = ""
    resume: Annotated[str, option("Folder of a result to continue, without further options but a budget.", "RESULT")] = ""
    overwrite: Overwrite = False
    events: Events = False


def run_training(
    command: TrainingCommand,
    source: str,
    settings: Settings,
    budget: dict[str, float],
    job: Callable[[TrainRequest, Reporter], Result | None],
    scores: Callable[[Result], str],
) -> int:
    """Runs a training that was asked for on the command line.

    Args:
        command: as parsed. source: its positional argument.
        settings: as given. budget: where no budget is given.
        job: trains. scores: of a result, in words.

    Returns:
        The exit code.

    Raises:
        UserError: options exclude each other, or one is missing.
    """
    check(settings)
    _check_options(command, source, settings)
    if not command.resume and settings.minutes is None and settings.steps is None:
        settings = replace(settings, **budget)
    folder = Path(command.resume or command.out).resolve()
    request = TrainRequest(folder, settings, None if command.resume else Path(source), bool(command.resume), command.overwrite)

    def last_line(result: Result | None) -> str:
        if result is None:
            return "Cancelled before the first step."
        return f"{result.status}: {result.step} steps in {result.timing['total']:.0f} s{scores(result)}; {folder}"

    return run_reported(command.events, lambda reporter: job(request, reporter), last_line)


def _check_options(command: TrainingCommand, source: str, settings: Settings) -> None:
    if settings.minutes is not None and settings.steps is not None:
        raise UserError("Give either --minutes or --steps, not both.")
    if command.resume and (source or command.out or command.overwrite):
        raise UserError(f"--resume continues a result; it takes no {command.source_name}, no --out and no --overwrite.")
    if command.resume and replace(settings, minutes=None, steps=None) != type(settings)():
        raise UserError("--resume continues with the settings that the result has.", "Give no others than --minutes or --steps.")
    if not command.resume and not (source and command.out):
        raise UserError(f"{command.name} needs {command.source_name} and --out RESULT.", f"See {PROGRAM} {command.name} --help.")
