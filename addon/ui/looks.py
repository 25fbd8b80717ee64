# SPDX-License-Identifier: GPL-3.0-or-later
"""What an imported result is shown as, in the sidebar's fourth step."""

from pathlib import Path

import bpy

from ..blender.compat import draw_modifier_input, has_modifier_input
from ..blender.noise import CLEAN_SAMPLES, renders_noisy
from ..blender.results.looks import VIEWPORT_SPLATS, look_modifier, looks_of
from ..blender.results.voxel_objects import is_voxels
from ..blender.tagging import tagged
from ..core import folder_facts
from ..core.looks import LOOKS
from .base import Step, settings_column
from .text import draw_text

_NOISY = f"This Blender has no denoiser. For clean renders set Max Samples to {CLEAN_SAMPLES} (Render Properties > Sampling > Render)"


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
            layout.label(text="Select an imported result", icon="INFO")
            return
        later = _made_later(item, held)
        if later:
            draw_text(layout, f"Its result has a {later} now. Import it again to use that", context, icon="INFO")
        column = settings_column(layout)
        shown = item.reconstruct
        column.prop(shown, "viewport", icon="RESTRICT_VIEW_OFF")
        column.prop(shown, "render", icon="RESTRICT_RENDER_OFF")
        if renders_noisy(context.scene):
            draw_text(column, _NOISY, context, icon="INFO")
        if "proxy" in held or "mesh" in held:
            column.prop(shown, "lit")
        if "splats" in held and has_modifier_input(look_modifier(item), VIEWPORT_SPLATS):
            draw_modifier_input(column, look_modifier(item), VIEWPORT_SPLATS, "Splats up to")
        row = layout.row(align=True)
        row.label(text="The same for")
        for scope, text in (("SELECTED", "Selected"), ("SCENE", "All")):
            row.operator("reconstruct.show_as", text=text).scope = scope
        layout.operator("reconstruct.make_asset", icon="ASSET_MANAGER")


def _made_later(item: bpy.types.Object, held: list[str]) -> str:
    """A look that the result has and its object has not, such as a proxy made since the import; "" where there is none."""
    folder = tagged(item).get("folder")
    result = folder_facts.result_in(Path(folder)) if folder else None
    return next((look for look in reversed(LOOKS) if look not in held and result.artifact(look)), "") if result is not None else ""


CLASSES = (RECONSTRUCT_PT_looks,)
