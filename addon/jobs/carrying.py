# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving a file: what was made before the first save moves beside it, and after Save As elsewhere the scenes still find their folders."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
from pathlib import Path
from typing import Any

import bpy

from ...engine.contract.alive import writer_runs
from ...engine.contract.errors import UserError
from ...engine.contract.parsing import escaped
from ...engine.contract.result import RESULT, replacing
from ..blender.scene_folders import (
    absolute,
    as_property,
    chosen_folders,
    home,
    home_by_name,
    relative,
    rename,
    session_folder,
    start_session,
    unsaved_folder,
)
from ..core import private_folders
from ..core.folder_names import CAPTURE, HOME, TRAINED, VOXELS
from . import process, running

# What the save that is under way changed: properties with their values and folders, and folders that it moved.
_changed: list[tuple[bpy.types.PropertyGroup, str, str, Path]] = []
_moved: list[tuple[Path, Path]] = []


def _before_save(file: str, *_: object) -> None:
    """Has the scenes keep their folders under the name that the file is about to have."""
    _moved.clear()
    _changed.clear()
    file = os.path.abspath(file) if file else ""
    if file and (private_folders.is_private(Path(file).parent) or not Path(file).parent.is_dir()):
        # The copy for a background job, or a save that fails.
        return
    scenes = [scene for scene in bpy.data.scenes if scene.is_editable]
    if not file:
        # The startup file: what is made from it is new.
        for scene in scenes:
            _change(scene.reconstruct, "home", "", home(scene))
        return
    homes = [home(scene) for scene in scenes]
    for scene, found in zip(scenes, homes, strict=True):
        _change(scene.reconstruct, "home", as_property(_home_after(scene, found, file), file), found)
    for scene in scenes:
        for group, name in chosen_folders(scene):
            chosen = getattr(group, name)
            if chosen.strip() and not chosen.startswith(HOME):
                found = absolute(chosen, scene)
                _change(group, name, _chosen_after(chosen, found, file), found)


def _home_after(scene: bpy.types.Scene, found: Path, file: str) -> Path:
    """The home of a scene in the file that is about to be saved."""
    same = not bpy.data.filepath or file == bpy.data.filepath
    if unsaved_folder() in found.parents and _has_content(found):
        # After Save As, the file that was saved first still names it there.
        return _carry(found, _free(home_by_name(scene, file))) if same else found
    if bpy.data.filepath and (same or _has_content(found)):
        return found
    # What lies there already was made for an earlier file of that name.
    return _free(home_by_name(scene, file))


def _chosen_after(path: str, found: Path, file: str) -> str:
    """A chosen folder as the file that is about to be saved names it."""
    start = Path(file).parent
    if (now := _where(found, _moved)) != found:
        return relative(now, start)
    if not path.startswith("//") or file == bpy.data.filepath or not found.exists():
        return path
    if not bpy.data.filepath and session_folder() in found.parents:
        found = _carry(found, _free(start / found.relative_to(session_folder())))
    return as_property(found, file)


def _carry(old: Path, new: Path) -> Path:
    """Moves a folder of ours from the user's data folder; where it is then, which is where it was if a job runs there or it cannot be."""
    running_job = running.current()
    inner = [old, *(old / name for name in (CAPTURE, TRAINED)), *((old / VOXELS).iterdir() if (old / VOXELS).is_dir() else ())]
    busy = running_job is not None and (running_job.folder == old or old in running_job.folder.parents)
    if busy or any(process.attach(folder) is not None for folder in inner if folder.is_dir()) or not _move(old, new):
        return old
    _moved.append((old, new))
    with contextlib.suppress(OSError):
        # The session's folder, once it is empty.
        old.parent.rmdir()
    return new


def _move(old: Path, new: Path) -> bool:
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(old, new)
        except OSError:
            _copy(old, new)
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        return False
    for file in new.rglob(RESULT):
        with contextlib.suppress(OSError, ValueError, RecursionError, UserError):
            _rename_in(file, str(old), str(new))
    return True


def _copy(old: Path, new: Path) -> None:
    """Copies a folder to another disk. It has the new name once it is complete.

    Raises:
        OSError: it cannot be copied; nothing of it stays.
    """
    for left in new.parent.glob(f".{glob.escape(new.name)}.*.part"):
        # A Blender that was killed while it copied.
        pid = left.suffixes[-2][1:] if len(left.suffixes) > 1 else ""
        if pid.isascii() and pid.isdigit() and not writer_runs(left, int(pid), 0.0):
            shutil.rmtree(left)
    part = new.with_name(f".{new.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        shutil.copytree(old, part, dirs_exist_ok=True)
        os.rename(part, new)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _rename_in(file: Path, old: str, new: str) -> None:
    """Has a result name its capture where it is now."""

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [renamed(item) for item in value]
        return new + value[len(old) :] if isinstance(value, str) and (value == old or value.startswith(old + os.sep)) else value

    table = json.loads(file.read_text(encoding="utf-8"))
    if (changed := renamed(table)) != table:
        with replacing(file) as temporary:
            temporary.write_text(escaped(json.dumps(changed, indent=1, ensure_ascii=False)) + "\n", encoding="utf-8")


def _has_content(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def _free(folder: Path) -> Path:
    """The folder, or one beside it, that does not exist."""
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}_{number}")
    return free


def _change(group: bpy.types.PropertyGroup, name: str, value: str, found: Path) -> None:
    before = getattr(group, name)
    if before != value:
        _changed.append((group, name, before, found))
        setattr(group, name, value)


def _after_save(file: str, *_: object) -> None:
    _settle(bool(file) and bool(bpy.data.filepath) and Path(bpy.data.filepath) == Path(os.path.abspath(file)))


def _after_failed_save(*_: object) -> None:
    _settle(False)


def _settle(saved: bool) -> None:
    """Ends a save. After one that failed or wrote a copy, the open file keeps its folders."""
    if saved:
        for _, _, before, found in _changed:
            rename(before, _where(found, _moved))
        _show_moved()
    else:
        stuck = [(old, new) for old, new in reversed(_moved) if not _move(new, old)]
        for group, name, before, found in reversed(_changed):
            setattr(group, name, str(_where(found, stuck)) if _where(found, stuck) != found else before)
    _moved.clear()
    _changed.clear()


def _where(folder: Path, moved: list[tuple[Path, Path]]) -> Path:
    """Where a folder is after moves."""
    for old, new in moved:
        if folder == old or old in folder.parents:
            return new / folder.relative_to(old)
    return folder


def _show_moved() -> None:
    """Has the panels name the folders of the last job where they are now."""
    window = bpy.context.window_manager.reconstruct
    for name in ("folder", "preview"):
        if path := getattr(window, name):
            setattr(window, name, str(_where(Path(path), _moved)))


def _after_load(*_: object) -> None:
    start_session()
    _moved.clear()
    _changed.clear()


_HANDLERS = {"save_pre": _before_save, "save_post": _after_save, "save_post_fail": _after_failed_save, "load_post": _after_load}


def register() -> None:
    """Follows saves and loads."""
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).append(bpy.app.handlers.persistent(handler))


def unregister() -> None:
    """Stops following saves and loads."""
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)
