# SPDX-License-Identifier: GPL-3.0-or-later
"""The long stages, capture, training, proxies and voxels of pictures, as jobs: in this process, or in a child that is followed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import bpy

from ...engine.contract import alive, events
from ...engine.contract.errors import UserError
from ...engine.contract.events import Event
from ...engine.contract.result import CANCEL, EVENTS, LOG, RESULT, read_result
from ...engine.contract.schema import check
from ...engine.contract.settings import CaptureSettings, ProxySettings, TrainSettings
from ...engine.contract.voxels import VoxelSettings, check_pictures
from ...engine.formats.transforms import TRANSFORMS
from ..blender.capture.export import export_capture
from ..blender.scene_copy import copy_scene, missing_in_copy
from ..core import engine_command, private_folders
from ..core.job_state import JobState
from ..core.journal import unwritable
from . import process
from .process import JobProcess
from .result_folders import check_result_folder

# Follows the job file on the command line of scripts/batch.py: the file lies in a private folder, which the job owns and removes.
PRIVATE = "--private"
_BATCH = Path(__file__).resolve().parents[2] / "scripts" / "batch.py"


def capture_here(
    scene: bpy.types.Scene,
    folder: Path,
    settings: CaptureSettings,
    watch: Callable[[JobState], None] = lambda state: None,
    *,
    replace: bool = False,
) -> bool:
    """Captures in this process, and says so in the folder's events.jsonl as any job does.

    Args:
        scene: the scene; everything that is changed for the capture is put back.
        folder: receives the capture.
        settings: what is captured.
        watch: called with the state after every view.
        replace: also replace a complete capture that this add-on made.

    Returns:
        Whether the capture was finished; False where the file ``cancel`` ended it.

    Raises:
        UserError: the scene cannot be captured, or the folder cannot be written.
    """
    file, following = folder / EVENTS, _CaptureEvents(folder / EVENTS, watch)
    process.refuse_foreign(folder)
    if (other := process.attach(folder)) is not None and other.pid != os.getpid():
        raise UserError(f"A job already runs in {folder}.", "Wait for its end, or cancel it.", "in_use")
    made = [missing for missing in (folder, *folder.parents) if not missing.exists()]
    # A program that follows has its log there, and reads in the events what went wrong.
    empty = bool(made) or folder.is_dir() and not any(folder.iterdir())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pid = os.getpid()
        events.append(file, events.started(method="capture", capture=str(folder), pid=pid, pid_started=alive.started_at(pid)))
        cancel = folder / CANCEL
        export_capture(
            scene, folder, settings, replace=replace, progress=following.progress, cancelled=cancel.exists, report=following.report
        )
        finished = (folder / TRANSFORMS).exists()
        events.append(file, Event("done", {"seconds": following.seconds(), "cancelled": not finished}))
    except OSError as error:
        known = unwritable(folder, error)
        _append_failed(file, known)
        raise known from None
    except UserError as error:
        _append_failed(file, error)
        raise
    except Exception as error:
        _append_failed(file, UserError(f"The capture met a fault of its own: {error}", f"See {folder / LOG}.", "internal"))
        raise
    finally:
        if empty:
            _remove_refused(folder, made)
    return finished


class _CaptureEvents:
    """Writes how a capture goes into a file of events, and keeps its state for who watches it."""

    def __init__(self, file: Path, watch: Callable[[JobState], None]):
        self._file, self._watch, self._state = file, watch, JobState(stage="capture")
        self._begin, self._first = time.time(), None

    def seconds(self) -> float:
        """Since it began."""
        return time.time() - self._begin

    def progress(self, step: int, steps: int) -> None:
        """Some of the views are finished."""
        state = self._state
        # Views that an interrupted capture left took no time.
        if self._first is None:
            self._first = step
        state.step, state.steps, state.seconds = step, steps, self.seconds()
        state.eta_seconds = state.seconds / (step - self._first) * (steps - step) if step > self._first else None
        values = {name: getattr(state, name) for name in ("stage", "step", "steps", "seconds", "eta_seconds")}
        events.append(self._file, Event("progress", values))
        self._watch(state)

    def report(self, kind: str, message: str) -> None:
        """A note or a warning for the user."""
        if kind == "note":
            self._state.note = message
        else:
            self._state.warnings.append(message)
        events.append(self._file, Event(kind, {"message": message}))
        self._watch(self._state)


def start_capture(scene: bpy.types.Scene, folder: Path, settings: CaptureSettings, *, replace: bool = False) -> JobProcess:
    """Starts a background Blender that captures a scene from a copy of the open file, so that the user can keep working.

    Args:
        scene: the scene to capture.
        folder: receives the capture.
        settings: what is captured.
        replace: also replace a complete capture that this add-on made.

    Raises:
        UserError: the copy cannot be saved, or the folder cannot be written.
    """
    private_folders.sweep()
    file = copy_scene(scene, folder, settings, replace)
    try:
        job = process.start([*_background_blender(), "--", str(file), PRIVATE], folder, cwd=folder, clear_events=True)
    except BaseException:
        private_folders.remove(file.parent)
        raise
    with contextlib.suppress(OSError):
        # The job itself does so as well, as soon as it runs.
        private_folders.own(file.parent, job.pid)
    if missing := missing_in_copy():
        job.state.warnings.append(missing)
    return job


def _background_blender() -> list[str]:
    if not bpy.app.binary_path:
        # The bpy module in a Python of its own.
        return [sys.executable, str(_BATCH)]
    return [bpy.app.binary_path, "--background", "--python-exit-code", "1", "--python", str(_BATCH)]


def start_training(
    capture: Path, out: Path, settings: TrainSettings, *, chosen_python: str = "", overwrite: bool = False, resume: bool = False
) -> JobProcess:
    """Starts the engine on a capture.

    Args:
        capture: folder of the capture.
        out: folder of the result.
        settings: what is trained; with ``resume`` only its budget counts, of which the steps are further ones.
        chosen_python: the engine's Python of the preferences.
        overwrite: replace a result that is there.
        resume: go on with the result that is there.

    Raises:
        UserError: no engine, no capture, or a result or a capture in the way.
    """
    python = engine_command.interpreter(chosen_python)
    if resume:
        done = read_result(out).step
        if settings.steps is not None:
            # The engine counts the steps from the first.
            settings = dataclasses.replace(settings, steps=settings.steps + done)
        return process.start_engine(engine_command.resume_command(python, out, settings), out)
    if not capture.is_dir():
        raise UserError(f"There is no capture in {capture}.", "Capture the scene first, or choose a capture.")
    inner = capture.resolve()
    if out.resolve() in (inner, *inner.parents):
        raise UserError(f"{out} holds a capture, so no result is written there.", "Choose another folder for the result.", "exists")
    check_result_folder(out, overwrite)
    # What a run left that ended before its result was begun is no loss.
    overwrite = overwrite or (out / EVENTS).exists()
    command = engine_command.train_command(python, capture, out, settings, overwrite=overwrite)
    return process.start_engine(command, out, clear_events=overwrite)


def start_proxy(result: Path, settings: ProxySettings, *, chosen_python: str = "") -> JobProcess:
    """Starts the engine on a result, which receives a light mesh that stands for it; one that it has is replaced.

    Raises:
        UserError: no engine, or no result.
    """
    read_result(result)
    return process.start_engine(engine_command.proxy_command(engine_command.interpreter(chosen_python), result, settings), result)


def start_voxels(
    pictures: Sequence[Path],
    out: Path,
    settings: VoxelSettings,
    *,
    masks: Sequence[Path] = (),
    chosen_python: str = "",
    overwrite: bool = False,
) -> JobProcess:
    """Starts the engine on pictures of one object.

    Args:
        pictures: what is recognized. out: folder of the result. settings: with lengths in meters. masks: one a picture, or none.
        chosen_python: the engine's Python of the preferences. overwrite: replace a result that is there.

    Raises:
        UserError: no engine, no pictures or too many, a picture that is not there, or a result in the way.
    """
    check_pictures(len(pictures))
    check(settings)
    check_images([*pictures, *masks])
    python = engine_command.interpreter(chosen_python)
    check_result_folder(out, overwrite)
    command = engine_command.voxels_command(python, pictures, out, settings, masks=masks, overwrite=(out / RESULT).exists())
    return process.start_engine(command, out, clear_events=True)


def check_images(files: Sequence[Path]) -> None:
    """Refuses image files that do not exist.

    Raises:
        UserError: names the first one.
    """
    for file in files:
        if not file.is_file():
            raise UserError(f"There is no picture {file}.", "Choose a PNG or JPEG picture.")


def _remove_refused(folder: Path, made: Sequence[Path]) -> None:
    """Removes a folder's events where it holds nothing else, because what they tell of was refused, and the folders made for it."""
    with contextlib.suppress(OSError):
        if [item.name for item in folder.iterdir()] == [EVENTS]:
            (folder / EVENTS).unlink()
            for each in made:
                each.rmdir()


def _append_failed(file: Path, error: UserError) -> None:
    # A full disk takes no event either; the error itself is what counts.
    with contextlib.suppress(OSError):
        events.append(file, Event("failed", {"code": error.code, "message": error.message, "hint": error.hint}))
