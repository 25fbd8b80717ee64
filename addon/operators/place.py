# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 4: imported results get their place and their size."""

from dataclasses import replace

import bpy

from ...engine.contract.settings import PlaceSettings
from ..blender.results.measuring import length_of, selected_points, size_of
from ..blender.rooms.placing import place
from ..blender.tagging import kind_of, tagged
from ..properties.schema import to_settings, typed
from .base import Reporting


class RECONSTRUCT_OT_place(Reporting, bpy.types.Operator):
    """Place the selected results as set above"""

    bl_idname = "reconstruct.place"
    bl_label = "Place"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not _results(context):
            cls.poll_message_set("Select an imported result.")
            return False
        return True

    def run(self, context: bpy.types.Context) -> None:
        chosen, results = context.scene.reconstruct.place, _results(context)
        selections = leave_edit_mode(results)
        settings = to_settings(chosen, PlaceSettings)
        if all(tagged(item).get("scale") != "unknown" for item in results):
            # It was meant for another result. These have a size, which only Set Length changes.
            settings = replace(settings, known_length=0.0)
        if settings == PlaceSettings(room_size=settings.room_size):
            self.report({"WARNING"}, "Nothing to do. Turn on On Floor, Move, Turn or Build a Room, then press Place.")
            return
        place(results, settings, selections)
        # A length is for one object and one press.
        chosen.known_length = 0.0
        self.report({"INFO"}, f"Placed {_with_sizes(context, results)}.")


class RECONSTRUCT_OT_set_length(Reporting, bpy.types.Operator):
    """Scale the selected result to a known length of its longest side. In Edit Mode: the distance between two selected points, or the
    longest side of the selection
    """

    bl_idname = "reconstruct.set_length"
    bl_label = "Set Length"
    bl_options = {"REGISTER", "UNDO"}

    length: bpy.props.FloatProperty(
        name="Length", description="Real length of its longest side", subtype="DISTANCE", min=0.0, options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if len(_results(context)) != 1:
            cls.poll_message_set("Select one imported result.")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        def ask() -> None:
            unit, results, edited = context.scene.unit_settings.scale_length, _results(context), context.mode == "EDIT_MESH"
            selections = leave_edit_mode(results)
            try:
                self.length = length_of(results[0], unit, bool(selections)) / unit
            finally:
                if edited:
                    # The dialog may be cancelled.
                    bpy.ops.object.mode_set(mode="EDIT")
            context.window_manager.invoke_props_dialog(self)

        return {"RUNNING_MODAL"} if self.guard(ask) == {"FINISHED"} else {"CANCELLED"}

    def run(self, context: bpy.types.Context) -> None:
        results = _results(context)
        settings = PlaceSettings(known_length=typed(self.length * context.scene.unit_settings.scale_length))
        place(results, settings, leave_edit_mode(results))
        self.report({"INFO"}, f"{_with_sizes(context, results)}.")


def leave_edit_mode(results: list[bpy.types.Object]) -> list[bpy.types.Object]:
    """Switches to Object Mode, where meshes can be read, and where undo brings back what an object was.

    Returns:
        The results of which some points were selected in Edit Mode.
    """
    chosen = [item for item in results if selected_points(item)]
    if bpy.context.mode == "EDIT_MESH":
        bpy.ops.object.mode_set(mode="OBJECT")
    return chosen


def _results(context: bpy.types.Context) -> list[bpy.types.Object]:
    return [item for item in context.selected_objects if kind_of(item) == "result"]


def _with_sizes(context: bpy.types.Context, results: list[bpy.types.Object]) -> str:
    """Names and sizes of results, in meters, or feet and inches where the scene has these."""
    units = context.scene.unit_settings

    def words(item: bpy.types.Object) -> str:
        sides = size_of(item, units.scale_length)
        if units.system != "IMPERIAL":
            return f"{item.name}, {' × '.join(f'{side:.2f}' for side in sides)} m"
        return f"{item.name}, {' × '.join(bpy.utils.units.to_string('IMPERIAL', 'LENGTH', float(side), precision=3) for side in sides)}"

    return "; ".join(map(words, results))


CLASSES = (RECONSTRUCT_OT_place, RECONSTRUCT_OT_set_length)
