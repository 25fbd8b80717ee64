# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer per result: a lock of the operating system, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ..contract.errors import UserError

LOCK = "lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a result for this process. The file stays afterwards: deleting it would let two processes lock two files of one name.

    Raises:
        UserError: another process holds it.
    """
    try:
        held = FileLock(folder / LOCK).acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder} is in use by another process.", "Wait until it finishes, or cancel it.", "in_use") from None
    with held:
        yield
