# SPDX-License-Identifier: GPL-3.0-or-later
"""Voxels of pictures in the sidebar, and what is made of them."""

import bpy

from ...engine.contract.voxels import VoxelSettings
from ..blender.results.voxel_objects import is_voxels
from .base import Advanced, Step, draw_advanced, draw_button, draw_folder, settings_column
from .job import draw_job
from .text import draw_text

_ADVICE = "One complete piece of furniture in front of a plain or transparent background, from one or more sides"


class RECONSTRUCT_PT_voxels(Step, bpy.types.Panel):
    """Make a rough piece of furniture of a catalog picture, or of a few"""

    bl_label = "Voxels from Pictures"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        chosen = context.scene.reconstruct.voxels
        draw_text(layout, _ADVICE, context, icon="INFO")
        column = settings_column(layout)
        column.prop(chosen.settings, "dimension", text="Known")
        column.prop(chosen.settings, "length")
        draw_folder(column, context, chosen, "out")
        draw_button(layout, "reconstruct.voxels", "Choose Pictures …", "FILE_FOLDER")
        layout.template_ID(chosen, "image", open="image.open")
        if chosen.image is not None:
            layout.template_ID(chosen, "mask", open="image.open", text="Mask")
        layout.operator("reconstruct.voxels_of_image", text="Make Voxels of This Picture", icon="IMAGE_DATA")
        draw_job(layout, context, "voxels")


class RECONSTRUCT_PT_voxels_object(Step, bpy.types.Panel):
    """Change what is made of the voxels of the active object"""

    bl_label = "Change"
    bl_parent_id = "RECONSTRUCT_PT_voxels"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_voxels(context.object)

    def draw(self, context: bpy.types.Context) -> None:
        layout, item = self.layout, context.object
        shown, editing = item.reconstruct.voxels, item.data.is_editmode
        layout.label(text=item.name, icon="OBJECT_DATA")
        column = settings_column(layout)
        column.enabled = item.data.is_editable and not editing
        column.prop(shown, "threshold")
        column.prop(shown, "smoothness")
        column.prop(shown, "dimension", text="Known")
        column.prop(shown, "length")
        if editing:
            draw_text(layout, "Leave Edit Mode to change these", context, icon="INFO")
        elif not item.data.is_editable:
            draw_text(layout, "Its mesh is linked from another file. Make it local to change this", context, icon="INFO")
        elif not item.data.polygons:
            draw_text(layout, "No voxel reaches this threshold. Lower it", context, icon="ERROR")
        else:
            draw_text(layout, "Each change rebuilds the mesh and discards edits to it", context, icon="INFO")


class RECONSTRUCT_PT_voxels_advanced(Advanced, bpy.types.Panel):
    """Settings of the recognition that are seldom needed"""

    bl_parent_id = "RECONSTRUCT_PT_voxels"

    def draw(self, context: bpy.types.Context) -> None:
        draw_advanced(self.layout, context.scene.reconstruct.voxels.settings, VoxelSettings)


def draw_in_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    """The entry in the menu Image of the image editor."""
    self.layout.separator()
    self.layout.operator("reconstruct.voxels_of_image", icon="MESH_CUBE")


CLASSES = (RECONSTRUCT_PT_voxels, RECONSTRUCT_PT_voxels_object, RECONSTRUCT_PT_voxels_advanced)
