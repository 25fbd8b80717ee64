# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 4: what imported results are shown as, and results as assets."""

import bpy

from ...engine.contract.errors import UserError
from ..blender.results.assets import make_asset, write_catalog
from ..blender.results.looks import is_lit, looks_of, show, shown_as
from ..blender.tagging import kind_of
from ..core.looks import DESCRIPTIONS, LABELS, LOOKS
from .base import Reporting

_CHOICES = (
    ("active", "As the Active One", "What the active result is shown as"),
    *((look, LABELS[look], DESCRIPTIONS[look]) for look in LOOKS),
)


class RECONSTRUCT_OT_show_as(Reporting, bpy.types.Operator):
    """Show other results the way the active one is shown. Results without that look use the nearest lighter one"""

    bl_idname = "reconstruct.show_as"
    bl_label = "Show As"
    bl_options = {"REGISTER", "UNDO"}

    scope: bpy.props.EnumProperty(
        name="For",
        items=(("SELECTED", "Selected", "The selected results"), ("SCENE", "All", "All results of the scene")),
        default="SCENE",
    )
    viewport: bpy.props.EnumProperty(name="Viewport", items=_CHOICES, options={"SKIP_SAVE"})
    render: bpy.props.EnumProperty(name="Render", items=_CHOICES, options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not any(looks_of(item) for item in context.scene.objects):
            cls.poll_message_set("There is no imported result in this scene.")
            return False
        return True

    def run(self, context: bpy.types.Context) -> None:
        items = context.selected_objects if self.scope == "SELECTED" else context.scene.objects
        results = [item for item in items if looks_of(item)]
        linked = [item for item in results if not item.is_editable]
        viewport, render, lit = self.viewport, self.render, None
        if "active" in (viewport, render):
            active = context.object
            if active is None or not looks_of(active):
                raise UserError("The active object is no imported result.", "Select one, or name the looks.")
            viewport = shown_as(active, "Viewport") if viewport == "active" else viewport
            render = shown_as(active, "Render") if render == "active" else render
            lit = is_lit(active)
        exact = [show(item, viewport, render, lit) for item in results if item.is_editable]
        message = f"{len(exact)} results are shown as {viewport} in the viewport and as {render} in renders."
        if not all(exact):
            message += f" {exact.count(False)} of them do not have that look and show the nearest one."
        if linked:
            message += f" {len(linked)} are linked from other files and were not changed; make a library override to change them."
        self.report({"INFO"}, message)


class RECONSTRUCT_OT_make_asset(Reporting, bpy.types.Operator):
    """Make the selected results assets with a preview image, tags and real sizes, ready to drag into other files"""

    bl_idname = "reconstruct.make_asset"
    bl_label = "Make Asset"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not any(kind_of(item) == "result" and item.is_editable for item in context.selected_objects):
            cls.poll_message_set("Select an imported result.")
            return False
        return True

    def run(self, context: bpy.types.Context) -> None:
        results = [item for item in context.selected_objects if kind_of(item) == "result" and item.is_editable]
        for item in results:
            make_asset(item, context.scene.unit_settings.scale_length)
        message = f"{', '.join(item.name for item in results)}: assets once this file is saved in an asset library."
        if bpy.data.filepath and (file := write_catalog(bpy.data.filepath)):
            message += f" {file} lists your own catalogs and was left as it is, so look for them under Unassigned."
        self.report({"INFO"}, message)


CLASSES = (RECONSTRUCT_OT_show_as, RECONSTRUCT_OT_make_asset)
