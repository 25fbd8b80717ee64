# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: which Python runs the engine."""

import bpy

from .text import draw_text

# The extension's own name: bl_ext.<repository>.reconstruct
_EXTENSION = __package__.removesuffix(".addon.ui")


class RECONSTRUCT_AP_preferences(bpy.types.AddonPreferences):
    """Where the engine's Python is."""

    bl_idname = _EXTENSION

    engine_python: bpy.props.StringProperty(
        name="Engine Python",
        description=(
            "Python that runs the engine, or its environment's folder: .venv of Reconstruct's checkout after python3 scripts/dev.py setup. "
            "Empty looks for one that is there"
        ),
        subtype="FILE_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "engine_python")
        layout.operator("reconstruct.check_engine", icon="VIEWZOOM")
        shown = context.window_manager.reconstruct
        if shown.engine:
            box = layout.box()
            draw_text(box, shown.engine, context, icon="CHECKMARK" if shown.engine_ok else "INFO")


def engine_python() -> str:
    """The engine's Python that the preferences name, empty where none is set."""
    addons = bpy.context.preferences.addons
    addon = addons.get(_EXTENSION) or next((item for item in addons if item.module.rpartition(".")[2] == "reconstruct"), None)
    path = getattr(addon and addon.preferences, "engine_python", "")
    return bpy.path.abspath(path) if path else ""


CLASSES = (RECONSTRUCT_AP_preferences,)
