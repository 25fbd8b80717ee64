# SPDX-License-Identifier: GPL-3.0-or-later
"""The job that Blender follows now: on its timers in a window, and shown on ``WindowManager.reconstruct``.

One job at a time, because two would share the processor. The panels read only the properties.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy

from ...engine.contract.errors import UserError
from ..blender.scene_folders import absolute, is_of_this_file, own_capture, own_result, result_folder
from ..core import private_folders
from ..core.job_state import JobState
from . import process
from .process import JobProcess

INTERVAL = 0.3
_LARGEST = 2**31 - 1
_MAX_WARNINGS = 3

_job: JobProcess | None = None
_kind = ""
_after: Callable[[JobState], None] | None = None


def current() -> JobProcess | None:
    """The job that runs now, None where none does."""
    return _job if _job is not None and not _job.state.ended else None


def follow(job: JobProcess, kind: str, after: Callable[[JobState], None] | None = None) -> None:
    """Follows a job from Blender's timers, which fire only where there is a window.

    Args:
        job: the job.
        kind: ``capture``, ``train``, ``proxy`` or ``voxels``.
        after: called once with the state at its end.
    """
    global _job, _kind, _after
    refuse_second()
    _job, _kind, _after = job, kind, after
    forget()
    bpy.context.window_manager.reconstruct.kind = kind
    _show(job)
    if not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=INTERVAL, persistent=True)


def refuse_second() -> None:
    """Refuses where a job already runs.

    Raises:
        UserError: one does.
    """
    if (job := current()) is not None:
        raise UserError(f"A job already runs in {job.folder}.", "Wait for its end, or cancel it.", "in_use")


def cancel() -> None:
    """Asks the current job to stop; asked again, ends its process at once."""
    job = current()
    if job is None:
        return
    shown = bpy.context.window_manager.reconstruct
    if shown.cancelling:
        job.kill()
    else:
        job.cancel()
        shown.cancelling = True
    redraw()


def forget() -> None:
    """Shows no job in the panels."""
    shown = bpy.context.window_manager.reconstruct
    for name in shown.bl_rna.properties.keys():
        if name not in ("rna_type", "name", "engine", "engine_ok"):
            shown.property_unset(name)


def find_running(first: bpy.types.Scene) -> None:
    """Follows the job that an earlier Blender left running in a folder of one of the file's scenes; one that is followed is shown again.

    Args:
        first: the scene whose folders are looked at first.
    """
    if (job := current()) is not None:
        # Opening a file empties the window manager's properties.
        bpy.context.window_manager.reconstruct.kind = _kind
        _show(job)
        return
    looked: set[Path] = set()
    for scene in (first, *bpy.data.scenes):
        for kind, folder in _job_folders(scene):
            if folder in looked:
                continue
            looked.add(folder)
            job = None
            # The panels say why a folder cannot be read.
            with contextlib.suppress(OSError):
                job = process.attach(folder)
            if job is not None:
                follow(job, "proxy" if job.state.task else kind, _name_voxels(folder) if kind == "voxels" else None)
                return


def _job_folders(scene: bpy.types.Scene) -> Iterator[tuple[str, Path]]:
    """The folders that a job of a scene may run in, each with the kind of that job."""
    yield "train", own_result(scene)
    yield "capture", own_capture(scene)
    if (chosen := scene.reconstruct.voxels.out).strip():
        # Each result from pictures has a folder of its own in the chosen one.
        with contextlib.suppress(OSError):
            yield from (("voxels", folder) for folder in sorted(absolute(chosen, scene).iterdir()) if folder.is_dir())
    yield "proxy", result_folder(scene)


def _name_voxels(folder: Path) -> Callable[[JobState], None]:
    """Says at a job's end where the voxels are: the Blender that would have imported them is closed."""

    def ended(state: JobState) -> None:
        if state.status == "done":
            bpy.context.window_manager.reconstruct.warning = f"Import the result from {folder} in step 3."
            redraw()

    return ended


def show_after_load() -> None:
    """Shows the panels of another file without the end of a job that was not its own, and looks for one that runs."""
    shown = bpy.context.window_manager.reconstruct
    if shown.folder and not is_of_this_file(Path(shown.folder)):
        forget()
    find_running(bpy.context.scene)


def redraw() -> None:
    """Has the sidebars and the preferences drawn again; the view beside them may be costly and stays as it is."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if (area.type, region.type) in (("VIEW_3D", "UI"), ("PREFERENCES", "WINDOW")):
                    region.tag_redraw()


def _tick() -> float | None:
    global _job, _after
    job, after = _job, _after
    if job is None:
        return None
    try:
        news = job.poll()
    except OSError:
        # A network folder may be away for a moment.
        return INTERVAL
    if news or job.state.ended:
        _show(job)
        redraw()
    if not job.state.ended:
        return INTERVAL
    _job = _after = None
    private_folders.sweep()
    if after is not None:
        after(job.state)
    return None


def _show(job: JobProcess) -> None:
    shown, state = bpy.context.window_manager.reconstruct, job.state
    shown.status, shown.stage, shown.folder = state.status, state.stage, str(job.folder)
    for name, value in (("step", state.step), ("steps", state.steps), ("count", state.count)):
        setattr(shown, name, -1 if value is None else min(value, _LARGEST))
    for name, value in (("seconds", state.seconds), ("eta", state.eta_seconds), ("loss", state.loss), ("psnr", state.psnr)):
        setattr(shown, name, -1.0 if value is None else value)
    shown.preview = str(state.preview or "")
    shown.message, shown.hint, shown.note = state.message, state.hint, state.note
    shown.warning = "\n".join(dict.fromkeys(state.warnings[-_MAX_WARNINGS:]))


def shown_state() -> JobState:
    """What the panels show of the job, as :func:`_show` kept it in their properties."""
    shown = bpy.context.window_manager.reconstruct
    numbers = {"step": shown.step, "steps": shown.steps, "count": shown.count, "seconds": shown.seconds, "eta_seconds": shown.eta}
    numbers |= {"loss": shown.loss, "psnr": shown.psnr}
    return JobState(stage=shown.stage, **{name: None if value < 0 else value for name, value in numbers.items()})


@bpy.app.handlers.persistent
def _after_load(*_: object) -> None:
    if not bpy.app.background:
        show_after_load()


def _at_start() -> None:
    private_folders.sweep()
    _after_load()


def register() -> None:
    """Looks for a job that was left running, now and whenever a file is opened."""
    bpy.app.handlers.load_post.append(_after_load)
    if not bpy.app.background:
        # While an extension is being enabled, Blender gives no scene.
        bpy.app.timers.register(_at_start, first_interval=0.5)


def unregister() -> None:
    """Stops following; the job itself goes on."""
    global _job, _after
    bpy.app.handlers.load_post.remove(_after_load)
    for timer in (_tick, _at_start):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    _job = _after = None
