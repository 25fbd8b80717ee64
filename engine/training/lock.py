# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer a result: a file with the process's id and start time, because ids are used again."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from ..contract.errors import UserError

LOCK = "lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a result for this process.

    Raises:
        UserError: another live process holds it.
    """
    file = folder / LOCK
    mine = json.dumps({"pid": os.getpid(), "created": psutil.Process().create_time()})
    for _ in range(2):
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            break
        except FileExistsError:
            if _holder_lives(file):
                raise UserError(f"{folder} is in use by another process.", "Wait for it, or cancel it.", "in_use") from None
            file.unlink(missing_ok=True)
    else:
        raise UserError(f"{folder} is in use by another process.", "Wait for it, or cancel it.", "in_use")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(mine)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if file.read_text(encoding="utf-8") == mine:
                file.unlink()


def _holder_lives(file: Path) -> bool:
    try:
        holder = json.loads(file.read_text(encoding="utf-8"))
        return abs(psutil.Process(int(holder["pid"])).create_time() - float(holder["created"])) < 1.0
    except (ValueError, KeyError, TypeError):
        # Its holder may be between making and filling it.
        with contextlib.suppress(OSError):
            return time.time() - file.stat().st_mtime < 5
        return False
    except (OSError, psutil.Error):
        return False
