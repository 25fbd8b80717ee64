# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest preview picture of a job, as an icon that panels can draw."""

from __future__ import annotations

from pathlib import Path

import bpy.utils.previews

_pictures = None


def icon_of(file: str) -> int:
    """The icon of a picture file, 0 where there is none."""
    if _pictures is None or not file:
        return 0
    try:
        key = f"{file}:{Path(file).stat().st_mtime_ns}"
    except OSError:
        return 0
    if key not in _pictures:
        # The newest may still be read by a thread of Blender's.
        for old in list(_pictures)[:-2]:
            del _pictures[old]
        _pictures.load(key, file, "IMAGE")
    return _pictures[key].icon_id


def register() -> None:
    """Makes room for the pictures."""
    global _pictures
    _pictures = bpy.utils.previews.new()


def unregister() -> None:
    """Frees the pictures."""
    global _pictures
    bpy.utils.previews.remove(_pictures)
    _pictures = None
