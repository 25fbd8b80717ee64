# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 3 in the sidebar: results come back."""

import bpy

from ...engine.contract.alive import writer_runs
from ...engine.contract.result import RESULT
from ...engine.contract.settings import ImportSettings
from ..blender.scene_folders import result_folder
from ..core import folder_facts
from ..properties.labels import in_panel_words
from .base import Advanced, Step, draw_advanced, draw_button, settings_column
from .job import draw_job
from .text import draw_text

_STATUS = {"running": "Still training", "cancelled": "Ended early", "failed": "Failed", "done": "Finished"}


class RECONSTRUCT_PT_results(Step, bpy.types.Panel):
    """Bring the result into the scene"""

    bl_label = "3  Results"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.reconstruct.import_
        folder = result_folder(context.scene)
        column = settings_column(layout)
        column.prop(settings, "result", text="Result", placeholder="From step 2")
        result = folder_facts.result_in(folder)
        if (error := folder_facts.result_error(folder)) is not None:
            draw_text(layout, in_panel_words(str(error)), context, icon="ERROR")
        elif result is None:
            layout.label(text="No result yet. First train", icon="INFO")
        else:
            status = _STATUS[result.status]
            if result.status == "running" and not writer_runs(folder / RESULT, result.pid, result.pid_started):
                status = "Interrupted. Press Continue in step 2"
            score = f", PSNR {result.metrics['psnr']:.1f} dB" if "psnr" in result.metrics else ""
            layout.label(text=f"{status}{score}", icon="CHECKMARK" if result.status == "done" else "INFO")
        layout.operator("reconstruct.make_proxy", icon="MOD_DECIM")
        draw_job(layout, context, "proxy")
        shown = context.window_manager.reconstruct
        if (shown.kind, shown.status) == ("proxy", "done"):
            layout.label(text="Import the result again to use it", icon="INFO")
        column = settings_column(layout)
        column.prop(settings, "look")
        if result is not None and result.artifact("proxy"):
            column.prop(settings, "lit")
        column.prop(settings, "asset", text="Make It an Asset")
        column.prop(settings, "new_scene", text="Into a New Scene")
        draw_button(layout, "reconstruct.import_result", "Import Result", "IMPORT")
        layout.operator("reconstruct.import_file", text="Import a File …", icon="FILE_FOLDER")
        layout.operator("reconstruct.export_camera_path", text="Export Camera Path …", icon="CAMERA_DATA")


class RECONSTRUCT_PT_results_advanced(Advanced, bpy.types.Panel):
    """Settings of the import that are seldom needed"""

    bl_parent_id = "RECONSTRUCT_PT_results"

    def draw(self, context: bpy.types.Context) -> None:
        draw_advanced(self.layout, context.scene.reconstruct.import_, ImportSettings)


CLASSES = (RECONSTRUCT_PT_results, RECONSTRUCT_PT_results_advanced)
