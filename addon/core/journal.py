# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files in a capture's folder are ours, and which of an interrupted capture are complete.

While a capture is being made, its folder holds a file ``unfinished``, one JSON object a line: first what is captured, then the files that
are about to be written, and again, with their sizes, when they are complete. Only files named there, or in the transforms.json of a
capture of ours, are ever replaced or deleted.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.contract.errors import UserError
from ...engine.contract.result import replacing
from ...engine.formats.transforms import TRANSFORMS

IMAGES, DEPTH, ALBEDO, POINTS = "images", "depth", "albedo", "points.ply"
UNFINISHED = "unfinished"
_VERSION = 1
_OLD_HEAD = "A capture is being made here, or was broken off."
_FOLDERS = (IMAGES, DEPTH, ALBEDO)
_KEYS = ("file_path", "depth_file_path", "albedo_file_path")
_HINT = "Choose an empty folder."
# How the files of views begin and end.
_PNG, _PNG_END, _NPY = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82", b"\x93NUMPY"


@dataclass
class _Record:
    """What a file ``unfinished`` says: what was captured, values that were kept, files that were begun, and the sizes of complete ones."""

    key: Any = None
    kept: dict[str, Any] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)


class Journal:
    """The record of a capture that is being made. Made by :func:`open_journal`.

    Attributes:
        complete: files of an interrupted try that are kept, relative to the folder.
        kept: values of that try, see :meth:`keep`.
        discarded: whether there was one of other settings, or of another scene, whose files were deleted.
    """

    def __init__(self, folder: Path, complete: set[str], kept: dict[str, Any], discarded: bool):
        self._folder, self.complete, self.kept, self.discarded = folder, complete, kept, discarded

    def begin(self, names: Sequence[str]) -> None:
        """Notes that files are about to be written.

        Raises:
            UserError: one of them is there, and is not ours.
        """
        # Of a view that lost one of its files, the others are made again, too.
        _refuse_foreign(self._folder, set(names) - self.complete)
        self.complete -= set(names)
        self._append({"begin": list(names)})

    def end(self, names: Sequence[str]) -> None:
        """Notes that files are complete."""
        self._append({"end": _sizes(self._folder, names)})

    def keep(self, values: dict[str, Any]) -> None:
        """Keeps JSON values for the next try, should this one be interrupted."""
        self.kept |= values
        self._append({"keep": values})

    def finish(self) -> None:
        """Deletes the record, once transforms.json is there."""
        (self._folder / UNFINISHED).unlink()

    def _append(self, line: dict[str, Any]) -> None:
        with open(self._folder / UNFINISHED, "a", encoding="utf-8") as stream:
            stream.write(_line(line))


def open_journal(folder: Path, key: Any, names: Iterable[str], replace: bool) -> Journal:
    """Makes a folder ready for a capture, or refuses it: what is in it may be the user's.

    Args:
        folder: the capture's folder; it need not exist.
        key: what is captured, as JSON values. The files of an interrupted capture of the same key are kept, those of another are deleted.
        names: the files that will be written, relative to the folder.
        replace: whether a complete capture of ours is replaced.

    Raises:
        UserError: the folder holds a capture that is not to be replaced, or files that are not ours under names that are needed.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finished = (folder / TRANSFORMS).exists()
    if finished and not (replace and made_here(folder)):
        raise UserError(f"{folder} already holds a capture.", "Choose another folder, or delete it first.", "exists")
    record = _read_record(folder)
    # A file that changed its size was edited, and is the user's; but not what remains of one that was cut short.
    complete = {name for name, size in record.sizes.items() if _sizes(folder, [name]).get(name) == size}
    cut = {name for name, size in record.sizes.items() if _is_cut(folder / name, size)}
    owned = complete | cut | record.begun - record.sizes.keys()
    if finished:
        owned |= _listed(folder)
    kept = complete if record.key == key and not finished else set()
    if not owned and (taken := next((name for name in _FOLDERS if _holds_something(folder / name)), None)):
        raise UserError(f"{folder} already holds {taken}, and not from an unfinished capture.", _HINT, "exists")
    _refuse_foreign(folder, set(names) - owned)
    lines = [{"unfinished": _VERSION, "key": key}, {"begin": sorted(owned)}, {"end": _sizes(folder, sorted(kept))}]
    if kept:
        lines.append({"keep": record.kept})
    # From here on, even after a crash, these files are known to be ours.
    with replacing(folder / UNFINISHED) as part:
        part.write_text("".join(map(_line, lines)), encoding="utf-8")
    (folder / TRANSFORMS).unlink(missing_ok=True)
    for name in owned:
        if name not in kept:
            (folder / name).unlink(missing_ok=True)
        _delete_parts(folder / name)
    for name in _FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    return Journal(folder, kept, record.kept if kept else {}, bool(complete) and not kept and not finished)


def unwritable(folder: Path, error: OSError) -> UserError:
    """The error for a capture's folder that cannot be written."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return UserError(f"The disk is full: {folder} could not be written.", "Free some space, then capture again.", "disk_full")
    return UserError(f"The folder {folder} cannot be written: {error.strerror or error}.", "Choose another folder.")


