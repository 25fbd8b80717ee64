# SPDX-License-Identifier: GPL-3.0-or-later
"""Cancelling a running command."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from ..contract.result import CANCEL


class Cancelled(Exception):
    """The user wants the run to end."""


class CancelToken:
    """Whether somebody asked the run to end: by the empty file ``cancel``, or by a signal. A second signal ends the process at once."""

    def __init__(self, file: Path):
        self.file, self.signalled = file, False

    @property
    def requested(self) -> bool:
        """Whether the run should finish its step, save, and end."""
        return self.signalled or is_request(self.file)

    def on_signal(self, number: int, frame: object) -> None:
        if self.signalled:
            raise KeyboardInterrupt
        self.signalled = True


def is_request(file: Path) -> bool:
    """Whether a file asks to cancel. One that holds something is a user's own."""
    try:
        return file.is_file() and not file.stat().st_size
    except OSError:
        return False


@contextlib.contextmanager
def cancel_token(folder: Path) -> Iterator[CancelToken]:
    """Listens to requests to cancel what works on a result, while the block runs."""
    token = CancelToken(folder / CANCEL)
    # A request from before this process is not meant for it; one from its first seconds, while libraries load, is.
    with contextlib.suppress(FileNotFoundError):
        if is_request(token.file) and token.file.stat().st_mtime < psutil.Process().create_time() - 2:
            token.file.unlink()
    # A closed terminal sends SIGHUP. Windows has no SIGTERM of use; its console sends SIGBREAK.
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    # A signal that the parent process had ignored stays ignored: nohup ignores SIGHUP.
    old = {number: signal.signal(number, token.on_signal) for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)}
    try:
        yield token
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        if is_request(token.file):
            token.file.unlink(missing_ok=True)
