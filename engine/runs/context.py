# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on a result that is there already: its folder, its progress, and how it is cancelled."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import devices
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.events import started
from ..contract.result import Result
from ..contract.voxels import METHOD as VOXELS
from ..formats.capture import read_capture
from ..kernels import compiling, use_threads
from .cancel import Cancelled
from .process import identity
from .reporter import Reporter
from .result_folder import ResultFolder, opened


@dataclass
class Work:
    """One such piece of work."""

    held: ResultFolder
    report: Reporter
    workers: int
    begin: float
    cancelled: bool = False

    @property
    def folder(self) -> Path:
        """The result's folder."""
        return self.held.path

    @property
    def result(self) -> Result:
        """What the folder's result.json says."""
        return self.held.result or self.held.old

    def begin_writing(self) -> None:
        """Precedes the first file that is written, of those that were claimed."""
        if self.held.result is None:
            self.held.begin(self.held.old)

    def compile(self) -> None:
        """Compiles the kernels where that was not done yet; input is checked before, because it takes minutes."""
        if not compiling.is_compiled():
            before = time.monotonic()
            compiling.compile_all(self.stage("compile"))
            self.begin += time.monotonic() - before

    def seconds(self) -> float:
        """Since the work began."""
        return time.monotonic() - self.begin

    def stage(self, name: str) -> Callable[[int, int], None]:
        """A function that says how far a stage is, and ends the work where the user wants that."""
        begin, last = time.monotonic(), 0.0

        def say(done: int, steps: int) -> None:
            nonlocal last
            if self.held.asked_to_end():
                raise Cancelled
            now = time.monotonic()
            if now - last < 0.2 and done < steps:
                return
            last = now
            left = (now - begin) / done * (steps - done) if done else None
            self.report("progress", stage=name, step=done, steps=steps, seconds=self.seconds(), eta_seconds=left)

        return say

    def capture(self) -> Capture:
        """The capture that the result was made from.

        Raises:
            UserError: it is not there any more, or damaged.
        """
        folder = Path(self.result.capture)
        if self.result.method == VOXELS:
            raise UserError(f"{self.folder} is of voxels, which are a closed mesh already.", "Import it as it is.", "of_voxels")
        if not folder.exists():
            message = f"The capture {folder}, which {self.folder} was made from, is not there any more."
            raise UserError(message, "Put it back there.", "no_capture")
        found = read_capture(folder)
        for warning in found.warnings:
            self.report("warning", message=warning)
        return found

    def made(self, kind: str, path: str, result: Result) -> None:
        """Lists a file that is complete, and reports it."""
        self.held.made(kind, path, result)


@contextlib.contextmanager
def working(folder: Path, task: str, report: Reporter, threads: int) -> Iterator[Work]:
    """Holds a result for work on it, surface or proxy. A wish to end it ends the block, and is no error.

    Raises:
        UserError: there is no result, or another process works on it.
    """
    with opened(folder, report) as held:
        workers = devices.threads(threads)
        use_threads(workers)
        work = Work(held, report, workers, time.monotonic())
        result = work.result
        first = started(task=task, method=result.method, device=result.device, capture=result.capture, **identity())
        report(first.kind, **first.values)
        try:
            yield work
        except Cancelled:
            work.cancelled = True
        if held.result is not None:
            held.end(held.result)
        report("done", seconds=work.seconds(), cancelled=work.cancelled)
