# SPDX-License-Identifier: GPL-3.0-or-later
"""Private folders of jobs, in the user's data folder.

A folder holds what only one job needs, and a file that names its owner. The owner removes it; where the owner died first, the next
:func:`sweep` does.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ...engine.contract import alive
from .data_folder import data_folder

_OWNER, _FILES = "owner.json", "files"


def new_folder() -> Path:
    """Makes a private folder, owned by this process.

    Raises:
        OSError: the data folder cannot be written.
    """
    base().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="job-", dir=base()))
    own(folder, os.getpid())
    return folder


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """An empty folder in a private one, for the time of a block; in the system's temporary folder where the data folder cannot be written.

    Unlike those that ``tempfile`` makes, it is removed by a later job where this process is killed.
    """
    sweep()
    try:
        folder = new_folder()
    except OSError:
        with tempfile.TemporaryDirectory(prefix="reconstruct-") as other:
            yield Path(other)
        return
    try:
        (folder / _FILES).mkdir()
        yield folder / _FILES
    finally:
        remove(folder)


def own(folder: Path, pid: int) -> None:
    """Makes a process the owner of a private folder.

    Raises:
        OSError: the folder is gone, or cannot be written.
    """
    temporary = folder / f"{_OWNER}.{os.getpid()}"
    temporary.write_text(json.dumps({"pid": pid, "created": alive.started_at(pid)}), encoding="utf-8")
    os.replace(temporary, folder / _OWNER)


def is_private(folder: Path) -> bool:
    """Whether a folder is one that :func:`new_folder` made."""
    return folder.resolve().parent == base().resolve() and (folder / _OWNER).is_file()


def remove(folder: Path) -> None:
    """Removes a private folder, and no other; what cannot be removed now is left to a later :func:`sweep`."""
    if not is_private(folder):
        return
    with contextlib.suppress(OSError):
        for item in folder.iterdir():
            # The mark goes last, so that an interrupted removal is finished later.
            if item.name != _OWNER:
                shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
        (folder / _OWNER).unlink()
        folder.rmdir()


def sweep() -> None:
    """Removes the private folders whose owner is gone."""
    try:
        folders = list(base().iterdir())
    except OSError:
        return
    for folder in folders:
        try:
            owner = json.loads((folder / _OWNER).read_text(encoding="utf-8"))
            gone = not alive.is_same(int(owner["pid"]), float(owner["created"]))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            gone = True
        if gone:
            remove(folder)


def base() -> Path:
    """Where private folders are made."""
    return data_folder() / "jobs"
