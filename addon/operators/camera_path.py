# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 3: the animated camera becomes a path that the engine renders along."""

import bpy
from bpy_extras.io_utils import ExportHelper

from ...engine.contract.errors import UserError
from ..blender.results.camera_path import export_path
from ..blender.results.voxel_objects import is_voxels
from ..blender.scene_folders import absolute
from ..blender.tagging import kind_of
from .base import Reporting


class RECONSTRUCT_OT_export_camera_path(Reporting, bpy.types.Operator, ExportHelper):
    """Write the animated camera to a file that the engine renders along. The path is relative to the imported result, wherever it is now"""

    bl_idname = "reconstruct.export_camera_path"
    bl_label = "Export Camera Path"

    filename_ext = ".json"
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})
    first: bpy.props.IntProperty(name="First Frame", description="First frame of the path", options={"SKIP_SAVE"})
    last: bpy.props.IntProperty(name="Last Frame", description="Last frame of the path", options={"SKIP_SAVE"})
    step: bpy.props.IntProperty(name="Step", description="Frames from one view to the next", default=1, min=1, options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene.camera is None:
            cls.poll_message_set("The scene has no active camera. Add one, and animate it.")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._fill(context.scene)
        # Before the first save the file browser knows a better folder than we do.
        self.filepath = bpy.path.abspath("//camera_path.json") if bpy.data.filepath else "camera_path.json"
        return super().invoke(context, event)

    def run(self, context: bpy.types.Context) -> None:
        self._fill(context.scene)
        file, manager, result = absolute(self.filepath), context.window_manager, _seen_result(context)
        manager.progress_begin(0, 100)
        try:
            count = export_path(
                context.scene,
                file,
                self.first,
                self.last,
                self.step,
                result=result,
                progress=lambda done, all: manager.progress_update(100 * done // all),
            )
        finally:
            manager.progress_end()
        origin = "relative to the capture, because no result is imported" if result is None else f"relative to {result.name}"
        command = f"python -m engine render RESULT --cameras {file.name} --out film.mp4"
        self.report({"INFO"}, f"{file}: {count} views, {origin}. For a film: {command}")

    def _fill(self, scene: bpy.types.Scene) -> None:
        """The scene's own frames where none are given."""
        for name, own in (("first", scene.frame_start), ("last", scene.frame_end), ("step", scene.frame_step)):
            if not self.properties.is_property_set(name):
                setattr(self, name, own)


def _seen_result(context: bpy.types.Context) -> bpy.types.Object | None:
    """The imported result that a path is relative to: the active one, else the only one; None where there is none.

    Raises:
        UserError: there are several, and none is active.
    """
    # Voxels were seen by no camera of ours.
    results = [item for item in context.scene.objects if kind_of(item) == "result" and not is_voxels(item)]
    active = context.view_layer.objects.active
    if active in results:
        return active
    if len(results) > 1:
        raise UserError(f"There are {len(results)} imported results.", "Select the one that is to be rendered along the path.")
    return results[0] if results else None


CLASSES = (RECONSTRUCT_OT_export_camera_path,)
