# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in the scene's folders, for panels that are drawn many times a second: a file is read again only when it changed."""

from __future__ import annotations

import json
from pathlib import Path

from ...engine.contract.errors import UserError
from ...engine.contract.result import RESULT, Result, read_result

_known: dict[Path, tuple[int, object]] = {}


def view_count(capture: Path) -> int:
    """How many views a capture of ours or nerfstudio's holds, 0 where there is none."""
    return _cached(capture / "transforms.json", _count_frames) or 0


def result_in(folder: Path) -> Result | None:
    """The result in a folder, None where there is none that can be read."""
    return _cached(folder / RESULT, _read)


def _cached(file: Path, read):
    try:
        changed = file.stat().st_mtime_ns
    except OSError:
        return None
    known = _known.get(file)
    if known is None or known[0] != changed:
        if len(_known) > 16:
            _known.clear()
        known = _known[file] = (changed, read(file))
    return known[1]


def _count_frames(file: Path) -> int:
    try:
        return len(json.loads(file.read_text(encoding="utf-8"))["frames"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _read(file: Path) -> Result | None:
    try:
        return read_result(file.parent)
    except UserError:
        return None
