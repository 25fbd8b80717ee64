# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: parses arguments, runs a job, and says how it went. A command is a dataclass of its options with a method ``run``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Annotated, Protocol, Union

import psutil
import tyro

from ..runs.errors import FAILURES, explain
from .convert import Convert
from .evaluate import Evaluate
from .machine import Bench, Doctor
from .options import PROGRAM
from .render import Render
from .reporting import keep_stdout_for_events
from .surface import Proxy, Surface
from .train import Train, default_train
from .voxels import MakeData, Predict
from .voxels import Train as TrainVoxels

COMMANDS: dict[str, type] = {
    "doctor": Doctor,
    "train": Train,
    "eval": Evaluate,
    "render": Render,
    "surface": Surface,
    "proxy": Proxy,
    "convert": Convert,
    "bench": Bench,
    "voxels": Predict,
    "voxels make-data": MakeData,
    "voxels train": TrainVoxels,
}


class Command(Protocol):
    """What a command line asks for."""

    def run(self) -> int:
        """Returns the exit code."""


def main(arguments: list[str]) -> int:
    """Runs a command. Returns the exit code: 0 done, 1 a failed job, 2 a bad argument."""
    if "--events" in arguments:
        keep_stdout_for_events()
    try:
        command = parse(arguments)
    except SystemExit as end:
        return 2 if end.code or not arguments else 0
    _lower_priority()
    try:
        return command.run()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 1
    except Exception as error:
        failure = explain(error)
        print(failure, file=sys.stderr)
        return 1 if failure.code in FAILURES else 2


def parse(arguments: Sequence[str]) -> Command:
    """The command that arguments ask for.

    Raises:
        SystemExit: help was asked for (code 0), or an argument is wrong (2); tyro has printed it.
    """
    defaults = {"train": default_train(arguments)}
    commands = [
        Annotated[kind, tyro.conf.subcommand(name, default=defaults.get(name, tyro.MISSING_NONPROP), prefix_name=False)]
        for name, kind in COMMANDS.items()
    ]
    return tyro.cli(
        Union[tuple(commands)],  # noqa: UP007 - the operator takes no list
        prog=PROGRAM,
        description="Trains splats and radiance fields from captures, on ordinary processors.",
        # tyro reads sys.argv where it is given nothing.
        args=_joined(arguments) or ["--help"],
    )


def _joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with the two words of such a command as one, which is how tyro names a command."""
    two = " ".join(arguments[:2])
    return [two, *arguments[2:]] if two in COMMANDS else list(arguments)


def _lower_priority() -> None:
    """Leaves the machine usable: the engine runs beside a designer's work."""
    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 5)
