# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands doctor and bench: what this machine has, and how fast it is."""

from __future__ import annotations

import json
import typing
from dataclasses import dataclass
from typing import Annotated

from ..contract.settings import TrainSettings
from .options import SWITCH, Json, Positional, option
from .reporting import progress_bar

_Method = typing.get_type_hints(TrainSettings)["method"]


@dataclass(frozen=True)
class Doctor:
    """Say what this machine has, what will be used, and why."""

    json: Json = False
    compile: Annotated[bool, SWITCH, option("Compile the kernels if that was not done yet.")] = False
    method: Annotated[_Method | None, option("Also say what training by this method, and its images, cost here.")] = None

    def run(self) -> int:
        """Returns the exit code."""
        from ..jobs.doctor import compile_kernels, examine, plain

        if self.compile:
            with progress_bar() as reporter:
                compile_kernels(reporter)
        facts = examine(self.method)
        print(json.dumps(facts, indent=1) if self.json else plain(facts))
        return 0


@dataclass(frozen=True)
class Bench:
    """Time the operations on named fixtures, with the machine named."""

    fixtures: Annotated[
        tuple[str, ...], Positional, option("Names of fixtures, also shells-THOUSANDSk-WIDTHxHEIGHT; none runs all.", "FIXTURE")
    ] = ()
    json: Json = False

    def run(self) -> int:
        """Returns the exit code."""
        from ..bench import plain, run

        rows = run(self.fixtures)
        print(json.dumps(rows, indent=1) if self.json else plain(rows))
        return 0
