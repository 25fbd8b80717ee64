# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors in words for a user."""

from __future__ import annotations

import errno
import sys
import traceback
from typing import TYPE_CHECKING, TextIO

from .contract.errors import UserError, lacks_memory

if TYPE_CHECKING:
    from .training.reporting import Reporter


def explain(error: BaseException) -> UserError | None:
    """An error in words for a user; None for the wish to stop."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return None
    if lacks_memory(error):
        hint = "Use smaller views, fewer gaussians or a smaller field, or close other programs."
        return UserError("There is not enough memory.", hint, "out_of_memory")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return UserError("The disk is full.", "Free some space, then resume.", "disk_full")
    if isinstance(error, PermissionError):
        return UserError(f"{error.filename} may not be read or written.", "Check its permissions.", "permission")
    if isinstance(error, OSError):
        return UserError(f"{error.filename or 'A file'}: {error.strerror or error}.", "Check the path.", "file")
    traceback.print_exception(error, file=sys.stderr)
    return UserError(f"The engine met a fault of its own: {error}.", "Please report it with the lines above.", "internal")


def tell(error: BaseException, reporter: Reporter | None, stream: TextIO | None) -> UserError | None:
    """Sends the event that a run failed.

    Args:
        error: why. reporter: the run's, None where it has none yet. stream: where events go for a program, None for a person.

    Returns:
        The error in words; None, and nothing is sent, for the wish to stop.
    """
    from .training.reporting import Reporter

    failure = explain(error)
    if failure is None:
        return None
    # A folder that is not ours to write (in use, already there) gets no event.
    say = reporter if reporter is not None and failure.code not in ("in_use", "exists") else Reporter(None, stream)
    words = {"code": failure.code, "message": failure.message, "hint": failure.hint}
    try:
        say("failed", **words)
    except OSError:
        # A full disk takes no event; whoever listens is told all the same.
        Reporter(None, stream)("failed", **words)
    return failure
