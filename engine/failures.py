# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors in words for a user, and commands that report how they go and end."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from . import output
from .contract.errors import UserError, is_full_disk, lacks_memory

if TYPE_CHECKING:
    from .training.reporting import Reporter

T = TypeVar("T")
# Codes of errors that are not of what the user gave.
FAILURES = ("disk_full", "file", "in_use", "internal", "out_of_memory", "permission")


def explain(error: BaseException) -> UserError | None:
    """An error in words for a user; None for the wish to stop."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return None
    if lacks_memory(error):
        hint = "Use smaller views, fewer gaussians or a smaller field, or close other programs."
        return UserError("There is not enough memory.", hint, "out_of_memory")
    if is_full_disk(error):
        which = f": {error.filename} could not be written" if error.filename else ""
        return UserError(f"The disk is full{which}.", "Free some space, then try again.", "disk_full")
    if isinstance(error, PermissionError):
        return UserError(f"{error.filename} may not be read or written.", "Check its permissions.", "permission")
    if isinstance(error, OSError):
        return UserError(f"{error.filename or 'A file'}: {error.strerror or error}.", "Check the path.", "file")
    with contextlib.suppress(OSError):
        traceback.print_exception(error, file=sys.stderr)
    return UserError(f"The engine met a fault of its own: {error}.", "Please report it with the lines above.", "internal")


def reported(events: bool, work: Callable[[Reporter], T], last_line: Callable[[T], str]) -> int:
    """Runs a command that reports its progress.

    Args:
        events: whether events go to stdout for a program, instead of a progress bar and a last line for a person.
        work: the command; it names the file of the events once it may write there. last_line: of what it returned, for a person.

    Returns:
        The exit code. An error is reported as the event ``failed``.
    """
    from .training.reporting import Reporter

    reporter = Reporter(None, output.stream() if events else None)
    try:
        made = work(reporter)
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
