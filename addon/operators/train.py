# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 2: training in the engine."""

import bpy

from ...engine.contract.job import TrainStage
from ...engine.contract.result import RESULT
from ..blender.preferences import engine_python
from ..blender.scene_folders import as_property, capture_folder, claim, own_result, required_folder
from ..core import folder_facts
from ..jobs import stages
from ..properties.schema import to_settings
from .base import StartsJob


class RECONSTRUCT_OT_train(StartsJob, bpy.types.Operator):
    """Train splats or a radiance field from the capture. Runs in the background and continues after you close Blender"""

    bl_idname = "reconstruct.train"
    bl_label = "Train"

    mode: bpy.props.EnumProperty(
        name="Mode",
        items=(
            ("NEW", "New", "Train into a folder without a result"),
            ("RESUME", "Continue", "Continue the existing result for the chosen time or steps"),
            ("REPLACE", "Start Over", "Replace the existing result"),
        ),
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        folder = capture_folder(context.scene)
        if not (context.scene.reconstruct.train.capture and folder_facts.is_folder(folder) or folder_facts.is_own_capture(folder)):
            missing = "There is no capture yet. Capture the scene first, or choose the folder of a capture."
            cls.poll_message_set(folder_facts.folder_error(folder) or missing)
            return False
        return True

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return {
            "NEW": cls.__doc__,
            "RESUME": "Continue training the existing result for the chosen time or number of steps",
            "REPLACE": "Train again and replace the existing result",
        }[properties.mode]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._invoked = True
        folder = own_result(context.scene)
        if self.mode == "REPLACE" and (folder / RESULT).exists():
            return context.window_manager.invoke_confirm(
                self,
                event,
                title="Replace the result?",
                message=f"The result in {as_property(folder)} will be lost.",
                confirm_text="Replace",
                icon="WARNING",
            )
        return self.execute(context)

    def run(self, context: bpy.types.Context) -> None:
        stage = to_settings(context.scene.reconstruct.train, TrainStage)
        claim(context.scene)
        job = stages.start_training(
            capture_folder(context.scene),
            required_folder(stage.out, context.scene),
            stage.settings,
            chosen_python=engine_python(),
            overwrite=self.mode == "REPLACE",
            resume=self.mode == "RESUME",
        )
        self.follow_or_wait(job, "train")


CLASSES = (RECONSTRUCT_OT_train,)
