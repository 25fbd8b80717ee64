# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors in words for a user."""

from __future__ import annotations

import contextlib
import sys
import traceback

from ..contract.errors import UserError, is_full_disk, lacks_memory

# Codes of errors that are not of what the user gave.
FAILURES = ("disk_full", "file", "in_use", "internal", "out_of_memory", "permission")

# Path.resolve raises no OSError for it before Python 3.13.
_LINK_LOOP = "Symlink loop from"


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
    if isinstance(error, RuntimeError) and str(error).startswith(_LINK_LOOP):
        path = str(error).removeprefix(_LINK_LOOP).strip(" '")
        return UserError(f"{path} is a link that leads back to itself.", "Choose another path.", "file")
    if isinstance(error, OSError):
        return UserError(f"{error.filename or 'A file'}: {error.strerror or error}.", "Check the path.", "file")
    with contextlib.suppress(OSError):
        traceback.print_exception(error, file=sys.stderr)
    return UserError(f"The engine met a fault of its own: {error}.", "Please report it with the lines above.", "internal")
