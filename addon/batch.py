# SPDX-License-Identifier: GPL-3.0-or-later
"""A job file, run without a window: capture, train, proxy, voxels, import, place, render, save.

Reached by scripts/batch.py and by ``blender --command reconstruct``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import traceback
from dataclasses import replace
from pathlib import Path

import bpy

from ..engine.contract.errors import UserError
from ..engine.contract.job import OVERWRITE, Job, check_job, read_job
from ..engine.contract.result import PROXY, RESULT, read_result, replacing
from ..engine.contract.settings import PlaceSettings
from ..engine.formats.capture import read_capture
from ..engine.formats.transforms import TRANSFORMS
from .blender import console
from .blender.capture.space import find_subject
from .blender.results import assets
from .blender.results.importing import files_of, import_result
from .blender.rooms.placing import place
from .blender.rooms.rendering import empty_scene, find_camera, render_picture
from .core import engine_command, outputs, private_folders
from .core.job_state import JobState
from .core.journal import made_here
from .jobs import process, stages
from .jobs.result_folders import check_result_folder

USAGE = "use: blender -b -P scripts/batch.py -- JOB.toml, python scripts/batch.py JOB.toml, or blender --command reconstruct JOB.toml"


def main(arguments: list[str], chosen_python: str = "") -> int:
    """Runs the job that the arguments name, and prints progress; the last line tells the outcome.

    Args:
        arguments: the path of a job file.
        chosen_python: the engine's Python of the preferences.

    Returns:
        The exit code: 0 done, 1 a stage failed or was cancelled, 2 the job was refused before its first stage.
    """
    own = arguments[-1:] == [stages.PRIVATE]
    folder = Path(arguments[0]).parent if own and len(arguments) == 2 else None
    if own and (folder is None or not private_folders.is_private(folder)):
        outcome, code = f"refused: {stages.PRIVATE} needs a job file in a private folder of Reconstruct.", 2
    else:
        try:
            outcome, code = _run(arguments[:1] if own else arguments, chosen_python, folder)
        finally:
            if folder is not None:
                private_folders.remove(folder)
    console.flush()
    _say(f"reconstruct: {outcome}")
    return code


def _run(arguments: list[str], chosen_python: str, own: Path | None) -> tuple[str, int]:
    """The outcome in a sentence, and the exit code."""
    if arguments in (["--help"], ["-h"]):
        return USAGE, 0
    if len(arguments) != 1 or arguments[0].startswith("-"):
        return f"refused: one argument is needed, the job file. {USAGE}", 2
    try:
        job = read_job(Path(arguments[0]))
        check_job(job)
    except UserError as error:
        # Errors of single settings name the setting alone.
        named = "" if arguments[0] in error.message else f"{arguments[0]}: "
        return f"refused: {named}{error}", 2
    begin = time.monotonic()
    try:
        if own is not None:
            private_folders.own(own, os.getpid())
        if not job.scene and not bpy.data.filepath:
            _open_empty()
        try:
            scene = _prepare(job, chosen_python, own)
        except UserError as error:
            return f"refused: {error}", 2
        made = _run_stages(job, scene, chosen_python, own)
    except UserError as error:
        return f"failed: {error}", 1
    except KeyboardInterrupt:
        return "cancelled", 1
    except Exception as error:
        traceback.print_exc()
        return f"failed: an error of Reconstruct itself, {type(error).__name__}: {error}", 1
    return f"done in {time.monotonic() - begin:.0f} s: {', '.join(map(str, made)) or 'nothing was to be written'}", 0


def run(job: Job, chosen_python: str = "", own: Path | None = None) -> list[Path]:
    """Runs the stages of a job in the open file.

    Args:
        job: what to do.
        chosen_python: the engine's Python of the preferences.
        own: the private folder that the job and its scene lie in, removed once the scene is open; None for a user's job.

    Returns:
        What was made, in order.

    Raises:
        UserError: a stage cannot start, which is found before any is run; or one failed or was cancelled, and those before it stay done.
    """
    return _run_stages(job, _prepare(job, chosen_python, own), chosen_python, own)


def _prepare(job: Job, chosen_python: str, own: Path | None) -> bpy.types.Scene:
    """Opens the scene of a job, and refuses what cannot be run before the first stage takes minutes or hours."""
    check_job(job)
    if job.scene:
        _open(job.path(job.scene))
    if own is not None:
        private_folders.remove(own)
    scene = _scene(job)
    try:
        _check_stages(job, scene, chosen_python)
    except OSError as error:
        hint = "Correct it in the job file, or check its permissions."
        raise UserError(f"The path {error.filename} cannot be used: {error.strerror or error}.", hint) from None
    return scene


def _run_stages(job: Job, scene: bpy.types.Scene, chosen_python: str, own: Path | None) -> list[Path]:
    made: list[Path] = []
    if job.capture is not None:
        made.append(job.path(job.capture.out))
        if own is None:
            # In the folder of a job from a window, this is already a request to cancel.
            process.clear_cancel(made[-1])
        _capture(job, scene, made[-1])
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
        if job.import_.new_scene:
            scene = empty_scene(scene)
            _show(scene)
        objects = _import(job, scene)
    if job.place is not None:
        _place(objects, job.place)
    if job.render is not None:
        made.append(job.path(job.render.out))
        _render(job, scene, made[-1])
    if job.save is not None:
        made.append(job.path(job.save.out))
        _save(made[-1])
    return made


def _check_stages(job: Job, scene: bpy.types.Scene, chosen_python: str) -> None:
    """Finds what stages lack on this machine.

    Raises:
        UserError: names it.
    """
    written = [job.path(stage.out) for stage in (job.train, job.voxels) if stage is not None]
    if (stage := job.capture) is not None:
        if not bpy.data.filepath:
            raise UserError("[capture] has no scene.", 'Add scene = "FILE.blend" at the top of the job, or open the file first.')
        if stage.rig in ("orbit", "both"):
            find_subject(scene, stage.orbit_object)
        folder = job.path(stage.out)
        if (folder / TRANSFORMS).exists() and not (stage.overwrite and made_here(folder)):
            raise UserError(f"{folder} already holds a capture.", "Choose another folder, or add overwrite = true to [capture].", "exists")
    for name, stage in (("train", job.train), ("voxels", job.voxels)):
        if stage is not None:
            out = job.path(stage.out)
            if (out / RESULT).exists() and not stage.overwrite:
                hint = f"Choose another folder, or add overwrite = true to [{name}]."
                raise UserError(f"{out} already holds a result.", hint, "exists")
            check_result_folder(out, stage.overwrite)
    if job.train is not None and job.train.capture and not job.capture_folder.is_dir():
        raise UserError(f"There is no capture in {job.capture_folder}.", "Correct capture of [train].")
    if job.proxy is not None and job.proxy_folder not in written:
        read_result(job.proxy_folder)
    if job.import_ is not None:
        _check_import(job, written)
    if job.voxels is not None:
        stages.check_images([job.path(name) for name in (*job.voxels.images, *job.voxels.masks)])
    if job.train is not None or job.proxy is not None or job.voxels is not None:
        engine_command.interpreter(chosen_python)
    if (stage := job.render) is not None and stage.camera:
        find_camera(scene, stage.camera)
    for stage in (job.render, job.save):
        if stage is not None and (file := job.path(stage.out)).exists() and not (stage.overwrite or outputs.is_ours(file)):
            raise UserError(f"{file} already exists, and no job wrote it.", OVERWRITE, "exists")


def _check_import(job: Job, written: list[Path]) -> None:
    """Finds what the imported result lacks, as far as it or the capture that it is trained from is there.

    Args:
        job: has a stage [import].
        written: the results that its other stages write.
    """
    folder, scale = job.import_folder, "metric"
    if folder not in written:
        result = read_result(folder)
        scale = result.scale
        if job.proxy is None or job.proxy_folder != folder:
            files_of(folder, result, job.import_.look)
    elif job.train is not None and folder == job.path(job.train.out) and job.train.capture and job.place is not None:
        # What is wrong with a capture is said by the training, as in other jobs.
        with contextlib.suppress(UserError):
            scale = read_capture(job.capture_folder).scale
    if job.place is not None and scale == "unknown" and not job.place.known_length:
        raise UserError(
            f"The scale of the result in {folder} is not known.", "Add the length of its longest side to [place]: known_length."
        )


def _open(file: Path) -> None:
    _say(f"open     {file}")
    try:
        bpy.ops.wm.open_mainfile(filepath=str(file))
    except RuntimeError:
        reason = "it is not a .blend file of this Blender or an older one" if file.is_file() else "there is no such file"
        raise UserError(f"The scene {file} cannot be opened: {reason}.", "Correct scene in the job file.") from None


def _scene(job: Job) -> bpy.types.Scene:
    """The scene that the stages work on."""
    if not job.scene_name:
        return bpy.context.scene
    scene = bpy.data.scenes.get(job.scene_name)
    if scene is None:
        raise UserError(f"The file has no scene named {job.scene_name!r}.", f"Its scenes are: {', '.join(bpy.data.scenes.keys())}.")
    _show(scene)
    return scene


def _show(scene: bpy.types.Scene) -> None:
    """Makes a scene the one that operators work on and that the saved file opens with."""
    for window in bpy.context.window_manager.windows:
        window.scene = scene


def _open_empty() -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)


def _capture(job: Job, scene: bpy.types.Scene, folder: Path) -> None:
    if not stages.capture_here(scene, folder, job.capture, _Printer("capture"), replace=job.capture.overwrite):
        raise UserError("The capture was cancelled.", "", "cancelled")
    _say(f"capture  {folder}")


def _train(job: Job, out: Path, chosen_python: str) -> None:
    stage = job.train
    running = stages.start_training(job.capture_folder, out, stage.settings, chosen_python=chosen_python, overwrite=stage.overwrite)
    state = _ended(running, "train", "The training was cancelled.", f"What it reached lies in {out}.")
    scores = "   ".join(f"{name.upper()} {state.metrics[name]:.4g}" for name in ("psnr", "ssim") if name in state.metrics)
    _say(f"train    {out}   {scores}".rstrip())


def _proxy(job: Job, chosen_python: str) -> Path:
    result = job.proxy_folder
    _ended(stages.start_proxy(result, job.proxy.settings, chosen_python=chosen_python), "proxy", "The proxy was cancelled.")
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


def _ended(running: process.JobProcess, name: str, cancelled: str, hint: str = "") -> JobState:
    """Follows the engine to a good end; any other ends the job."""
    state = running.wait(_Printer(name))
    if state.status == "failed":
        raise UserError(state.message, state.hint, state.code)
    if state.status != "done":
        raise UserError(cancelled, hint, "cancelled")
    return state


def _import(job: Job, scene: bpy.types.Scene) -> list[bpy.types.Object]:
    objects = import_result(scene, job.import_folder, job.import_)
    _say(f"import   {', '.join(item.name for item in objects)}")
    return objects


def _place(objects: list[bpy.types.Object], settings: PlaceSettings) -> None:
    place(objects, settings)
    _say("place    " + ("in a new room" if settings.room else "in the scene"))


def _render(job: Job, scene: bpy.types.Scene, image: Path) -> None:
    _make_folder(image.parent)
    try:
        with private_folders.temporary() as folder, replacing(image) as part:
            # Blender names the file that it writes by the format.
            render_picture(scene, folder / "picture.png", job.render, lambda message: _say(f"render   {message}"))
            shutil.copyfile(folder / "picture.png", part)
            # Noted first, so that a job that is killed here can be run again.
            outputs.remember(image, part)
    except OSError as error:
        raise UserError(f"{image} cannot be written: {error.strerror}.", "Choose another file for [render].") from None
    _say(f"render   {image}")


def _save(file: Path) -> None:
    _make_folder(file.parent)
    paths = bpy.context.preferences.filepaths
    versions = paths.save_version
    if outputs.is_unchanged(file):
        # Of a file of ours no .blend1 is needed, which would take the place of one of the user's.
        paths.save_version = 0
    outputs.expect(file)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(file), check_existing=False)
    except RuntimeError as error:
        raise UserError(f"{file} cannot be saved: {str(error).strip()}", "Choose another file for [save].") from None
    finally:
        paths.save_version = versions
    outputs.remember(file, file)
    assets.after_saving(str(file))
    _say(f"save     {file}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made: {error.strerror}.", "Choose another folder.") from None


class _Printer:
    """Prints what a job has to say, and what it is doing, where that changed and at most every other second."""

    def __init__(self, name: str):
        self._name, self._said, self._stage, self._next, self._note, self._warnings = name, "", "", 0.0, "", 0

    def __call__(self, state: JobState) -> None:
        if state.note != self._note:
            self._note = state.note
            _say(f"{self._name:<8} {state.note}")
        for warning in state.warnings[self._warnings :]:
            _say(f"{self._name:<8} warning: {warning}")
        self._warnings = len(state.warnings)
        now, line = time.monotonic(), f"{self._name:<8} {state.in_words().line}"
        if state.ended or line == self._said or now < self._next and state.stage == self._stage:
            return
        self._said, self._stage, self._next = line, state.stage, now + 2.0
        _say(line)


def _say(line: str) -> None:
    print(line, flush=True)
