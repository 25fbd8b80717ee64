# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a result while a job works on it: result.json, and which of the other files this program wrote.

No file is replaced or deleted that this program did not write. What a command may write is listed under ``files`` in result.json before it
is written, so that also a command that was killed leaves no doubt.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..contract.errors import UserError
from ..contract.events import parse
from ..contract.methods import METHODS
from ..contract.result import (
    BINVOX,
    BLOCKS,
    CANCEL,
    CHECKPOINT,
    EVENTS,
    LOG,
    MESH,
    METRICS,
    POINTS,
    PREVIEWS,
    PROXY,
    RESULT,
    SMOOTH,
    VOXELS,
    WEIGHTS,
    Result,
    read_result,
    replacing,
    write_result,
)
from ..images.png import is_ours, write_png
from .cancel import is_request
from .lock import LOCK

_NAMES = {
    *(CHECKPOINT, METRICS, MESH, PROXY, WEIGHTS, VOXELS, BINVOX, BLOCKS, SMOOTH, POINTS),
    *(name for method in METHODS.values() for name in method.artifacts),
}
# Temporary files of contract/result.replacing, which a killed process leaves behind.
_PART = re.compile(r"\.(.+)\.\d+\.part")
_PREVIEW = re.compile(r"\d{7,}\.png")
# How a damaged result.json begins, and the lock: it is empty, but for that of earlier versions and of file systems without locks.
_RESULT_START, _LOCK_START = re.compile(rb'\s*{\s*"schema"'), re.compile(rb'$|{"pid"|\d+\s')


class ResultFolder:
    """A result that this process holds.

    ``old`` is what result.json said, None for a new result. ``result`` is what it says since :meth:`begin`, None before. ``ended`` is
    whether it was written for the last time.
    """

    def __init__(self, path: Path, old: Result | None):
        self.path, self.old, self.ended = path, old, False
        self.result: Result | None = None
        self._files: set[str] = set()
        self._events_begin = (path / EVENTS).stat().st_size if (path / EVENTS).is_file() else 0

    def claim(self, *names: str) -> None:
        """States what the command may write, before it computes anything.

        Raises:
            UserError: a file of such a name is there that this program did not write (code ``foreign``).
        """
        refuse_foreign(self.path, names)
        if (self.path / PREVIEWS).exists() and not (self.path / PREVIEWS).is_dir():
            raise _foreign(self.path / PREVIEWS)
        self._files |= set(names)

    def begin(self, result: Result) -> None:
        """Ends the time in which a refusal leaves everything as it was: removes the result that is replaced, and writes this one."""
        kept = set()
        if self.old is None:
            self._clear()
        else:
            kept = _ours(self.path) - {RESULT, EVENTS}
        self.write(replace(result, files=tuple(sorted(kept | self._files))))

    def write(self, result: Result) -> None:
        """Writes result.json."""
        if self.result is not None:
            result = replace(result, files=self.result.files)
        write_result(self.path, result)
        self.result = result

    def end(self, result: Result) -> Result:
        """Writes result.json for the last time, without names that nothing was written to. Returns the result."""
        files = tuple(name for name in self.result.files if (self.path / name).is_file())
        self.result = replace(self.result, files=files)
        self.write(result)
        self.ended = True
        return self.result

    def stop(self, status: Literal["cancelled", "failed"]) -> None:
        """States how a training of this process ended before its end. Best effort: nothing may be writable."""
        if self.result is not None and (self.result.status, self.result.pid) == ("running", os.getpid()):
            with contextlib.suppress(OSError, UserError):
                self.write(replace(self.result, status=status))

    def add(self, kind: str, path: str, result: Result) -> Result:
        """Lists a file that is complete."""
        assert path in self.result.files, f"{path} was not claimed"
        self.write(result.with_artifact(kind, path))
        return self.result

    def write_preview(self, path: str, image: np.ndarray) -> None:
        """Writes [3, H, W] sRGB, 0 to 1, as a preview, unless the user has a file of that name."""
        file = self.path / path
        if not file.exists() or _is_preview(file):
            write_png(file, image)

    def _clear(self) -> None:
        """Removes what an earlier run wrote, except result.json, which lists it; of its events those that are not of this run."""
        for name in _ours(self.path) - {RESULT, EVENTS}:
            (self.path / name).unlink(missing_ok=True)
        for preview in _previews(self.path):
            preview.unlink(missing_ok=True)
        if self._events_begin:
            content = (self.path / EVENTS).read_bytes()
            with replacing(self.path / EVENTS) as temporary:
                temporary.write_bytes(content[self._events_begin :])
            self._events_begin = 0


