# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 3: results come back into Blender."""

from pathlib import Path

import bpy
from bpy_extras.io_utils import ImportHelper

from ...engine.contract.result import RESULT
from ...engine.contract.settings import ImportSettings
from ..jobs.folders import result_folder
from ..properties import to_settings
from ..results.importing import import_file, import_result
from ..results.tagging import tagged
from .base import Told


class RECONSTRUCT_OT_import_result(Told, bpy.types.Operator):
    """Bring the trained result into the scene, at the place and size where it was captured"""

    bl_idname = "reconstruct.import_result"
    bl_label = "Import Result"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        settings = context.scene.reconstruct.import_
        if not (result_folder(context.scene) / RESULT).is_file():
            cls.poll_message_set("There is no result yet. Train first, or choose the folder of a result.")
            return False
        if not (settings.points or settings.splats):
            cls.poll_message_set("Switch on Points or Splats.")
            return False
        return True

    def run(self, context: bpy.types.Context) -> None:
        settings = to_settings(context.scene.reconstruct.import_, ImportSettings)
        folder = result_folder(context.scene)
        scene = bpy.data.scenes.new("Reconstruct") if settings.new_scene else context.scene
        try:
            made = import_result(scene, folder, settings)
        except BaseException:
            if settings.new_scene:
                bpy.data.scenes.remove(scene)
            raise
        if settings.new_scene and context.window is not None:
            context.window.scene = scene
        _tell(self, made)


class RECONSTRUCT_OT_import_file(Told, bpy.types.Operator, ImportHelper):
    """Bring in a file of splats or points that another program made"""

    bl_idname = "reconstruct.import_file"
    bl_label = "Import File"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: bpy.props.StringProperty(default="*.ply;*.spz;*.splat;*.glb", options={"HIDDEN"})

    def run(self, context: bpy.types.Context) -> None:
        settings = to_settings(context.scene.reconstruct.import_, ImportSettings)
        _tell(self, import_file(context.scene, Path(self.filepath), settings))


def _tell(operator: bpy.types.Operator, objects: list[bpy.types.Object]) -> None:
    """Selects what came in, so that it can be placed, and says so."""
    for item in bpy.context.selected_objects:
        item.select_set(False)
    layer = bpy.context.view_layer
    for item in objects:
        if item.name in layer.objects:
            item.select_set(True)
            layer.objects.active = item
    notes = [note for item in objects if (note := tagged(item).get("note"))]
    operator.report({"INFO"}, " ".join([f"Imported {', '.join(item.name for item in objects)}.", *notes]))


CLASSES = (RECONSTRUCT_OT_import_result, RECONSTRUCT_OT_import_file)
