# SPDX-License-Identifier: GPL-3.0-or-later
"""What an imported result is shown as, in the sidebar's fourth step."""

import bpy

from ..compat import draw_modifier_input
from ..results.looks import look_modifier, looks_of
from ..results.voxels import is_voxels
from .base import Step, settings_column


class RECONSTRUCT_PT_looks(Step, bpy.types.Panel):
    """Choose what results are shown as while you work and in renders"""

    bl_label = "Show As"
    bl_parent_id = "RECONSTRUCT_PT_place"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        item = context.object
        held = looks_of(item) if item is not None else []
        if is_voxels(item):
            layout.operator("reconstruct.make_asset", icon="ASSET_MANAGER")
            return
        if not held:
            layout.label(text="Select what you imported", icon="INFO")
            return
        column = settings_column(layout)
        shown = item.reconstruct
        column.prop(shown, "viewport", icon="RESTRICT_VIEW_OFF")
        column.prop(shown, "render", icon="RESTRICT_RENDER_OFF")
        if "proxy" in held or "mesh" in held:
            column.prop(shown, "lit")
        if "splats" in held:
            draw_modifier_input(column, look_modifier(item), "Viewport Splats", "Splats up to")
        row = layout.row(align=True)
        row.label(text="The same for")
        for scope, text in (("SELECTED", "Selected"), ("SCENE", "All")):
            row.operator("reconstruct.show_as", text=text).scope = scope
        layout.operator("reconstruct.make_asset", icon="ASSET_MANAGER")


CLASSES = (RECONSTRUCT_PT_looks,)