def check_new(path: Path, overwrite: bool) -> None:
    """Refuses a folder that a new result must not be written to."""
    if not path.exists() or path.is_dir() and _holds_nothing(path):
        return
    if not path.is_dir():
        raise UserError(f"{path} is a file.", "Choose a folder for the result.", "foreign")
    if not _ours(path) & {RESULT, EVENTS}:
        raise UserError(f"{path} holds other files, but no result.", "Choose an empty or a new folder.", "foreign")
    if not overwrite:
        raise UserError(
            f"{path} already holds a result.", "Choose another folder, continue it (--resume), or replace it (--overwrite).", "exists"
        )


def _holds_nothing(path: Path) -> bool:
    """Whether nothing in a folder is worth keeping: at most what followers of a run put there, and what a run left that saved nothing."""
    passing = {LOG} | (_ours(path) & {EVENTS, RESULT})
    previews = _previews(path)
    if all(item in previews or _is_part(item) for item in (path / PREVIEWS).glob("*")):
        passing.add(PREVIEWS)
    if RESULT in passing:
        try:
            if read_result(path).artifacts:
                return False
        except UserError:
            return False
    return all(
        item.name in passing or _is_lock(item) or _is_part(item) or item.name == CANCEL and is_request(item) for item in path.iterdir()
    )


def _ours(path: Path) -> set[str]:
    """The names of the files in a result's folder that this program wrote, but for previews."""
    ours = set()
    with contextlib.suppress(OSError), open(path / EVENTS, "rb") as stream:
        line = stream.readline(1_000_000)
        if not line or parse(line.decode("utf-8", errors="replace")) is not None:
            ours.add(EVENTS)
    with contextlib.suppress(OSError):
        content = (path / RESULT).read_bytes()
        # Also of a later version: by the names in its text.
        if _is_result(content):
            ours.add(RESULT)
            ours |= {name for name in _NAMES if json.dumps(name).encode() in content}
            if b'"files"' not in content:
                ours.add(CHECKPOINT)
    # A link is the user's, whatever it leads to.
    return {name for name in ours if (path / name).is_file() and not (path / name).is_symlink()}


def _is_result(content: bytes) -> bool:
    """Whether this is what a result.json of this program holds, whoever has formatted it since; of a damaged one its beginning tells."""
    try:
        table = json.loads(content)
    except (ValueError, RecursionError):
        return _RESULT_START.match(content) is not None
    return isinstance(table, dict) and "schema" in table


def refuse_foreign(path: Path, names: tuple[str, ...]) -> None:
    ours = _ours(path)
    for name in names:
        if os.path.lexists(path / name) and not (name in ours or _is_lock(path / name)):
            raise _foreign(path / name)


def _foreign(file: Path) -> UserError:
    return UserError(f"{file} was not written by Reconstruct.", "Move it out of the folder, or choose another folder.", "foreign")


def _is_lock(file: Path) -> bool:
    if file.name != LOCK or not file.is_file():
        return False
    try:
        content = file.read_bytes()[:100]
    except PermissionError:
        # Windows lets nobody read what another process has locked.
        return True
    return _LOCK_START.match(content) is not None


def _is_part(item: Path) -> bool:
    found = _PART.fullmatch(item.name)
    return found is not None and (found[1] in (RESULT, *_NAMES) or _PREVIEW.fullmatch(found[1]) is not None) and item.is_file()


def _previews(path: Path) -> set[Path]:
    """The previews in a result's folder that this program wrote, which say so inside."""
    return {item for item in (path / PREVIEWS).glob("*.png") if _is_preview(item)}


def _is_preview(item: Path) -> bool:
    return _PREVIEW.fullmatch(item.name) is not None and is_ours(item)


def remove_parts(path: Path) -> None:
    for item in (*path.glob(".*.part"), *(path / PREVIEWS).glob(".*.part")):
        if _is_part(item):
            item.unlink(missing_ok=True)


def make_folder(path: Path) -> list[Path]:
    """Makes a folder. Returns it and the folders above it that had to be made, the innermost first."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"The folder {path} cannot be made: {reason}.", "Choose another folder.", "unwritable") from None
    return missing


def remove_folder(path: Path, made: list[Path]) -> None:
    """Removes what a result that was never begun left in its folder, which was empty before, and folders that were made for it."""
    for name in (EVENTS, LOCK):
        with contextlib.suppress(OSError):
            (path / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for folder in made:
            folder.rmdir()
