# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's properties of scenes, objects and the window.

``Scene.reconstruct`` keeps what the user chose; ``Object.reconstruct`` shows what a result looks like; ``WindowManager.reconstruct`` shows
what is happening and is never saved.
"""

import bpy

from . import live, schema

_CLASSES = (*schema.CLASSES, *live.CLASSES)


def register() -> None:
    """Adds the properties to scenes, objects and the window manager."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.reconstruct = bpy.props.PointerProperty(type=schema.RECONSTRUCT_PG_scene, name="Reconstruct")
    bpy.types.Object.reconstruct = bpy.props.PointerProperty(
        type=live.RECONSTRUCT_PG_object, name="Reconstruct", override={"LIBRARY_OVERRIDABLE"}
    )
    bpy.types.WindowManager.reconstruct = bpy.props.PointerProperty(type=live.RECONSTRUCT_PG_window, options={"SKIP_SAVE"})


def unregister() -> None:
    """Takes the properties away; what scenes hold stays in their files."""
    del bpy.types.WindowManager.reconstruct
    del bpy.types.Object.reconstruct
    del bpy.types.Scene.reconstruct
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
