# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a process that another program started still runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether a process of this id runs; one that ended and was not yet collected by its parent does not."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        return _windows_start(pid) is not None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    fields = _linux_fields(pid)
    return not fields or fields[0] not in "ZX"


def is_same(pid: int, seen: float) -> bool:
    """Whether the process that had this id at time ``seen``, or started then, still runs.

    Ids are reused, soon after a restart of the machine; a process that started later is another one.

    Args:
        pid: the process.
        seen: seconds since the epoch.
    """
    start = started_at(pid)
    # Starts are kept in ticks or whole seconds, and the clock may have been set since.
    return start is not None and start <= seen + 2.0


def writer_runs(file: Path, pid: int, started: float) -> bool:
    """Whether the process that a file names as its writer still runs.

    Args:
        file: the file, whose time counts where ``started`` is not known.
        pid: the process.
        started: when it started, seconds since the epoch; 0 = unknown.
    """
    try:
        return is_same(pid, started or file.stat().st_mtime)
    except OSError:
        return False


def started_at(pid: int) -> float | None:
    """When a process started, in seconds since the epoch; None where there is no such process."""
    if not is_alive(pid):
        return None
    if sys.platform == "win32":
        return _windows_start(pid)
    fields = _linux_fields(pid)
    if fields:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return _posix_start(pid)


def _linux_fields(pid: int) -> list[str]:
    """What Linux tells about a process, from its state on; empty elsewhere."""
    try:
        # The name in brackets may hold spaces and brackets itself.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _posix_start(pid: int) -> float | None:
    answer = subprocess.run(["ps", "-o", "etime=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    try:
        days, _, clock = answer.strip().rpartition("-")
        seconds = 0
        for part in clock.split(":"):
            seconds = seconds * 60 + int(part)
        return time.time() - seconds - 86400 * int(days or 0)
    except ValueError:
        return None


def _windows_start(pid: int) -> float | None:
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = wintypes.HANDLE
    kernel.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
    kernel.GetExitCodeProcess.argtypes = (wintypes.HANDLE, ctypes.POINTER(wintypes.DWORD))
    kernel.GetProcessTimes.argtypes = (wintypes.HANDLE, *[ctypes.POINTER(wintypes.FILETIME)] * 4)
    kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    query_limited_information, still_active = 0x1000, 259
    handle = kernel.OpenProcess(query_limited_information, False, pid)
    if not handle:
        return None
    try:
        code = wintypes.DWORD()
        times = [wintypes.FILETIME() for _ in range(4)]
        if not kernel.GetExitCodeProcess(handle, ctypes.byref(code)) or code.value != still_active:
            return None
        if not kernel.GetProcessTimes(handle, *map(ctypes.byref, times)):
            return None
        ticks = times[0].dwHighDateTime << 32 | times[0].dwLowDateTime
        return ticks / 1e7 - 11_644_473_600
    finally:
        kernel.CloseHandle(handle)