def is_unfinished(folder: Path) -> bool:
    """Whether a folder holds a capture that was interrupted, or is still being made."""
    return (folder / UNFINISHED).is_file() and not (folder / TRANSFORMS).exists()


def made_here(folder: Path) -> bool:
    """Whether a complete capture that this add-on made lies in a folder."""
    try:
        return json.loads((folder / TRANSFORMS).read_text(encoding="utf-8")).get("source") == "blender"
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _read_record(folder: Path) -> _Record:
    """The record in a folder, empty where there is none.

    Raises:
        UserError: a file of that name is not one of ours.
    """
    file = folder / UNFINISHED
    if not file.exists():
        return _Record()
    head, *rest = file.read_text(encoding="utf-8", errors="replace").split("\n")
    try:
        first = json.loads(head or "null")
        record = _Record(first["key"]) if first["unfinished"] == _VERSION else None
    except (ValueError, KeyError, TypeError, RecursionError):
        # Version 0.1 wrote a sentence, which names no files.
        record = _Record() if head in ("", _OLD_HEAD) else None
    if record is None:
        raise UserError(f"{file} is not the record of an unfinished capture.", "Move it, or choose another folder.", "exists")
    for text in rest:
        # The last line of an interrupted capture may be cut short.
        with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
            line = json.loads(text)
            begun = _ours(line.get("begin", ()))
            record.begun |= begun
            for name in begun:
                # It is being made again.
                record.sizes.pop(name, None)
            record.sizes |= {name: line["end"][name] for name in _ours(line.get("end", ()))}
            record.kept |= line.get("keep", {})
    return record


def _listed(folder: Path) -> set[str]:
    """The files of a complete capture of ours."""
    table = json.loads((folder / TRANSFORMS).read_text(encoding="utf-8"))
    frames = [frame for frame in table.get("frames") or () if isinstance(frame, dict)]
    return _ours([table.get("ply_file_path"), *(frame.get(key) for frame in frames for key in _KEYS)])


def _ours(names: Iterable[Any]) -> set[str]:
    """Those of some names that a capture of ours can have written, which lie in its folders."""
    pattern = rf"{re.escape(POINTS)}|({'|'.join(_FOLDERS)})/[\w.-]*\w"
    return {name for name in names if isinstance(name, str) and re.fullmatch(pattern, name)}


def _refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    taken = next((name for name in sorted(names) if (folder / name).exists()), None)
    if taken is not None:
        raise UserError(f"{folder} already holds {taken}, and not from an unfinished capture.", _HINT, "exists")


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _sizes(folder: Path, names: Iterable[str]) -> dict[str, int]:
    return {name: (folder / name).stat().st_size for name in names if (folder / name).is_file()}


def _is_cut(file: Path, size: int) -> bool:
    """Whether a file is what remains of one of ours, of ``size`` bytes: it begins as that did, and is not complete."""
    try:
        held = file.read_bytes() if file.stat().st_size < size else None
    except OSError:
        return False
    if held is None:
        return False
    if file.suffix == ".png":
        return _PNG.startswith(held[: len(_PNG)]) and not held.endswith(_PNG_END)
    if not _NPY.startswith(held[: len(_NPY)]):
        return False
    try:
        np.load(io.BytesIO(held), allow_pickle=False)
    except (ValueError, EOFError):
        return True
    return False


def _delete_parts(file: Path) -> None:
    """Deletes what ``replacing`` leaves of a file when the process is killed."""
    for part in file.parent.glob(f".{glob.escape(file.name)}.*.part"):
        part.unlink(missing_ok=True)


def _line(values: dict[str, Any]) -> str:
    # Escaped, since names in old files need not be valid Unicode.
    return json.dumps(values) + "\n"
