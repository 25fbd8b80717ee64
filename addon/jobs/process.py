# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, follow, cancel and find again a process that writes events into a folder. Knows no bpy.

The folder is the truth: a job is followed in the same way by who started it and by a Blender that was opened later.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...engine.contract import alive
from ...engine.contract.errors import UserError
from ...engine.contract.events import Event, parse, read_new
from ...engine.contract.result import CANCEL, EVENTS, LOG
from ..core.engine_command import engine_environment
from ..core.job_state import JobState, as_number

# What log.txt begins with, so that it is known for ours.
_LOG_HEADER = b"Output of a job of Reconstruct.\n"


class JobProcess:
    """A process followed through its folder. Made by :func:`start` or :func:`attach`."""

    def __init__(self, folder: Path, child: subprocess.Popen | None = None, pid: int = 0, offset: int = 0, log_offset: int = 0):
        self.folder = folder
        self.state = JobState()
        self.pid = child.pid if child else pid
        self._child = child
        self._started = 0.0 if child else alive.started_at(pid) or 0.0
        self._killed = False
        self._offset = offset
        self._log_offset = log_offset

    def poll(self) -> list[Event]:
        """Reads what is new and brings ``state`` up to date; milliseconds, never waits.

        Returns:
            The new events. A process that ended without a last word gives a failed state.
        """
        if self.state.ended:
            return []
        # Looked at before reading: what a process wrote last is there once it is gone.
        running = self.is_alive()
        events, self._offset = read_new(self.folder / EVENTS, self._offset)
        for event in events:
            self.state.take(event, self.folder)
        if not running and not self.state.ended:
            self._died()
        return events

    def is_alive(self) -> bool:
        """Whether the process runs."""
        if self._child is not None:
            return self._child.poll() is None
        return alive.is_same(self.pid, self._started)

    def cancel(self) -> None:
        """Asks the process to end its step, save and stop. It is still to be followed to its end."""
        (self.folder / CANCEL).touch()

    def kill(self) -> None:
        """Ends the process at once, with those that it started. What it saved last stays."""
        if not self.is_alive():
            return
        self._killed = True
        if os.name == "nt":
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(self.pid)], capture_output=True, check=False)
        else:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                # Who was started from a shell need not lead a group.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(self.pid, signal.SIGKILL)
        if self._child is not None:
            self._child.wait()

    def wait(self, watch: Callable[[JobState], None] = lambda state: None, interval: float = 0.2) -> JobState:
        """Follows to the end, for where no timers fire.

        Args:
            watch: called with the state after every look.
            interval: seconds between looks.
        """
        try:
            while True:
                self.poll()
                watch(self.state)
                if self.state.ended:
                    return self.state
                time.sleep(interval)
        except KeyboardInterrupt:
            self.cancel()
            raise

    def _died(self) -> None:
        """The process ended without a last event: its exit code and the end of its log are all that is known."""
        if self._killed:
            self.state.status = "stopped"
            return
        code = self._child.returncode if self._child is not None else None
        log, said = self.folder / LOG, ""
        with contextlib.suppress(OSError), open(log, "rb") as stream:
            stream.seek(max(self._log_offset, os.fstat(stream.fileno()).st_size - 4000))
            lines = stream.read().decode("utf-8", errors="replace").splitlines()
            said = next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
        if code == 2 and said:
            # Refused arguments: the line is our own plain sentence.
            self.state.fail(said, f"See {log}.", "refused")
            return
        how = "" if code is None else f" (exit code {code})" if code >= 0 else f" (signal {-code})"
        # Linux ends processes so when memory runs out.
        memory = "Memory may have run out. " if code == -9 else ""
        self.state.fail(f"The job stopped unexpectedly{how}.", f"{memory}{f'Its last line was: {said} ' if said else ''}See {log}.", "died")


