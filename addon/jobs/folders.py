# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the scene's captures and results lie."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...engine.contract.errors import UserError
from .engine import data_folder


def absolute(path: str) -> Path:
    """The absolute path of one that a user gave; ``//`` is the .blend's folder, and the user's data folder before the first save."""
    if path.startswith("//") and not bpy.data.filepath:
        return data_folder() / "unsaved" / path[2:]
    return Path(bpy.path.abspath(path)).absolute()


def named(path: str) -> Path:
    """The absolute path of a folder that is written or opened.

    Raises:
        UserError: the path is empty, which would be Blender's working folder.
    """
    if not path.strip():
        raise UserError("No folder is chosen.", "Choose a folder.")
    return absolute(path)


def capture_folder(scene: bpy.types.Scene) -> Path:
    """The capture that is trained: the chosen one, else the scene's own."""
    return absolute(scene.reconstruct.train.capture or scene.reconstruct.capture.out)


def result_folder(scene: bpy.types.Scene) -> Path:
    """The result that is imported: the chosen one, else what the scene trained."""
    return absolute(scene.reconstruct.import_.result or scene.reconstruct.train.out)
