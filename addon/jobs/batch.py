# SPDX-License-Identifier: GPL-3.0-or-later
"""A job file, walked without a window: capture, train, proxy, voxels, import, place, render, save.

Reached by scripts/batch.py and by ``blender --command reconstruct``.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from dataclasses import replace
from pathlib import Path

import bpy

from ...engine.contract.errors import UserError
from ...engine.contract.job import Job, read_job
from ...engine.contract.result import CANCEL, PROXY
from ...engine.contract.settings import PlaceSettings
from .. import console
from ..results import assets
from ..results.importing import import_result
from ..rooms.placing import place
from ..rooms.rendering import render_picture
from . import stages
from .process import State

USAGE = "use: blender -b -P scripts/batch.py -- JOB.toml, python scripts/batch.py JOB.toml, or blender --command reconstruct JOB.toml"


def main(arguments: list[str], chosen_python: str = "") -> int:
    """Walks the job that the arguments name, printing progress; the last line tells the outcome.

    Args:
        arguments: the path of a job file.
        chosen_python: the engine's Python of the preferences.

    Returns:
        The exit code: 0 done, 1 a stage failed or was cancelled, 2 a bad argument or job file.
    """
    outcome, code = _walk(arguments, chosen_python)
    console.flush()
    _say(f"reconstruct: {outcome}")
    return code


def _walk(arguments: list[str], chosen_python: str) -> tuple[str, int]:
    """The outcome in a sentence, and the exit code."""
    if arguments in (["--help"], ["-h"]):
        return USAGE, 0
    if len(arguments) != 1 or arguments[0].startswith("-"):
        return f"refused: one argument is needed, the job file. {USAGE}", 2
    try:
        job = read_job(Path(arguments[0]))
    except UserError as error:
        return f"refused: {error}", 2
    begin = time.monotonic()
    try:
        if not job.scene and not bpy.data.filepath:
            _open_empty()
        made = run(job, chosen_python)
    except UserError as error:
        return f"failed: {error}", 1
    except KeyboardInterrupt:
        return "cancelled", 1
    except Exception as error:
        traceback.print_exc()
        return f"failed: an error of Reconstruct itself, {type(error).__name__}: {error}", 1
    return f"done in {time.monotonic() - begin:.0f} s: {', '.join(map(str, made)) or 'nothing was to be written'}", 0


def run(job: Job, chosen_python: str = "") -> list[Path]:
    """Walks the stages of a job in the open file.

    Args:
        job: what to do.
        chosen_python: the engine's Python of the preferences.

    Returns:
        What was made, in order.

    Raises:
        UserError: a stage failed or was cancelled; those before it stay done.
    """
    made: list[Path] = []
    if job.scene:
        _open(job.path(job.scene))
    lent = job.capture is not None and job.scene and job.path(job.scene) == job.path(job.capture.out) / stages.SCENE_COPY
    if lent:
        # The copy that a window made for this process alone.
        with contextlib.suppress(OSError):
            job.path(job.scene).unlink()
    if job.capture is not None:
        made.append(job.path(job.capture.out))
        if not lent:
            (made[-1] / CANCEL).unlink(missing_ok=True)
        _capture(job, made[-1])
    if job.train is not None:
        made.append(job.path(job.train.out))
        _train(job, made[-1], chosen_python)
    if job.proxy is not None:
        made.append(_proxy(job, chosen_python))
    if job.voxels is not None:
        made.append(job.path(job.voxels.out))
        _voxels(job, made[-1], chosen_python)
    objects: list[bpy.types.Object] = []
    if job.import_ is not None:
        objects = _import(job)
    if job.place is not None:
        _place(objects, job.place)
    if job.render is not None:
        made.append(job.path(job.render.out))
        _render(job, made[-1])
    if job.save is not None:
        made.append(job.path(job.save.out))
        _save(made[-1])
    return made


def _open(file: Path) -> None:
    _say(f"open     {file}")
    try:
        bpy.ops.wm.open_mainfile(filepath=str(file))
    except RuntimeError:
        reason = "it is no .blend file of this Blender or an older one" if file.is_file() else "there is no such file"
        raise UserError(f"The scene {file} cannot be opened: {reason}.", "Correct scene in the job file.") from None


def _open_empty() -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)


def _capture(job: Job, folder: Path) -> None:
    if not stages.capture_here(bpy.context.scene, folder, job.capture, _Told("capture")):
        raise UserError("The capture was cancelled.", "", "cancelled")
    _say(f"capture  {folder}")


def _train(job: Job, out: Path, chosen_python: str) -> None:
    stage = job.train
    if stage.capture:
        capture = job.path(stage.capture)
    elif job.capture is not None:
        capture = job.path(job.capture.out)
    else:
        raise UserError("[train] has nothing to train on.", 'Add capture = "FOLDER" to it, or a stage [capture].')
    running = stages.start_training(capture, out, stage.settings, chosen_python=chosen_python, overwrite=stage.overwrite)
    state = _ended(running, "train", "The training was cancelled.", f"What it reached lies in {out}.")
    scores = "   ".join(f"{name.upper()} {state.metrics[name]:.4g}" for name in ("psnr", "ssim") if name in state.metrics)
    _say(f"train    {out}   {scores}".rstrip())


def _proxy(job: Job, chosen_python: str) -> Path:
    stage = job.proxy
    if stage.result:
        result = job.path(stage.result)
    elif job.train is not None:
        result = job.path(job.train.out)
    else:
        raise UserError("[proxy] has no result to stand for.", 'Add result = "FOLDER" to it, or a stage [train].')
    _ended(stages.start_proxy(result, stage.settings, chosen_python=chosen_python), "proxy", "The proxy was cancelled.")
    _say(f"proxy    {result / PROXY}")
    return result / PROXY


def _voxels(job: Job, out: Path, chosen_python: str) -> None:
    stage = job.voxels
    settings = stage.settings
    if settings.weights:
        settings = replace(settings, weights=str(job.path(settings.weights)))
    pictures, masks = ([job.path(name) for name in names] for names in (stage.images, stage.masks))
    running = stages.start_voxels(pictures, out, settings, masks=masks, chosen_python=chosen_python, overwrite=stage.overwrite)
    _ended(running, "voxels", "The recognition was cancelled.")
    _say(f"voxels   {out}")


def _ended(running: stages.Job, name: str, cancelled: str, hint: str = "") -> State:
    """Follows the engine to a good end; any other ends the job."""
    state = running.wait(_Told(name))
    if state.status == "failed":
        raise UserError(state.message, state.hint, state.code)
    if state.status == "cancelled":
        raise UserError(cancelled, hint, "cancelled")
    return state


def _import(job: Job) -> list[bpy.types.Object]:
    settings = job.import_
    if settings.result:
        result = job.path(settings.result)
    elif (stage := job.voxels or job.train) is not None:
        result = job.path(stage.out)
    elif job.proxy is not None:
        result = job.path(job.proxy.result)
    else:
        raise UserError("[import] has nothing to import.", 'Add result = "FOLDER" to it, or a stage [train] or [voxels].')
    if settings.new_scene:
        _open_empty()
    objects = import_result(bpy.context.scene, result, settings)
    _say(f"import   {', '.join(item.name for item in objects)}")
    return objects


def _place(objects: list[bpy.types.Object], settings: PlaceSettings) -> None:
    if not objects:
        raise UserError("[place] has nothing to place.", "Add a stage [import].")
    place(objects, settings)
    _say("place    " + ("in a new room" if settings.room else "in the scene"))


def _render(job: Job, picture: Path) -> None:
    _make_folder(picture.parent)
    render_picture(bpy.context.scene, picture, job.render)
    _say(f"render   {picture}")


def _save(file: Path) -> None:
    _make_folder(file.parent)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(file), check_existing=False)
    except RuntimeError as error:
        raise UserError(f"{file} cannot be saved: {str(error).strip()}", "Choose another file for [save].") from None
    assets.after_saving(str(file))
    _say(f"save     {file}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made: {error.strerror}.", "Choose another folder.") from None


class _Told:
    """Prints what a job has to say, and what it is doing, where that changed and at most every other second."""

    def __init__(self, name: str):
        self._name, self._said, self._stage, self._next, self._note = name, "", "", 0.0, ""

    def __call__(self, state: State) -> None:
        if state.note != self._note:
            self._note = state.note
            _say(f"{self._name:<8} {state.note}")
        now, line = time.monotonic(), f"{self._name:<8} {describe(state)}"
        if state.ended or line == self._said or now < self._next and state.stage == self._stage:
            return
        self._said, self._stage, self._next = line, state.stage, now + 2.0
        _say(line)


def describe(state: State) -> str:
    """A running job in one line: stage, steps, time left, loss, PSNR, count."""
    parts = [state.stage] + ([f"{state.step}/{state.steps}"] if state.step is not None and state.steps else [])
    parts += [f"{state.eta_seconds:.0f} s left"] if state.eta_seconds is not None else []
    parts += [f"loss {state.loss:.4f}"] if state.loss is not None else []
    parts += [f"PSNR {state.psnr:.2f} dB"] if state.psnr is not None else []
    parts += [f"{state.count:,} gaussians"] if state.count is not None else []
    return "   ".join(parts)


def _say(line: str) -> None:
    print(line, flush=True)
