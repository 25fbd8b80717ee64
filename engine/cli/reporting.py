# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that report their progress, to a person or as events to a program."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO, TypeVar

from ..runs.errors import explain
from ..runs.reporter import Reporter

T = TypeVar("T")
_events: TextIO | None = None


def keep_stdout_for_events() -> None:
    """From now on only events reach stdout: what libraries print goes to stderr, at the level of file descriptors."""
    global _events
    _events = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr


@contextlib.contextmanager
def progress_bar() -> Iterator[Reporter]:
    """A reporter for a person."""
    reporter = Reporter(None, None)
    try:
        yield reporter
    finally:
        reporter.close()


def run_reported(events: bool, job: Callable[[Reporter], T], last_line: Callable[[T], str]) -> int:
    """Runs a job.

    Args:
        events: whether events go to stdout for a program, instead of a progress bar and a last line for a person.
        job: starts to write events into its result once it may. last_line: says how it went, given what it returned.

    Returns:
        The exit code. An error is reported as the event ``failed``.
    """
    reporter = Reporter(None, (_events or sys.stdout) if events else None)
    try:
        made = job(reporter)
    except BaseException as error:
        failure = explain(error)
        if failure is None:
            raise
        reporter("failed", code=failure.code, message=failure.message, hint=failure.hint)
        return 1
    finally:
        reporter.close()
    if not events:
        # The terminal may be closed.
        with contextlib.suppress(OSError):
            print(last_line(made), flush=True)
    return 0
