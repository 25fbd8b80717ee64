# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 4: what was imported stands in a room."""

import bpy

from ...engine.contract.settings import PlaceSettings
from ..properties import to_settings
from ..results.tagging import kind_of
from ..rooms.placing import place
from .base import Told


class RECONSTRUCT_OT_place(Told, bpy.types.Operator):
    """Move the selected results to their place"""

    bl_idname = "reconstruct.place"
    bl_label = "Place"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not any(kind_of(item) == "result" for item in context.selected_objects):
            cls.poll_message_set("Select a result that you imported.")
            return False
        return True

    def run(self, context: bpy.types.Context) -> None:
        place(list(context.selected_objects), to_settings(context.scene.reconstruct.place, PlaceSettings))


CLASSES = (RECONSTRUCT_OT_place,)
