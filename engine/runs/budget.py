# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run is: by steps, which is the same on every machine, or by the clock, which fits the run to the machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


class Clock:
    """Seconds spent on a run: from the start of the process, plus what earlier processes spent, less what is not counted (compilation).

    ``started`` is the process's start on the wall clock, which is read once: it jumps when the machine sets it, and after a sleep.
    """

    def __init__(self, started: float):
        self._zero = time.monotonic() - (time.time() - started)
        self.before = 0.0
        self.left_out = 0.0

    def seconds(self) -> float:
        """Seconds that count so far."""
        return time.monotonic() - self._zero - self.left_out + self.before

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves out the seconds that the block takes."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.left_out += time.monotonic() - begin


@dataclass
class Pace:
    """Seconds per step, averaged over about the last twenty steps. The first step loads compiled kernels and is left out."""

    seconds: float = 0.0
    _steps: int = field(default=0, init=False)

    def add(self, seconds: float) -> None:
        """Takes the duration of one more step into the average."""
        self._steps += 1
        if self._steps == 2:
            self.seconds = seconds
        elif self._steps > 2:
            self.seconds += 0.05 * (seconds - self.seconds)


@dataclass
class Budget:
    """Either ``steps`` or ``seconds`` is given. ``reserve`` is kept at the end of the seconds for what follows training; ``step_seconds``
    is what a step takes: one that would end too late is not begun.
    """

    clock: Clock
    steps: int | None = None
    seconds: float | None = None
    reserve: float = 0.0
    step_seconds: float = 0.0
    _first: tuple[int, float] | None = field(default=None, init=False)
    _progress: float = field(default=0.0, init=False)

    def progress(self, step: int) -> float:
        """Share of the run that is done before a step, 0 to 1. It never falls, though ``reserve`` is an estimate that may."""
        if self.steps is not None:
            return min(step / self.steps, 1.0)
        self._progress = max(self._progress, min(self.clock.seconds() / max(self.seconds - self.reserve, 1e-3), 1.0))
        return self._progress

    def finished(self, step: int) -> bool:
        """Whether the run is over. At least one step is always made."""
        if self.steps is not None:
            return step >= self.steps
        return step > 0 and self.clock.seconds() + self.step_seconds >= self.seconds - self.reserve

    def eta(self, step: int) -> float | None:
        """Seconds until training ends, None while nothing is known."""
        if self.seconds is not None:
            return max(self.seconds - self.clock.seconds(), 0.0)
        now = self.clock.seconds()
        if self._first is None:
            self._first = (step, now)
        done = step - self._first[0]
        return (self.steps - step) * (now - self._first[1]) / done if done > 0 else None

    def total(self, step: int) -> int:
        """The number of steps of the run, estimated where the clock decides."""
        if self.steps is not None:
            return self.steps
        return max(step, round(step / max(self.progress(step), 1e-3)))
