# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files jobs wrote, so that a later run may replace its own and no others.

A list in the user's data folder holds path, size and time of each. A file that changed since is the user's. Of a file that only Blender
itself can put in its place, the list also says when that began, so that a job that is killed before it can note the file can be run again.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from ...engine.contract.result import replacing
from .data_folder import data_folder

# What Blender saves within this time (ns) after a job began to is the job's, if the job could not note it any more.
_SAVING = 10_000_000_000


def expect(file: Path) -> None:
    """Notes that a file is about to be saved; :func:`remember` then notes that it was."""
    _note(file, [*_state_left(file), time.time_ns()])


def remember(file: Path, written_to: Path) -> None:
    """Notes a file that a job wrote. Where the note cannot be kept, the file counts as the user's.

    Args:
        file: the file.
        written_to: where it is now, if it is still to be moved there.
    """
    # One that is there already stays ours until then.
    _note(file, [*(_state(written_to) or ()), *(_state_left(file) if written_to != file else ())])


def is_ours(file: Path) -> bool:
    """Whether a job wrote a file that nothing changed since, or was killed when it had just done so."""
    state, known = _state(file), _known(file)
    return is_unchanged(file) or state is not None and len(known) % 2 == 1 and 0 <= state[1] - known[-1] <= _SAVING


def is_unchanged(file: Path) -> bool:
    """Whether a job wrote a file, and it is known that nothing changed it since."""
    return bool(_state_left(file))


def _note(file: Path, numbers: list[int]) -> None:
    with contextlib.suppress(OSError):
        written = {path: known for path, known in _read().items() if len(known) % 2 or _state(Path(path)) in _pairs(known)}
        written[str(file.resolve())] = numbers
        _list().parent.mkdir(parents=True, exist_ok=True)
        with replacing(_list()) as temporary:
            temporary.write_text(json.dumps(written, indent=1), encoding="utf-8")


def _state_left(file: Path) -> list[int]:
    """The state of a file if it is one that a job left it in, else nothing."""
    state = _state(file)
    return state if state is not None and state in _pairs(_known(file)) else []


def _known(file: Path) -> list[int]:
    """What is noted of a file: sizes and times that a job left it with, and, of one that was being saved, when that began."""
    return _read().get(str(file.resolve()), [])


def _pairs(known: list[int]) -> list[list[int]]:
    return [known[index : index + 2] for index in range(0, len(known) - 1, 2)]


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
    if not isinstance(written, dict):
        return {}
    return {path: state for path, state in written.items() if isinstance(state, list) and all(isinstance(part, int) for part in state)}


def _list() -> Path:
    return data_folder() / "outputs.json"
