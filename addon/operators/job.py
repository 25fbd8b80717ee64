# SPDX-License-Identifier: GPL-3.0-or-later
"""The job that runs now, and its folder."""

import bpy

from ...engine.contract.errors import UserError
from ..blender.scene_folders import absolute, required_folder
from ..jobs import running
from .base import Reporting


class RECONSTRUCT_OT_cancel(Reporting, bpy.types.Operator):
    """Stop the job after it has saved its progress. Press again to stop it at once"""

    bl_idname = "reconstruct.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if running.current() is None:
            cls.poll_message_set("No job is running.")
            return False
        return True

    def run(self, context: bpy.types.Context) -> None:
        running.cancel()


class RECONSTRUCT_OT_new_folder(Reporting, bpy.types.Operator):
    """Write to a new folder beside the chosen one, which is not changed"""

    bl_idname = "reconstruct.new_folder"
    bl_label = "Use Another Folder"
    bl_options = {"REGISTER", "UNDO"}

    step: bpy.props.EnumProperty(
        name="Step",
        items=(("capture", "Capture", "The folder of captures"), ("train", "Train", "The folder of results")),
        options={"SKIP_SAVE"},
    )

    def run(self, context: bpy.types.Context) -> None:
        group = getattr(context.scene.reconstruct, self.step)
        chosen = group.out.rstrip("/\\")
        required_folder(chosen, context.scene)
        number = 2
        while absolute(f"{chosen}_{number}", context.scene).exists():
            number += 1
        group.out = f"{chosen}_{number}"


class RECONSTRUCT_OT_open_folder(Reporting, bpy.types.Operator):
    """Show the folder in the system's file browser"""

    bl_idname = "reconstruct.open_folder"
    bl_label = "Open Folder"

    folder: bpy.props.StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"})

    def run(self, context: bpy.types.Context) -> None:
        folder = required_folder(self.folder)
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder} yet.")
        bpy.ops.wm.path_open(filepath=str(folder))


CLASSES = (RECONSTRUCT_OT_cancel, RECONSTRUCT_OT_new_folder, RECONSTRUCT_OT_open_folder)
