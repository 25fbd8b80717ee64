# SPDX-License-Identifier: GPL-3.0-or-later
"""What fixtures share: the real data, and the best of several runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..contract.capture import Capture
from ..contract.errors import UserError
from ..data.views import View, load_views
from ..formats.capture import read_capture

RUNS = 15


def capture(name: str) -> tuple[Capture, list[View]]:
    """A capture of the real data, with its training views.

    Raises:
        UserError: it is not there.
    """
    root = Path(os.environ.get("RECONSTRUCT_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    if not (root / name).is_dir():
        raise UserError(f"There is no real data {name} at {root}.", "Set RECONSTRUCT_DATA to its folder.")
    scene = read_capture(root / name)
    return scene, load_views(scene, "train")


def best(part: Callable[[], Any]) -> float:
    """The best seconds of several runs."""
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        part()
        times.append(time.perf_counter() - begin)
    return min(times)
