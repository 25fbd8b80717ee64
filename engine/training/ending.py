# SPDX-License-Identifier: GPL-3.0-or-later
"""How a user ends what works on a result."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from ..contract.result import CANCEL


class Cancelled(Exception):
    """The user wants the run to end."""


class EndRequest:
    """Whether somebody asked the run to end: by the file ``cancel``, or by a signal. A second signal ends the process at once."""

    def __init__(self, file: Path):
        self.file, self.signalled = file, False

    def __call__(self) -> bool:
        return self.signalled or self.file.exists()

    def on_signal(self, number: int, frame: object) -> None:
        if self.signalled:
            raise KeyboardInterrupt
        self.signalled = True


@contextlib.contextmanager
def end_requests(folder: Path) -> Iterator[EndRequest]:
    """Listens, while the block runs, for the wish to end what works on a result."""
    request = EndRequest(folder / CANCEL)
    # A request from before this process is not meant for it; one from its first seconds, while libraries load, is.
    with contextlib.suppress(FileNotFoundError):
        if request.file.stat().st_mtime < psutil.Process().create_time() - 2:
            request.file.unlink()
    # Windows has no SIGTERM of use; its console sends SIGBREAK.
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    old = {number: signal.signal(number, request.on_signal) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        request.file.unlink(missing_ok=True)
