# SPDX-License-Identifier: GPL-3.0-or-later
"""Where events go: always to the result's file; to stdout for a program that asked for them; to a progress bar for a person."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..contract.events import STAGES, Event, append

# Shortest interval between two events of progress, seconds.
_INTERVAL = 0.2


class Reporter:
    """Sends events on.

    Args:
        file: events.jsonl; None where there is no result.
        stream: receives every event as a line of JSON, for a program; None shows a progress bar instead. Neither has to be writable.
    """

    def __init__(self, file: Path | None, stream: TextIO | None):
        self.file, self.stream = file, stream
        self._console = Console(file=sys.stderr, highlight=False)
        self._progress: Progress | None = None
        self._stage = ""

    def __call__(self, event_kind: str, /, **values: Any) -> None:
        """Sends an event of a kind."""
        event = Event(event_kind, values)  # type: ignore[arg-type]
        # A full disk, a closed terminal and a program that no longer listens are no reason to lose what is computed.
        with contextlib.suppress(OSError):
            if self.file is not None:
                append(self.file, event)
        with contextlib.suppress(OSError):
            if self.stream is not None:
                self.stream.write(event.line())
                self.stream.flush()
            else:
                self._show(event)

    def close(self) -> None:
        """Ends the progress bar."""
        progress, self._progress = self._progress, None
        if progress is not None:
            with contextlib.suppress(OSError):
                progress.stop()

    def _show(self, event: Event) -> None:
        values = event.values
        if event.kind == "progress":
            self._bar(values)
        elif event.kind in ("note", "warning"):
            self._say(values["message"], "yellow" if event.kind == "warning" else "")
        elif event.kind == "failed":
            self.close()
            self._say(f"{values['message']} {values.get('hint', '')}".strip(), "red")
        elif event.kind in ("started", "done"):
            if event.kind == "done" and not values.get("cancelled"):
                self._fill()
            self.close()

    def _say(self, text: str, style: str) -> None:
        # Whole, not wrapped: a path that is cut in two cannot be copied. Without markup: a path may hold brackets.
        self._console.print(text, style=style, soft_wrap=True, markup=False)

    def _fill(self) -> None:
        """Shows the end of a stage. What reports it says only what it begins with, or not every step."""
        if self._progress is not None:
            self._progress.update(self._task, completed=self._progress.tasks[0].total)

    def _bar(self, values: dict[str, Any]) -> None:
        if self._stage != values["stage"] or self._progress is None:
            self._fill()
            self.close()
            self._stage = values["stage"]
            columns = [TextColumn(STAGES.get(self._stage, self._stage)), BarColumn(), TextColumn("{task.completed}/{task.total}")]
            self._progress = Progress(
                *columns, TimeElapsedColumn(), TextColumn("{task.fields[facts]}"), console=self._console, transient=False
            )
            self._task = self._progress.add_task("", total=None, facts="")
            self._progress.start()
        facts = []
        if values.get("eta_seconds") is not None:
            facts.append(f"{values['eta_seconds']:.0f} s left")
        if values.get("loss") is not None:
            facts.append(f"loss {values['loss']:.4f}")
        if values.get("psnr") is not None:
            facts.append(f"{values['psnr']:.2f} dB")
        if values.get("count") is not None:
            facts.append(f"{values['count']} gaussians")
        self._progress.update(self._task, completed=values["step"], total=values["steps"], facts="  ".join(facts))


def stage_progress(report: Reporter, stage: str, seconds: Callable[[], float] | None = None) -> Callable[[int, int], None]:
    """A function that reports how far a stage is, given how much of how much is done.

    Args:
        seconds: since the job began; None counts from now.
    """
    begin, last = time.monotonic(), 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _INTERVAL and done < total:
            return
        last = now
        left = (now - begin) / done * (total - done) if done else None
        spent = now - begin if seconds is None else seconds()
        report("progress", stage=stage, step=done, steps=total, seconds=spent, eta_seconds=left)

    return progress
