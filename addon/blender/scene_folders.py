# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the captures and results of scenes lie.

Every scene has a home folder, which the default paths begin with: ``//reconstruct/FILE/SCENE`` beside the .blend file, and a private one in
the user's data folder before the first save, see jobs/carrying.py. ``Scene.reconstruct.home`` keeps it once something is written there and
whenever the file is saved, so that a renamed scene or file still finds its data.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

import bpy

from ...engine.contract.errors import UserError
from ...engine.contract.result import RESULT
from ...engine.formats.transforms import TRANSFORMS
from ..core.data_folder import data_folder
from ..core.folder_names import CAPTURE, HOME, OLD_HOME, TRAINED, digest, safe_name

# Names the folder that // is until the file is saved.
_session = ""
# Where folders are that the open file named otherwise before it was saved: undo brings the old paths back.
_renamed: dict[str, Path] = {}


def absolute(path: str, scene: bpy.types.Scene | None = None) -> Path:
    """The absolute path of one that a user chose.

    Args:
        path: ``//`` is the .blend file's folder, and a private folder before the first save.
        scene: gives the names in a path of its properties.
    """
    if scene is not None and (path + "/").startswith(HOME + "/"):
        return Path(os.path.abspath(home(scene) / path[len(HOME) + 1 :]))
    if scene is not None:
        stem = Path(bpy.data.filepath).stem or "unsaved"
        path = path.replace("{blend_name}", safe_name(stem)).replace("{scene_name}", safe_name(scene.name))
    unsaved = path.startswith("//") and not bpy.data.filepath
    found = Path(os.path.abspath(session_folder() / path[2:] if unsaved else bpy.path.abspath(path)))
    return _renamed[path] if path in _renamed and not os.path.exists(found) else found


def required_folder(path: str, scene: bpy.types.Scene | None = None) -> Path:
    """The absolute path of a folder that is written or opened; see :func:`absolute`.

    Raises:
        UserError: the path is empty, which would be Blender's working folder.
    """
    if not path.strip():
        raise UserError("No folder is chosen.", "Choose a folder.")
    return absolute(path, scene)


def own_capture(scene: bpy.types.Scene) -> Path:
    """Where the scene's captures are written."""
    return absolute(scene.reconstruct.capture.out, scene)


def own_result(scene: bpy.types.Scene) -> Path:
    """Where results of the scene's trainings are written."""
    return absolute(scene.reconstruct.train.out, scene)


def capture_folder(scene: bpy.types.Scene) -> Path:
    """The capture that is trained: the chosen one, else the scene's own."""
    return absolute(scene.reconstruct.train.capture or scene.reconstruct.capture.out, scene)


def result_folder(scene: bpy.types.Scene) -> Path:
    """The result that is imported: the chosen one, else the scene's own."""
    return absolute(scene.reconstruct.import_.result or scene.reconstruct.train.out, scene)


def start_session() -> None:
    """Forgets the folders of the file that was open; one that was not saved yet has a private folder of its own."""
    global _session
    _session = ""
    _renamed.clear()


def rename(path: str, folder: Path) -> None:
    """Notes where a folder is that the file was saved with another path for."""
    _renamed[path] = folder


def chosen_folders(scene: bpy.types.Scene) -> list[tuple[bpy.types.PropertyGroup, str]]:
    """The properties in which users choose folders, as group and name."""
    ours = scene.reconstruct
    return [(ours.capture, "out"), (ours.train, "out"), (ours.train, "capture"), (ours.import_, "result"), (ours.voxels, "out")]


def is_of_this_file(folder: Path) -> bool:
    """Whether a folder is written or read by a scene of the open file."""
    for scene in bpy.data.scenes:
        used = {absolute(path, scene) for group, name in chosen_folders(scene) if (path := getattr(group, name)).strip()}
        # Results from pictures lie one level deeper.
        if folder in used or folder.parent == absolute(scene.reconstruct.voxels.out, scene):
            return True
    return False


def moved_home(scene: bpy.types.Scene) -> str:
    """The scene's home as a path of its properties, where the names of file and scene do not give it; else empty."""
    found = home(scene)
    return "" if not bpy.data.filepath or found == home_by_name(scene, bpy.data.filepath) else as_property(found)


def claim(scene: bpy.types.Scene) -> None:
    """Keeps the scene's home, whatever its or the file's name becomes. To be called before something is written there."""
    if scene.is_editable:
        scene.reconstruct.home = as_property(home(scene))


def home(scene: bpy.types.Scene) -> Path:
    """The scene's home folder."""
    kept = scene.reconstruct.home
    if kept and (kept == OLD_HOME or _is_first(scene)):
        return absolute(kept)
    if not kept and _has_old_home():
        return absolute(OLD_HOME)
    return home_by_name(scene, bpy.data.filepath)


def home_by_name(scene: bpy.types.Scene, file: str) -> Path:
    """The home of a scene of a .blend file that has none yet."""
    name = safe_name(scene.name)
    if any(other != scene and safe_name(other.name).casefold() == name.casefold() for other in bpy.data.scenes):
        # The same folder where case does not count.
        name = f"{name}-{digest(scene.name)}"
    if not file:
        return session_folder() / name
    return Path(file).parent / "reconstruct" / safe_name(Path(file).stem) / name


def _is_first(scene: bpy.types.Scene) -> bool:
    """Whether a scene's home is its own: a copy of a scene has the home of the original, which came first."""
    kept = scene.reconstruct.home
    return all(other.session_uid >= scene.session_uid for other in bpy.data.scenes if other.reconstruct.home == kept)


def _has_old_home() -> bool:
    """Whether the open file uses the folders of version 0.1."""
    if not bpy.data.filepath or any(scene.reconstruct.home for scene in bpy.data.scenes):
        return False
    folder = absolute(OLD_HOME)
    return (folder / CAPTURE / TRANSFORMS).is_file() or (folder / TRAINED / RESULT).is_file()


def session_folder() -> Path:
    """What ``//`` is until the open file is saved."""
    global _session
    _session = _session or f"{time.strftime('%Y-%m-%d-%H%M%S')}-{secrets.token_hex(3)}"
    return unsaved_folder() / _session


def unsaved_folder() -> Path:
    """Where the homes of files lie that were not saved yet."""
    return data_folder() / "unsaved"


def relative(folder: Path, start: Path) -> str:
    """A folder relative to a .blend file in ``start``; absolute where it is on another drive."""
    try:
        return "//" + os.path.relpath(folder, start).replace(os.sep, "/")
    except ValueError:
        return str(folder)


def as_property(folder: Path, file: str | None = None) -> str:
    """A folder as a path of a scene's properties: absolute in the user's data folder, else relative to the file."""
    file = bpy.data.filepath if file is None else file
    if not file or unsaved_folder() in folder.parents:
        return str(folder)
    return relative(folder, Path(file).parent)
