# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job does now or how it ended, drawn in the panel of its step."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..blender.scene_folders import is_of_this_file
from ..core.job_state import duration
from ..jobs.running import shown_state
from ..properties.labels import in_panel_words
from .previews import icon_of
from .text import draw_text

# How a job ended, and the icon for it.
_ENDS = {"done": ("finished", "CHECKMARK"), "cancelled": ("cancelled", "CANCEL"), "stopped": ("stopped", "CANCEL")}
# What a job that was stopped at once leaves.
_LEFT = {
    "capture": "Finished views are kept. Capture with the same settings continues",
    "train": "The last checkpoint is kept. Continue resumes from it",
    "proxy": "The result stays as it was",
    "voxels": "There is no result",
}
_NOUNS = {"capture": "Capture", "train": "Training", "proxy": "Proxy", "voxels": "Recognition"}


def draw_job(layout: bpy.types.UILayout, context: bpy.types.Context, kind: str) -> None:
    """Draws the job of a kind, if it is the one that is followed."""
    shown = context.window_manager.reconstruct
    if shown.kind != kind:
        return
    box = layout.box()
    if not is_of_this_file(Path(shown.folder)):
        draw_text(box, f"Of another file: {shown.folder}", context, icon="FILE_FOLDER")
    if shown.status == "running":
        _draw_running(box, shown, context)
    elif shown.status == "failed":
        draw_text(box, in_panel_words(shown.message), context, icon="ERROR")
        if shown.hint:
            draw_text(box, in_panel_words(shown.hint), context, icon="INFO")
    else:
        verb, icon = _ENDS[shown.status]
        took = f" after {duration(shown.seconds)}" if shown.seconds >= 1 and shown.status != "stopped" else ""
        box.label(text=f"{_NOUNS[kind]} {verb}{took}", icon=icon)
        if shown.status == "stopped":
            draw_text(box, _LEFT[kind], context, icon="INFO")
    _draw_numbers(box)
    if shown.warning:
        draw_text(box, in_panel_words(shown.warning), context, icon="ERROR")
    preview = icon_of(shown.preview) if shown.status != "failed" else 0
    if preview:
        box.template_icon(icon_value=preview, scale=9.0)
    if shown.status != "running":
        _draw_buttons(box.row(align=True), shown)


def _draw_running(layout: bpy.types.UILayout, shown: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    state = shown_state()
    words = state.in_words()
    layout.label(text="Ending and saving" if shown.cancelling else words.stage)
    layout.progress(factor=state.fraction or 0.0, text=words.steps or " ")
    # Above what comes and goes, so that they stay where they are and in sight.
    row = layout.row(align=True)
    row.operator("reconstruct.cancel", text="Stop Now" if shown.cancelling else "Cancel", icon="CANCEL")
    _draw_buttons(row, shown)
    if words.time_left and not shown.cancelling:
        layout.label(text=words.time_left, icon="TIME")
    if shown.note:
        draw_text(layout, in_panel_words(shown.note), context, icon="INFO")


def _draw_buttons(row: bpy.types.UILayout, shown: bpy.types.PropertyGroup) -> None:
    row.operator("reconstruct.open_folder", text="Open Folder", icon="FILE_FOLDER").folder = shown.folder


def _draw_numbers(layout: bpy.types.UILayout) -> None:
    numbers = shown_state().in_words().numbers
    if not numbers:
        return
    column = layout.column(align=True)
    column.scale_y = 0.8
    for name, value in numbers:
        row = column.split(factor=0.45)
        row.label(text=name)
        row.label(text=value)
