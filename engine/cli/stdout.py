# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdout for a program that reads events, kept clean of what libraries print."""

from __future__ import annotations

import os
import sys
from typing import TextIO

_stream: TextIO | None = None


def keep_clean() -> None:
    """From now on only :func:`stream` reaches stdout: what libraries print goes to stderr, at the level of file descriptors."""
    global _stream
    _stream = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr


def stream() -> TextIO:
    """Where events go."""
    return _stream if _stream is not None else sys.stdout
