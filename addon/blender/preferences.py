# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on's preferences hold."""

import bpy

# The extension's own name: bl_ext.<repository>.reconstruct
EXTENSION = __package__.removesuffix(".addon.blender")


def engine_python() -> str:
    """The engine's Python that the preferences name, empty where none is set."""
    addons = bpy.context.preferences.addons
    addon = addons.get(EXTENSION) or next((item for item in addons if item.module.rpartition(".")[2] == "reconstruct"), None)
    path = getattr(addon and addon.preferences, "engine_python", "")
    return bpy.path.abspath(path) if path else ""
