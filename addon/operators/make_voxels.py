# SPDX-License-Identifier: GPL-3.0-or-later
"""Voxels of pictures: the engine recognizes one piece of furniture, and it comes to stand on the floor."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import bpy
from bpy_extras.io_utils import ImportHelper

from ...engine.contract.errors import UserError
from ...engine.contract.settings import ImportSettings
from ...engine.contract.voxels import VoxelSettings, check_pictures
from ..blender.image_files import picture_file
from ..blender.preferences import engine_python
from ..blender.results.importing import import_result
from ..blender.scene_folders import absolute, claim, required_folder
from ..core.job_state import JobState
from ..jobs import running, stages
from ..jobs.result_folders import free_folder, image_copy
from ..properties.schema import to_settings, typed
from .base import StartsJob, select


class _Recognize(StartsJob):
    """Mix-in of an operator that gathers pictures: what follows."""

    def recognize(self, context: bpy.types.Context, pictures: Sequence[Path], out: Path, masks: Sequence[Path] = ()) -> None:
        """Has the engine work on pictures; what it makes comes into the scene at its end."""
        # One may have been started while the file browser was open.
        running.refuse_second()
        scene = context.scene
        claim(scene)
        unit = scene.unit_settings.scale_length
        chosen = to_settings(scene.reconstruct.voxels.settings, VoxelSettings)
        weights = str(absolute(chosen.weights)) if chosen.weights else ""
        settings = dataclasses.replace(chosen, weights=weights, length=typed(chosen.length * unit))
        job = stages.start_voxels(pictures, out, settings, masks=masks, chosen_python=engine_python())
        identity = scene.session_uid
        after = (lambda state: _arrived(state, identity, out)) if self._invoked else (lambda state: _stand(scene, out))
        self.follow_or_wait(job, "voxels", after)


class RECONSTRUCT_OT_voxels(_Recognize, bpy.types.Operator, ImportHelper):
    """Choose one or more images of the same piece of furniture and make voxels from them"""

    bl_idname = "reconstruct.voxels"
    bl_label = "Make Voxels"

    filter_glob: bpy.props.StringProperty(default="*.png;*.jpg;*.jpeg;*.webp;*.bmp;*.tif;*.tiff", options={"HIDDEN"})
    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    files: bpy.props.CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._invoked = True
        return super().invoke(context, event)

    def run(self, context: bpy.types.Context) -> None:
        pictures = [absolute(self.directory) / item.name for item in self.files if item.name]
        if not pictures and self.filepath and not self.filepath.endswith(("/", "\\")):
            pictures = [absolute(self.filepath)]
        check_pictures(len(pictures))
        out = _free_folder(context.scene, pictures[0].stem)
        self.recognize(context, pictures, out)


class RECONSTRUCT_OT_voxels_of_image(_Recognize, bpy.types.Operator):
    """Make voxels from the image, which may be packed, painted or unsaved"""

    bl_idname = "reconstruct.voxels_of_image"
    bl_label = "Make Voxels of the Picture"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if _image(context) is None:
            cls.poll_message_set("Choose a picture first.")
            return False
        return super().poll(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._invoked = True
        return self.execute(context)

    def run(self, context: bpy.types.Context) -> None:
        image = _image(context)
        chosen = context.scene.reconstruct.voxels
        mask = chosen.mask if image == chosen.image else None
        out = _free_folder(context.scene, Path(image.name).stem)
        masks = [picture_file(mask, image_copy(out, "_mask"))] if mask is not None else []
        self.recognize(context, [picture_file(image, image_copy(out))], out, masks)


def _image(context: bpy.types.Context) -> bpy.types.Image | None:
    """The picture that an image editor shows; elsewhere the one that was chosen in the panel."""
    return getattr(context, "edit_image", None) or context.scene.reconstruct.voxels.image


def _free_folder(scene: bpy.types.Scene, stem: str) -> Path:
    """A folder for a new result, named after its picture."""
    return free_folder(required_folder(scene.reconstruct.voxels.out, scene), bpy.path.clean_name(stem) or "voxels")


def _stand(scene: bpy.types.Scene, out: Path) -> bpy.types.Object:
    """Brings a result in, on the floor under the 3D cursor, as a step that can be undone. The press of the button was none: until the
    engine was done, nothing had changed.
    """
    (item,) = import_result(scene, out, ImportSettings())
    item.location = (*scene.cursor.location[:2], 0.0)
    if bpy.context.mode == "OBJECT":
        select([item])
    windows = bpy.context.window_manager.windows
    with bpy.context.temp_override(**({"window": windows[0]} if windows else {})):
        bpy.ops.ed.undo_push(message="Make Voxels")
    return item


def _arrived(state: JobState, identity: int, out: Path) -> None:
    """Brings the result of a job in that a window waited for."""
    shown = bpy.context.window_manager.reconstruct
    if state.status != "done":
        return
    scene = next((scene for scene in bpy.data.scenes if scene.session_uid == identity), None)
    if scene is None:
        shown.warning = f"Its scene is not open any more. Import the result from {out} in step 3."
        running.redraw()
        return
    try:
        _stand(scene, out)
    except (UserError, OSError) as error:
        shown.status, shown.message, shown.hint = "failed", getattr(error, "message", str(error)), getattr(error, "hint", "")
        running.redraw()


CLASSES = (RECONSTRUCT_OT_voxels, RECONSTRUCT_OT_voxels_of_image)
