# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits on the memory that a file may take, checked before the memory is allocated.

A file is anybody's: a few kilobytes may claim, or unpack to, more than the machine has.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from ..contract.errors import UserError

VARIABLE = "RECONSTRUCT_FILE_MEMORY"
TOO_LARGE = "too_large"
# Every file may take this much: small scenes made by programs pack far better than captured ones.
_FLOOR = 256 << 20
# Decoded arrays and their temporaries, next to the unpacked bytes that they come from.
_OVERHEAD = 8
# Share of the machine's memory that a file may take; the rest is for the system and other programs.
_MACHINE_SHARE = 0.75


def check_memory(file: Path, needed: int, plausible: int) -> None:
    """Refuses a file that takes more memory than one of its size can honestly need, or than the machine has.

    Args:
        file: named in the message.
        needed: peak memory of reading it, in bytes.
        plausible: the most bytes that its content can unpack to, for a file of this size that a program made of real data.

    Raises:
        UserError: it takes too much. The variable that raises the limit is named.
    """
    limit, of = max(_FLOOR, _OVERHEAD * plausible), "a file of its size may take"
    machine = int(machine_memory() * _MACHINE_SHARE)
    if machine < limit:
        limit, of = machine, "a file may take on this machine"
    if (chosen := _chosen()) is not None:
        limit, of = chosen, f"{VARIABLE} allows"
    if needed <= limit:
        return
    raise UserError(
        f"{file} would take {_gigabytes(needed)} of memory, more than the {_gigabytes(limit)} that {of}.",
        f"It is damaged or very large. If you trust it, set the environment variable {VARIABLE} to the gigabytes that it may take.",
        TOO_LARGE,
    )


def machine_memory() -> int:
    """Physical memory of this machine in bytes; where the system does not say, more than any file takes."""
    try:
        if os.name == "nt":
            status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
            if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
                return int(status.total)
        else:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        pass
    return 1 << 62


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of Windows; what follows the total is not used."""

    _fields_ = [("length", ctypes.c_uint32), ("load", ctypes.c_uint32), ("total", ctypes.c_uint64), ("rest", ctypes.c_uint64 * 6)]


def _chosen() -> int | None:
    """The limit that the user set, None where there is none or it is not a positive number."""
    try:
        limit = float(os.environ.get(VARIABLE, ""))
    except ValueError:
        return None
    return int(min(limit, 1e9) * 1e9) if limit > 0 else None


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size < 1e15 else f"{size / 1e9:.0e} GB"
