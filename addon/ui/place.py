# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 4 in the sidebar: a result stands in a room."""

import bpy

from ..results.tagging import kind_of
from .base import Step, draw_button, settings_column


class RECONSTRUCT_PT_place(Step, bpy.types.Panel):
    """Put the imported result where it shall stand"""

    bl_label = "4  Place"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.reconstruct.place
        if not any(kind_of(item) == "result" for item in context.selected_objects):
            layout.label(text="Select what you imported", icon="INFO")
        column = settings_column(layout)
        column.prop(settings, "on_floor")
        column.prop(settings, "use_location", text="Move")
        if settings.use_location:
            column.prop(settings, "location", text="To (m)")
        column.prop(settings, "use_rotation", text="Turn")
        if settings.use_rotation:
            column.prop(settings, "rotation", text="To (°)")
        column.prop(settings, "known_length", text="Length (m)")
        column.prop(settings, "room", text="Build a Room")
        if settings.room:
            column.prop(settings, "room_size")
        draw_button(layout, "reconstruct.place", "Place", "SNAP_ON")


CLASSES = (RECONSTRUCT_PT_place,)
