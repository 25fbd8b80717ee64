# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 4 in the sidebar: a result gets its place in a room."""

import bpy

from ..results.tagging import kind_of, tagged
from .base import Step, draw_button, draw_setting, settings_column


class RECONSTRUCT_PT_place(Step, bpy.types.Panel):
    """Position the imported result"""

    bl_label = "4  Place"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.reconstruct.place
        results = [item for item in context.selected_objects if kind_of(item) == "result"]
        if not results:
            layout.label(text="Select an imported result", icon="INFO")
        column = settings_column(layout)
        column.prop(settings, "on_floor")
        column.prop(settings, "use_location", text="Move")
        if settings.use_location:
            draw_setting(column, settings, "location", "To")
        column.prop(settings, "use_rotation", text="Turn")
        if settings.use_rotation:
            column.prop(settings, "rotation", text="To (°)")
        if any(tagged(item).get("scale") == "unknown" for item in results):
            draw_setting(column, settings, "known_length", "Length")
        column.prop(settings, "room", text="Build a Room")
        if settings.room:
            draw_setting(column, settings, "room_size", "Room Size")
        draw_button(layout, "reconstruct.place", "Place", "SNAP_ON")
        layout.operator("reconstruct.set_length", text="Set Length …", icon="ARROW_LEFTRIGHT")


CLASSES = (RECONSTRUCT_PT_place,)
