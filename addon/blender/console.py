# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender itself prints: held back while it renders without a window, so that our own lines can be read."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

import bpy


def flush() -> None:
    """Writes out what Blender's own code still holds back, so that it does not follow our next line into a pipe."""
    sys.stdout.flush()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None).fflush(None)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops what is printed to stdout, a line for every sample of a render. Errors go to stderr, and stay; so does all in a window."""
    if not bpy.app.background:
        yield
        return
    flush()
    # Blender prints from C, so the file descriptor is what has to change.
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        flush()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
