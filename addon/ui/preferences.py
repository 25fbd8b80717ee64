# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: which Python runs the engine."""

import bpy

from ..blender.preferences import EXTENSION
from .text import draw_text


class RECONSTRUCT_AP_preferences(bpy.types.AddonPreferences):
    """Where the engine's Python is."""

    bl_idname = EXTENSION

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


CLASSES = (RECONSTRUCT_AP_preferences,)
