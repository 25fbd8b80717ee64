# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in the scene's folders, for panels and buttons that are drawn often: a file is read again only when it changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...engine.contract.errors import UserError
from ...engine.contract.result import RESULT, Result, read_result
from ...engine.formats.transforms import TRANSFORMS

_MAX_FILES = 64
# The time and size of each file when it was read, and what was read.
_known: dict[Path, tuple[tuple[int, int], Any]] = {}


def view_count(capture: Path) -> int:
    """How many views a capture of ours or nerfstudio's holds, 0 where there is none."""
    return _capture_in(capture)[1]


def is_own_capture(folder: Path) -> bool:
    """Whether a folder holds a complete capture that this add-on made."""
    return _capture_in(folder)[0] == "blender"


def result_in(folder: Path) -> Result | None:
    """The result in a folder, None where there is none that can be read."""
    found = _cached(folder / RESULT, _read_result)
    return found if isinstance(found, Result) else None


def result_error(folder: Path) -> UserError | None:
    """Why the result in a folder cannot be read, None where it can or there is none."""
    found = _cached(folder / RESULT, _read_result)
    return found if isinstance(found, UserError) else None


def folder_error(folder: Path) -> str:
    """Why a folder of ours or of the user cannot be looked into, "" where it can or there is none."""
    try:
        (folder / TRANSFORMS).stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return ""
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror or error}. Choose another folder, or check its permissions"
    return ""


def is_folder(folder: Path) -> bool:
    """Whether there is a folder that can be looked into."""
    return os.path.isdir(folder) and not folder_error(folder)


def _capture_in(folder: Path) -> tuple[str, int]:
    return _cached(folder / TRANSFORMS, _read_capture) or ("", 0)


def _cached(file: Path, read: Callable[[Path], Any]) -> Any:
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError:
        # The reader says why.
        return read(file)
    state = found.st_mtime_ns, found.st_size
    known = _known.get(file)
    if known is None or known[0] != state:
        if len(_known) >= _MAX_FILES:
            _known.clear()
        known = _known[file] = (state, read(file))
    return known[1]


def _read_capture(file: Path) -> tuple[str, int]:
    """Its source and number of views."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        return str(table.get("source", "")), len(table["frames"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", 0


def _read_result(file: Path) -> Result | UserError:
    try:
        return read_result(file.parent)
    except UserError as error:
        return error
