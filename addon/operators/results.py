# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 3: results come back into Blender."""

from collections.abc import Callable

import bpy
from bpy_extras.io_utils import ImportHelper

from ...engine.contract.settings import ImportSettings, ProxySettings
from ...engine.contract.voxels import METHOD as VOXELS
from ..blender.preferences import engine_python
from ..blender.results.importing import import_file, import_result
from ..blender.results.looks import looks_of, shown_as
from ..blender.rooms.rendering import empty_scene
from ..blender.scene_folders import absolute, as_property, chosen_folders, result_folder
from ..blender.tagging import tagged
from ..core import folder_facts
from ..jobs import stages
from ..properties.schema import to_settings
from .base import Reporting, StartsJob, select

_NO_RESULT = "There is no result yet. Train first, or choose the folder of a result."


class RECONSTRUCT_OT_import_result(Reporting, bpy.types.Operator):
    """Import the trained result at the position and size at which it was captured"""

    bl_idname = "reconstruct.import_result"
    bl_label = "Import Result"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        folder = result_folder(context.scene)
        if folder_facts.result_in(folder) is None and folder_facts.result_error(folder) is None:
            cls.poll_message_set(_NO_RESULT)
            return False
        return True

    def run(self, context: bpy.types.Context) -> None:
        settings = to_settings(context.scene.reconstruct.import_, ImportSettings)
        folder = result_folder(context.scene)
        _bring(self, context, settings, lambda scene: import_result(scene, folder, settings))


class RECONSTRUCT_OT_make_proxy(StartsJob, bpy.types.Operator):
    """Make a light, closed, textured mesh from the result, which takes a minute or two. Import the result again to use it"""

    bl_idname = "reconstruct.make_proxy"
    bl_label = "Make Proxy"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        result = folder_facts.result_in(result_folder(context.scene))
        if result is None or result.method == VOXELS:
            error = folder_facts.result_error(result_folder(context.scene))
            cls.poll_message_set(str(error) if error else _NO_RESULT if result is None else "Voxels are a light mesh already.")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._invoked = True
        return self.execute(context)

    def run(self, context: bpy.types.Context) -> None:
        job = stages.start_proxy(result_folder(context.scene), ProxySettings(), chosen_python=engine_python())
        self.follow_or_wait(job, "proxy")


class RECONSTRUCT_OT_import_file(Reporting, bpy.types.Operator, ImportHelper):
    """Import a file of splats or points from another program (PLY, SPZ, .splat, or GLB with splats)"""

    bl_idname = "reconstruct.import_file"
    bl_label = "Import File"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: bpy.props.StringProperty(default="*.ply;*.spz;*.splat;*.glb", options={"HIDDEN"})
    axes: bpy.props.EnumProperty(
        name="Axes",
        description="Which way is up in the file. Choose another if the import lies on its side or is upside down",
        items=(
            ("auto", "As the Format", "Y up for SPZ and GLB, Z up for points, Y down for .splat and for splats in PLY that name no axes"),
            ("z-up", "Z Up", "As Blender"),
            ("y-up", "Y Up", "As glTF and SPZ"),
            ("y-down", "Y Down", "As COLMAP, and most published splats in PLY and .splat"),
        ),
    )

    def run(self, context: bpy.types.Context) -> None:
        settings = to_settings(context.scene.reconstruct.import_, ImportSettings)
        axes = None if self.axes == "auto" else self.axes
        _bring(self, context, settings, lambda scene: import_file(scene, absolute(self.filepath), settings, axes, engine_python()))


def _bring(
    operator: bpy.types.Operator,
    context: bpy.types.Context,
    settings: ImportSettings,
    bring: Callable[[bpy.types.Scene], list[bpy.types.Object]],
) -> None:
    """Brings something into the scene, or into a new one that is shown then, and tells of it."""
    scene = _new_scene(context.scene) if settings.new_scene else context.scene
    try:
        made = bring(scene)
    except BaseException:
        if settings.new_scene:
            bpy.data.scenes.remove(scene)
        raise
    if settings.new_scene and context.window is not None:
        context.window.scene = scene
    _tell(operator, made)


def _new_scene(source: bpy.types.Scene) -> bpy.types.Scene:
    """An empty scene with the units and folders of another one, which shows colors as they were captured."""
    scene = empty_scene(source)
    for (chosen, name), (own, _) in zip(chosen_folders(source), chosen_folders(scene), strict=True):
        folder = getattr(chosen, name)
        # The default names the scene.
        same = not folder or absolute(folder, source) == absolute(folder, scene)
        setattr(own, name, folder if same else as_property(absolute(folder, source)))
    return scene


def _tell(operator: bpy.types.Operator, objects: list[bpy.types.Object]) -> None:
    """Selects what came in, so that it can be placed, and says so."""
    select(objects)
    notes = [note for item in objects if (note := tagged(item).get("note"))] + _show_colors(objects)
    operator.report({"INFO"}, " ".join([f"Imported {', '.join(item.name for item in objects)}.", *notes]))


def _show_colors(objects: list[bpy.types.Object]) -> list[str]:
    """Has the view that the button was pressed in show materials, if it would show points without their colors; says so."""
    space = bpy.context.space_data
    gray = any(looks_of(item) and shown_as(item, "Viewport") in ("points", "splats") for item in objects)
    if not gray or space is None or space.type != "VIEW_3D" or space.shading.type != "SOLID":
        return []
    space.shading.type = "MATERIAL"
    return ["The view was switched to Material Preview, because Solid shows points in gray."]


CLASSES = (RECONSTRUCT_OT_import_result, RECONSTRUCT_OT_make_proxy, RECONSTRUCT_OT_import_file)
