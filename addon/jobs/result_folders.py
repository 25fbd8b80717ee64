# SPDX-License-Identifier: GPL-3.0-or-later
"""Which folders a new result may be written to. Knows no bpy."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from ...engine.contract.errors import UserError
from ...engine.contract.result import CANCEL, EVENTS, LOG, RESULT
from ...engine.formats.transforms import TRANSFORMS
from ..core.journal import UNFINISHED
from . import process

# The engine's lock on a result.
_LOCK = "lock"
_LEFT = {LOG, EVENTS, CANCEL, _LOCK}


def check_result_folder(out: Path, overwrite: bool) -> None:
    """Refuses a folder that a new result cannot be written to.

    Args:
        out: folder of the result.
        overwrite: whether a result of ours that is there is replaced.

    Raises:
        UserError: it holds a capture, a result that is not to be replaced, or files of others.
    """
    if any((out / name).exists() for name in (TRANSFORMS, UNFINISHED)):
        raise UserError(f"{out} holds a capture, so no result is written there.", "Choose another folder for the result.", "exists")
    if (out / RESULT).exists() and not overwrite:
        raise UserError(f"{out} already holds a result.", "Choose another folder, continue that result, or replace it.", "exists")
    if holds_others(out) or (out / RESULT).exists() and not is_replaceable(out):
        raise UserError(f"{out} holds other files, so no result is written there.", "Choose another folder.", "exists")


def holds_others(folder: Path) -> bool:
    """Whether a folder holds anything, and nothing that tells that a training wrote it: no new result goes there."""
    try:
        if (folder / RESULT).exists() or (folder / EVENTS).exists():
            return False
        with os.scandir(folder) as items:
            return any(item.name not in (LOG, CANCEL, _LOCK) for item in items)
    except OSError:
        return False


def is_replaceable(folder: Path) -> bool:
    """Whether the result in a folder, readable or not, is one that the engine wrote."""
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
        if "schema" in json.loads((folder / RESULT).read_text(encoding="utf-8")):
            return True
    return process.has_events(folder)


def free_folder(folder: Path, name: str) -> Path:
    """A folder for a new result of pictures, ``name`` or with a number behind it.

    What a run of ours left that came to no result is no loss, so that its folder is free.
    """
    number = 1
    while True:
        out = folder / (name if number == 1 else f"{name}_{number}")
        if (
            (not out.exists() or out.is_dir() and _holds_only_leftovers(out))
            and not image_copy(out).exists()
            and not image_copy(out, "_mask").exists()
        ):
            return out
        number += 1


def _holds_only_leftovers(out: Path) -> bool:
    """Whether a folder is empty, or holds only what a run of the engine left; files of the user may have the same names."""
    names = {item.name for item in out.iterdir()}
    if not names:
        return True
    try:
        first = json.loads((out / EVENTS).read_text(encoding="utf-8").splitlines()[0])
    except (OSError, ValueError, IndexError):
        return False
    return names <= _LEFT and isinstance(first, dict) and "event" in first


def image_copy(out: Path, what: str = "") -> Path:
    """Where a picture that has no file is written, beside its result."""
    return out.with_name(f"{out.name}{what}.png")
