# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 1: cameras and the capture."""

import bpy

from ...engine.contract.settings import CaptureSettings
from ..blender.capture.cameras import add_cameras
from ..blender.scene_folders import as_property, claim, own_capture, required_folder
from ..core.journal import made_here
from ..jobs import process, stages
from ..properties.schema import to_settings
from .base import Reporting, StartsJob


class RECONSTRUCT_OT_add_cameras(Reporting, bpy.types.Operator):
    """Add the cameras of the capture to the scene, so that you can check or move them. Replaces cameras added earlier"""

    bl_idname = "reconstruct.add_cameras"
    bl_label = "Add Cameras"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene.reconstruct.capture.rig == "scene":
            cls.poll_message_set("The scene's own cameras are captured as they are.")
            return False
        return True

    def run(self, context: bpy.types.Context) -> None:
        add_cameras(context.scene, to_settings(context.scene.reconstruct.capture, CaptureSettings))


class RECONSTRUCT_OT_capture(StartsJob, bpy.types.Operator):
    """Render the views of the scene into the capture folder. Runs in a second Blender in the background"""

    bl_idname = "reconstruct.capture"
    bl_label = "Capture"

    replace: bpy.props.BoolProperty(name="Replace", description="Replace the existing capture", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._invoked = True
        folder = own_capture(context.scene)
        if made_here(folder):
            self.replace = True
            return context.window_manager.invoke_confirm(
                self,
                event,
                title="Replace the capture?",
                message=f"This renders the views in {as_property(folder)} again.",
                confirm_text="Replace",
                icon="WARNING",
            )
        return self.execute(context)

    def run(self, context: bpy.types.Context) -> None:
        settings = to_settings(context.scene.reconstruct.capture, CaptureSettings)
        claim(context.scene)
        folder = required_folder(settings.out, context.scene)
        if bpy.app.background:
            process.clear_cancel(folder)
            stages.capture_here(context.scene, folder, settings, replace=self.replace)
            return
        self.follow_or_wait(stages.start_capture(context.scene, folder, settings, replace=self.replace), "capture")


CLASSES = (RECONSTRUCT_OT_add_cameras, RECONSTRUCT_OT_capture)
