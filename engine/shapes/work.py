# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on a result that is there already: who may do it, what is said meanwhile, and how it is ended."""

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
from ..contract.result import Result, read_result, write_result
from ..contract.voxels import METHOD as VOXELS
from ..formats.capture import read_capture
from ..kernels import compiling, use_threads
from ..processes import identity
from ..training.ending import Cancelled, EndRequest, end_requests
from ..training.lock import locked
from ..training.reporting import Reporter


@dataclass
class Work:
    """One such piece of work. ``result`` is what the folder's result.json says."""

    folder: Path
    result: Result
    report: Reporter
    workers: int
    asked_to_end: EndRequest
    begin: float
    cancelled: bool = False

    def seconds(self) -> float:
        """Since the work began."""
        return time.monotonic() - self.begin

    def stage(self, name: str) -> Callable[[int, int], None]:
        """A function that says how far a stage is, and ends the work where the user wants that."""
        begin, last = time.monotonic(), 0.0

        def say(done: int, steps: int) -> None:
            nonlocal last
            if self.asked_to_end():
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
            raise UserError(f"{self.folder} is of voxels, which are a closed mesh already.", "Import it as it is.")
        if not folder.is_dir():
            raise UserError(f"The capture {folder}, which {self.folder} was made from, is not there any more.", "Put it back there.")
        found = read_capture(folder)
        for warning in found.warnings:
            self.report("warning", message=warning)
        return found

    def made(self, kind: str, path: str, result: Result) -> None:
        """Lists a file that is whole, and says so."""
        self.result = result.with_artifact(kind, path)
        write_result(self.folder, self.result)
        self.report("artifact", kind=kind, path=path)


@contextlib.contextmanager
def working(folder: Path, task: str, report: Reporter, threads: int) -> Iterator[Work]:
    """Holds a result for work on it, surface or proxy. A wish to end it ends the block, and is no error.

    Raises:
        UserError: there is no result, or another process works on it.
    """
    result = read_result(folder)
    with locked(folder), end_requests(folder) as asked_to_end:
        workers = devices.threads(threads)
        use_threads(workers)
        work = Work(folder, result, report, workers, asked_to_end, time.monotonic())
        first = started(task=task, method=result.method, device=result.device, capture=result.capture, **identity())
        report(first.kind, **first.values)
        try:
            if not compiling.is_compiled():
                compiling.compile_all(work.stage("compile"))
                work.begin = time.monotonic()
            yield work
        except Cancelled:
            work.cancelled = True
        report("done", seconds=work.seconds(), cancelled=work.cancelled)
