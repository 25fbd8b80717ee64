# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in a sidebar, which has no lines that wrap."""

from __future__ import annotations

import re
import textwrap

import bpy

from ..properties import label_of_flag

_BUTTONS = {"--resume": "Continue", "--overwrite": "Start Over", "--out": "Folder"}


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


def in_panel_words(text: str) -> str:
    """A message of the engine with the names of buttons and settings in place of the command line's flags."""

    def label(found: re.Match) -> str:
        return _BUTTONS.get(found[0]) or label_of_flag(found[0]) or found[0]

    return re.sub(r"--[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*", label, text)


def duration(seconds: float) -> str:
    """Seconds in words a person reads at a glance: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
