# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 1 in the sidebar: which views are rendered."""

import bpy

from ...engine.contract.settings import CaptureSettings
from ...engine.formats.transforms import TRANSFORMS
from ..blender.capture.cameras import ignores_shown_cameras
from ..blender.scene_folders import own_capture
from ..core import folder_facts
from ..core.journal import is_unfinished
from ..properties.schema import to_settings
from .base import Advanced, Step, draw_advanced, draw_button, draw_folder, settings_column
from .job import draw_job
from .text import draw_text


class RECONSTRUCT_PT_capture(Step, bpy.types.Panel):
    """Render the room or an object from many sides"""

    bl_label = "1  Capture"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.reconstruct.capture
        column = settings_column(layout)
        column.prop(settings, "rig", text="Cameras")
        if settings.rig in ("orbit", "both"):
            column.prop_search(settings, "orbit_object", bpy.data, "objects", text="Object")
        if settings.rig == "orbit":
            column.prop(settings, "only_object")
        column.prop(settings, "world")
        column.prop(settings, "views")
        if settings.rig != "scene":
            column.prop(settings, "field_of_view")
        if settings.rig in ("room", "both"):
            column.prop(settings, "eye_height")
        size = column.column(align=True)
        size.prop(settings, "width")
        size.prop(settings, "height")
        column.prop(settings, "samples")
        draw_folder(column, context, settings, "out")
        if settings.rig != "scene":
            layout.operator("reconstruct.add_cameras", text="Show Cameras", icon="OUTLINER_OB_CAMERA")
            if ignores_shown_cameras(context.scene, to_settings(settings, CaptureSettings)):
                draw_text(layout, "Settings changed: the shown cameras are not used", context, icon="ERROR")
        folder = own_capture(context.scene)
        views = folder_facts.view_count(folder)
        if error := folder_facts.folder_error(folder):
            draw_text(layout, error, context, icon="ERROR")
        elif (folder / TRANSFORMS).exists() and not folder_facts.is_own_capture(folder):
            draw_text(layout, f"{folder} holds a capture of another program, which is kept", context, icon="ERROR")
            draw_button(layout, "reconstruct.new_folder", "Use Another Folder", "NEWFOLDER").step = "capture"
        else:
            draw_button(layout, "reconstruct.capture", "Capture", "RENDER_STILL")
        draw_job(layout, context, "capture")
        if context.window_manager.reconstruct.status == "running":
            return
        if not error and is_unfinished(folder):
            draw_text(layout, "An interrupted capture is here. Capture with the same settings continues it", context, icon="INFO")
        elif views:
            layout.label(text=f"{views} views captured. Next: Train", icon="CHECKMARK")


class RECONSTRUCT_PT_capture_advanced(Advanced, bpy.types.Panel):
    """Settings of the capture that are seldom needed"""

    bl_parent_id = "RECONSTRUCT_PT_capture"

    def draw(self, context: bpy.types.Context) -> None:
        draw_advanced(self.layout, context.scene.reconstruct.capture, CaptureSettings)


CLASSES = (RECONSTRUCT_PT_capture, RECONSTRUCT_PT_capture_advanced)
