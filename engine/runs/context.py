# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell that every job runs in: the result's folder and its lock, cancelling, the clock, events, and how the job ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from .. import __version__
from ..contract.errors import UserError
from ..contract.events import started
from ..contract.result import EVENTS, RESULT, Result, read_result
from ..contract.schema import to_mapping
from ..kernels import compiling
from .budget import Clock
from .cancel import Cancelled, CancelToken, cancel_token
from .lock import LOCK, locked
from .process import identity
from .reporter import Reporter, stage_progress
from .result_folder import ResultFolder, check_new, make_folder, refuse_foreign, remove_folder, remove_parts


class RunContext:
    """What a job needs while it works on a result; made by :func:`run_context`.

    ``cancelled`` is whether the job ended before it was finished, because the user asked for it.
    """

    def __init__(self, folder: ResultFolder, report: Reporter, cancel: CancelToken):
        self.folder, self.report, self.cancel = folder, report, cancel
        self.clock = Clock(psutil.Process().create_time())
        self.cancelled = False
        self._started = self._full_disk_reported = False

    @property
    def path(self) -> Path:
        """The result's folder."""
        return self.folder.path

    @property
    def result(self) -> Result | None:
        """What result.json says; None for a new result that has not begun."""
        return self.folder.result or self.folder.old

    def new_result(self, method: str, source: Path, settings: Any, device: str) -> Result:
        """The result that this process is about to write, or continues. It is not written yet.

        Args:
            source: the capture, the training data or the image that it is made from. settings: the dataclass of the job.
        """
        return replace(
            self.folder.old or Result("running", method, str(source)),
            status="running",
            settings=to_mapping(settings),
            device=device,
            versions={"reconstruct": __version__, **{name: version(name) for name in ("torch", "numba", "numpy")}},
            **identity(),
        )

    def start(self, result: Result, **facts: Any) -> None:
        """Reports that the job has started."""
        event = started(method=result.method, device=result.device, capture=result.capture, **facts, **identity())
        self.report(event.kind, **event.values)
        self._started = True

    def stage(self, name: str) -> Callable[[int, int], None]:
        """A function that reports how far a stage is (done, total), and raises Cancelled where the user asked for it."""
        progress = stage_progress(self.report, name, self.clock.seconds)

        def step(done: int, total: int) -> None:
            self.check_cancelled()
            progress(done, total)

        return step

    def check_cancelled(self) -> None:
        """Raises Cancelled where the user asked for it."""
        if self.cancel.requested:
            raise Cancelled

    def compile_kernels(self) -> None:
        """Compiles the kernels once a machine, which does not count as time of the run. Check all input before: it takes minutes."""
        if not compiling.is_compiled():
            with self.clock.paused():
                compiling.compile_all(self.stage("compile"))

    def begin_writing(self) -> None:
        """Precedes the first file of a job that adds to a result."""
        if self.folder.result is None:
            self.folder.begin(self.folder.old)

    def made(self, kind: str, path: str, result: Result) -> Result:
        """Lists a file that is complete in result.json, and reports it."""
        result = self.folder.add(kind, path, result)
        self.report("artifact", kind=kind, path=path)
        return result

    @contextlib.contextmanager
    def tolerate_full_disk(self, consequence: str) -> Iterator[None]:
        """Continues after a full disk, where a run can do without what the block writes. It is reported once.

        Args:
            consequence: what that means, a sentence.
        """
        try:
            yield
        except UserError as error:
            if error.code != "disk_full":
                raise
            if not self._full_disk_reported:
                self.report("warning", message=f"{error.message} {consequence}")
            self._full_disk_reported = True

    def finish(self) -> None:
        """Writes result.json for the last time where something was written, and reports the end."""
        if self.folder.result is not None and not self.folder.ended:
            self.folder.end(self.folder.result)
        if self._started:
            self.report("done", seconds=self.clock.seconds(), cancelled=self.cancelled)

    def fail(self, error: BaseException) -> None:
        """States in result.json how the job ended. A second signal, which does not wait for the end of a step, is a cancel."""
        interrupted = isinstance(error, KeyboardInterrupt)
        self.folder.stop("cancelled" if interrupted else "failed")
        if interrupted and self._started:
            self.report("done", seconds=self.clock.seconds(), cancelled=True)


@contextlib.contextmanager
def run_context(path: Path, report: Reporter, *, new: bool = False, overwrite: bool = False, events: bool = True) -> Iterator[RunContext]:
    """Holds a result for a job. Cancelling ends the block, and is no error. An error before :meth:`ResultFolder.begin` leaves nothing of a
    folder that was made for the result, and nothing in one that was empty; one that holds at least the log of a program that follows the
    job keeps the events for it.

    Args:
        path: the result's folder. report: of the job.
        new: a new result is written, into a folder that is missing, empty, or holds what a failed run left.
        overwrite: with ``new``, also into one that holds a result, which is replaced.
        events: whether events are appended to the result's events.jsonl.

    Raises:
        UserError: there is no result (with ``new``: there is one, code ``exists``, or there are files of others, ``foreign``), another
            process holds it (``in_use``), or the folder cannot be made.
    """
    missing: list[Path] = []
    empty = False
    if new:
        check_new(path, overwrite)
        missing = make_folder(path)
        empty = not any(path.iterdir())
    context: RunContext | None = None
    try:
        old = None if new else read_result(path)
        refuse_foreign(path, (LOCK, EVENTS, RESULT))
        with locked(path), cancel_token(path) as cancel:
            if new:
                # Another process may have been here since.
                check_new(path, overwrite)
            remove_parts(path)
            context = RunContext(ResultFolder(path, old), report, cancel)
            if events:
                report.file = path / EVENTS
            try:
                yield context
            except Cancelled:
                context.cancelled = True
            except BaseException as error:
                context.fail(error)
                raise
            context.finish()
    finally:
        if empty and (context is None or context.folder.result is None):
            remove_folder(path, missing)
            report.file = None
