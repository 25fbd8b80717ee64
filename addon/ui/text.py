# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in a sidebar, which has no lines that wrap."""

from __future__ import annotations

import textwrap

import bpy


def draw_text(layout: bpy.types.UILayout, text: str, context: bpy.types.Context, icon: str = "NONE") -> None:
    """Draws a text in as many lines as the region's width needs, the icon beside the first."""
    scale = context.preferences.system.ui_scale
    characters = max(20, int(context.region.width / (7.0 * scale)) - 8)
    column = layout.column(align=True)
    column.scale_y = 0.8
    first = True
    for paragraph in text.splitlines():
        for line in textwrap.wrap(paragraph, characters) or [""]:
            column.label(text=line, icon=icon if first else "BLANK1" if icon != "NONE" else "NONE")
            first = False
