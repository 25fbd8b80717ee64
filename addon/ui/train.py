# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 2 in the sidebar: training, and how it goes."""

import bpy

from ...engine.contract.methods import METHODS
from ...engine.contract.settings import TrainSettings
from ..blender.scene_folders import capture_folder, own_result
from ..core import folder_facts
from ..jobs.result_folders import holds_others, is_replaceable
from ..properties.labels import in_panel_words
from .base import Advanced, Step, draw_advanced, draw_button, draw_folder, settings_column
from .job import draw_job
from .text import draw_text


class RECONSTRUCT_PT_train(Step, bpy.types.Panel):
    """Train splats or a radiance field from the captured views"""

    bl_label = "2  Train"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        stage = context.scene.reconstruct.train
        settings = stage.settings
        views = folder_facts.view_count(capture_folder(context.scene))
        if not stage.capture and not views:
            layout.label(text="First capture the scene,", icon="INFO")
            layout.label(text="or choose a capture here:", icon="BLANK1")
        column = settings_column(layout)
        column.prop(stage, "capture", text="Capture", placeholder="From step 1")
        if stage.capture and (reason := folder_facts.folder_error(capture_folder(context.scene))):
            draw_text(column, reason, context, icon="ERROR")
        column.prop(settings, "method")
        draw_text(column, settings.bl_rna.properties["method"].enum_items[settings.method].description, context, icon="INFO")
        row = column.row()
        row.prop(settings, "budget", expand=True)
        column.prop(settings, settings.budget, text=" ")
        column.prop(settings, "device")
        for name in METHODS[settings.method].panel:
            column.prop(getattr(settings, settings.method), name)
        folder = own_result(context.scene)
        draw_folder(column, context, stage, "out")
        error = folder_facts.result_error(folder)
        if error is not None:
            draw_text(layout, in_panel_words(str(error)), context, icon="ERROR")
            column = layout.column(align=True)
            if is_replaceable(folder):
                draw_button(column, "reconstruct.train", "Start Over", "FILE_REFRESH").mode = "REPLACE"
            draw_button(column, "reconstruct.new_folder", "Use Another Folder", "NEWFOLDER").step = "train"
        elif holds_others(folder) and context.window_manager.reconstruct.status != "running":
            draw_text(layout, f"{folder} holds other files, so no result is written there", context, icon="ERROR")
            draw_button(layout, "reconstruct.new_folder", "Use Another Folder", "NEWFOLDER").step = "train"
        elif folder_facts.result_in(folder) is None:
            draw_button(layout, "reconstruct.train", "Train", "PLAY").mode = "NEW"
        else:
            row = layout.row(align=True)
            draw_button(row, "reconstruct.train", "Continue", "PLAY").mode = "RESUME"
            draw_button(row, "reconstruct.train", "Start Over", "FILE_REFRESH").mode = "REPLACE"
        draw_job(layout, context, "train")


class RECONSTRUCT_PT_train_advanced(Advanced, bpy.types.Panel):
    """Settings of the training that are seldom needed"""

    bl_parent_id = "RECONSTRUCT_PT_train"

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.reconstruct.train.settings
        settings_column(self.layout).prop(settings, "blend")
        draw_advanced(self.layout, settings, TrainSettings)
        draw_advanced(self.layout, getattr(settings, settings.method), METHODS[settings.method].settings)


CLASSES = (RECONSTRUCT_PT_train, RECONSTRUCT_PT_train_advanced)
