# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about a job, and how it is said."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ...engine.contract.errors import UserError
from ...engine.contract.events import STAGES, Event
from ...engine.contract.result import EVENTS, inside
from ...engine.contract.schema import check_version


@dataclass(frozen=True)
class JobWords:
    """A running job in words; what is not known is empty."""

    stage: str
    steps: str
    time_left: str
    loss: str
    psnr: str
    gaussians: str

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """The known measures, each with its name."""
        rows = [("Loss", self.loss), ("PSNR", self.psnr), ("Gaussians", self.gaussians)]
        return [(name, value) for name, value in rows if value]

    @property
    def line(self) -> str:
        """All of it in one line."""
        return "   ".join(filter(None, [self.stage, self.steps, self.time_left, *map(" ".join, self.numbers)]))


@dataclass
class JobState:
    """What is known about a job, folded from its events. Numbers that are not known are None; times are seconds."""

    # Cancelled jobs saved and ended by themselves; stopped ones were ended at once.
    status: Literal["running", "done", "cancelled", "stopped", "failed"] = "running"
    # What is made of a result that is there, surface or proxy; a training and a capture say nothing.
    task: str = ""
    stage: str = "start"
    step: int | None = None
    steps: int | None = None
    seconds: float | None = None
    eta_seconds: float | None = None
    loss: float | None = None
    psnr: float | None = None
    count: int | None = None
    preview: Path | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    note: str = ""
    warnings: list[str] = field(default_factory=list)
    message: str = ""
    hint: str = ""
    code: str = ""

    @property
    def ended(self) -> bool:
        """Whether the job says, or is known, to be over."""
        return self.status != "running"

    @property
    def fraction(self) -> float | None:
        """Share of the steps that is done, 0 to 1."""
        return min(1.0, self.step / self.steps) if self.steps and self.step is not None else None

    def take(self, event: Event, folder: Path) -> None:
        """Brings the state up to date with an event; ``folder`` is the job's."""
        values = event.values
        if event.kind == "started":
            self.task = str(values.get("task", ""))
            try:
                check_version(values.get("schema"), "The running job")
            except UserError as error:
                self.fail(error.message, error.hint, error.code)
        elif event.kind == "progress":
            self.stage = str(values.get("stage", self.stage))
            for name in ("step", "steps", "count"):
                setattr(self, name, as_number(values.get(name), int))
            for name in ("seconds", "eta_seconds", "loss", "psnr"):
                setattr(self, name, as_number(values.get(name), float))
        elif event.kind == "preview":
            with contextlib.suppress(UserError, TypeError, AttributeError):
                self.preview = inside(folder, values.get("path"), EVENTS)
        elif event.kind == "metric":
            number = as_number(values.get("value"), float)
            if number is not None:
                self.metrics[str(values.get("name"))] = number
        elif event.kind == "note":
            self.note = str(values.get("message", ""))
        elif event.kind == "warning":
            self.warnings.append(str(values.get("message", "")))
        elif event.kind == "failed":
            self.fail(str(values.get("message", "The job failed.")), str(values.get("hint", "")), str(values.get("code", "")))
        elif event.kind == "done":
            self.status = "cancelled" if values.get("cancelled") else "done"
            seconds = as_number(values.get("seconds"), float)
            self.seconds = self.seconds if seconds is None else seconds

    def fail(self, message: str, hint: str, code: str) -> None:
        """The job failed."""
        self.status, self.message, self.hint, self.code = "failed", message, hint, code

    def in_words(self) -> JobWords:
        """What is known, as panels and the console say it."""
        return JobWords(
            stage=STAGES.get(self.stage, self.stage.capitalize()),
            steps=f"{self.step} of {self.steps}" if self.steps and self.step is not None else "",
            time_left="" if self.eta_seconds is None else f"About {duration(self.eta_seconds)} left",
            loss="" if self.loss is None else f"{self.loss:.4f}",
            psnr="" if self.psnr is None else f"{self.psnr:.1f} dB",
            gaussians="" if self.count is None else f"{self.count:,}",
        )


def duration(seconds: float) -> str:
    """Seconds in words a person reads at a glance: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def as_number(value: Any, kind: type) -> Any:
    """A number of an event; None where it is none that is finite."""
    return kind(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) else None
