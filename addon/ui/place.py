# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 4 in the sidebar: a result gets its place in a room."""

import bpy

from ..blender.results.measuring import selected_points
from ..blender.tagging import kind_of, tagged
from .base import Step, draw_button, draw_setting, settings_column
from .text import draw_text


class RECONSTRUCT_PT_place(Step, bpy.types.Panel):
    """Position the imported result"""

    bl_label = "4  Place"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.reconstruct.place
        results = [item for item in context.selected_objects if kind_of(item) == "result"]
        unknown = any(tagged(item).get("scale") == "unknown" for item in results)
        column = settings_column(layout)
        column.prop(settings, "on_floor")
        # Settings that do not apply are gray instead of hidden. Blender moves panels over several frames when one changes its size, and
        # where the viewport is slow to draw, they lie over one another meanwhile.
        self._optional(column, settings, "use_location", "location", "Move")
        self._optional(column, settings, "use_rotation", "rotation", "Turn (°)")
        self._optional(column, settings, "room", "room_size", "Build a Room")
        row = column.row()
        row.enabled = unknown
        draw_setting(row, settings, "known_length", "Length")
        draw_button(layout, "reconstruct.place", "Place", "SNAP_ON")
        selected = sum(map(selected_points, results))
        layout.operator("reconstruct.set_length", text="Set Distance …" if selected == 2 else "Set Length …", icon="ARROW_LEFTRIGHT")
        if selected:
            draw_text(layout, f"Edit Mode: only the {selected:,} selected points are measured", context, icon="INFO")
        elif any(item.mode == "EDIT" for item in results):
            draw_text(layout, "Select two points to set their distance, or the points that rest on the floor", context, icon="INFO")

    def _optional(self, column: bpy.types.UILayout, settings: bpy.types.PropertyGroup, use: str, name: str, heading: str) -> None:
        row = column.row(heading=heading)
        row.prop(settings, use, text="")
        values = row.column()
        values.active = getattr(settings, use)
        draw_setting(values, settings, name, "")


CLASSES = (RECONSTRUCT_PT_place,)