def start(
    command: Sequence[str | os.PathLike],
    folder: Path,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    clear_events: bool = False,
) -> JobProcess:
    """Starts a process that writes its events into ``folder``; it outlives this one.

    Args:
        command: the program and its arguments.
        folder: made where it is missing; output goes to log.txt in it.
        cwd: working folder of the process.
        environment: its variables; None passes on our own.
        clear_events: remove the events of an earlier run first; otherwise new events are appended.

    Raises:
        UserError: another job runs in the folder, the folder cannot be written or holds files of others under the names of a job's, or
            the program cannot be started.
    """
    try:
        if attach(folder) is not None:
            raise UserError(f"A job already runs in {folder}.", "Wait for its end, or cancel it.", "in_use")
        refuse_foreign(folder)
        folder.mkdir(parents=True, exist_ok=True)
        clear_cancel(folder)
        if clear_events:
            (folder / EVENTS).unlink(missing_ok=True)
        log = open(folder / LOG, "ab")
        if not log.tell():
            log.write(_LOG_HEADER)
            log.flush()
    except OSError as error:
        raise _unwritable(folder, error) from None
    events = folder / EVENTS
    with log:
        apart = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
            if os.name == "nt"
            else {"start_new_session": True}
        )
        offset, log_offset = events.stat().st_size if events.exists() else 0, log.tell()
        try:
            child = subprocess.Popen(
                [os.fspath(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=cwd, env=environment, close_fds=True, **apart,
            )  # fmt: skip
        except OSError as error:
            raise UserError(f"{command[0]} cannot be started: {error.strerror}.", "Check the engine in the add-on's preferences.") from None
    return JobProcess(folder, child, offset=offset, log_offset=log_offset)


def start_engine(command: list[str], folder: Path, *, clear_events: bool = False) -> JobProcess:
    """Starts the engine; see :func:`start`."""
    return start(command, folder, cwd=folder, environment=engine_environment(), clear_events=clear_events)


def refuse_foreign(folder: Path) -> None:
    """Refuses a folder in which another program made files under the names of a job's: they would be overwritten.

    Raises:
        UserError: names the file.
    """
    first, log = _first_line(folder / EVENTS), _first_line(folder / LOG)
    foreign = {
        EVENTS: bool(first) and not has_events(folder),
        # Logs of version 0.1 have no header.
        LOG: first is None and bool(log) and log != _LOG_HEADER,
        CANCEL: bool(_first_line(folder / CANCEL)),
    }
    for name, is_foreign in foreign.items():
        if is_foreign:
            raise UserError(f"{folder / name} was not made by Reconstruct.", "Choose another folder.", "exists")


def has_events(folder: Path) -> bool:
    """Whether a job wrote its events into a folder."""
    return parse((_first_line(folder / EVENTS) or b"").decode("utf-8", errors="replace")) is not None


def clear_cancel(folder: Path) -> None:
    """Removes the request to cancel that an earlier job was given.

    Raises:
        UserError: the file is not ours, or cannot be removed.
    """
    refuse_foreign(folder)
    try:
        (folder / CANCEL).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"The folder {folder} cannot be written: {error.strerror}.", "Choose another folder.")


def _first_line(file: Path) -> bytes | None:
    try:
        with open(file, "rb") as stream:
            return stream.readline(1 << 20)
    except IsADirectoryError:
        return b"a folder"
    except OSError:
        # Whoever writes there says what is wrong.
        return None


def attach(folder: Path) -> JobProcess | None:
    """Finds a job that somebody else started and that still runs.

    Args:
        folder: the job's folder.

    Returns:
        The job, None where none runs there.
    """
    events, offset = read_new(folder / EVENTS)
    begin = next((index for index in range(len(events) - 1, -1, -1) if events[index].kind == "started"), None)
    if begin is None or any(event.kind in ("done", "failed") for event in events[begin:]):
        return None
    values = events[begin].values
    pid, started = as_number(values.get("pid"), int), as_number(values.get("pid_started"), float)
    if pid is None or not alive.is_same(pid, started or events[begin].time):
        return None
    job = JobProcess(folder, pid=pid, offset=offset)
    for event in events[begin:]:
        job.state.take(event, folder)
    return job
