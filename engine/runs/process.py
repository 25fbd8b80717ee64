# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process this is, for files that others read later: process ids are reused, above all after a restart of the machine."""

from __future__ import annotations

import os

import psutil


def identity() -> dict[str, float]:
    """The id of this process and when it started (seconds since the epoch), as events and results hold them."""
    return {"pid": os.getpid(), "pid_started": psutil.Process().create_time()}
