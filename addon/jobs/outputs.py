# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files jobs wrote, so that a later run may replace its own and no others. Pure module: no bpy.

A list in the user's data folder holds path, size and time of each. A file that changed since is the user's.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from ...engine.contract.result import replacing
from .engine import data_folder


def remember(file: Path, written_to: Path) -> None:
    """Notes a file that a job wrote. Where the note cannot be kept, the file counts as the user's.

    Args:
        file: the file.
        written_to: where it is now, if it is still to be moved there.
    """
    with contextlib.suppress(OSError):
        written = {path: state for path, state in _read().items() if _state(Path(path)) == state}
        written[str(file.resolve())] = _state(written_to)
        _list().parent.mkdir(parents=True, exist_ok=True)
        with replacing(_list()) as temporary:
            temporary.write_text(json.dumps(written, indent=1), encoding="utf-8")


def is_ours(file: Path) -> bool:
    """Whether a job wrote a file that nothing changed since."""
    state = _state(file)
    return state is not None and _read().get(str(file.resolve())) == state


def _state(file: Path) -> list[int] | None:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns]


def _read() -> dict[str, list[int]]:
    try:
        written = json.loads(_list().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return written if isinstance(written, dict) else {}


def _list() -> Path:
    return data_folder() / "outputs.json"
