# SPDX-License-Identifier: GPL-3.0-or-later
"""What the four panels of the sidebar share."""

from __future__ import annotations

import bpy

from ..blender.scene_folders import moved_home
from ..core.folder_names import HOME
from ..properties.schema import advanced_names, shown_name
from .text import draw_text


class Step:
    """Mix-in of a step's panel in the sidebar tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Reconstruct"


class Advanced(Step):
    """Mix-in of the closed sub-panel with a step's advanced settings."""

    bl_label = "Advanced"
    bl_options = {"DEFAULT_CLOSED"}


def settings_column(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """A column of settings, labels on the left."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    return layout.column()


def draw_advanced(layout: bpy.types.UILayout, group: bpy.types.PropertyGroup, cls: type) -> None:
    """Draws the advanced settings that ``group`` has of the settings dataclass ``cls``."""
    column = settings_column(layout)
    for name in advanced_names(cls):
        draw_setting(column, group, name)


def draw_setting(column: bpy.types.UILayout, group: bpy.types.PropertyGroup, name: str, text: str | None = None) -> None:
    """Draws a setting; lengths are shown and typed in the scene's units."""
    column.prop(group, shown_name(group, name), **({} if text is None else {"text": text}))


def draw_folder(layout: bpy.types.UILayout, context: bpy.types.Context, group: bpy.types.PropertyGroup, name: str) -> None:
    """Draws the setting of a folder in which a scene keeps its data, and where that is after the file or the scene was renamed."""
    layout.prop(group, name)
    if getattr(group, name).startswith(HOME) and (moved := moved_home(context.scene)):
        draw_text(layout, f"Is in {moved}", context, icon="FILE_FOLDER")


def draw_button(layout: bpy.types.UILayout, operator: str, text: str, icon: str) -> bpy.types.OperatorProperties:
    """Draws the button that does the step."""
    row = layout.row()
    row.scale_y = 1.5
    return row.operator(operator, text=text, icon=icon)
