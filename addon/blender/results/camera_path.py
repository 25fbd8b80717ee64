# SPDX-License-Identifier: GPL-3.0-or-later
"""The animated camera as a path that the engine renders along."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from ....engine.cameras import Camera, rigid_pose
from ....engine.contract.errors import UserError
from ....engine.formats.transforms import TRANSFORMS, write_transforms
from ...core.journal import IMAGES, unwritable
from ..capture.cameras import read_camera
from ..capture.export import frame_of
from ..capture.space import render_layer
from ..tagging import tagged
from .edits import applied_transform
from .measuring import captured_origin

_EVEN = 1e-3
_SOURCE = "blender"


def export_path(
    scene: bpy.types.Scene,
    file: Path,
    first: int,
    last: int,
    step: int = 1,
    *,
    result: bpy.types.Object | None = None,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> int:
    """Writes what the scene's camera sees from frame to frame as a transforms.json without pictures. The scene is left as it is.

    A marker that is bound to a camera switches to it, as in an animation that Blender renders.

    Args:
        scene: gives camera, size and frames in a second.
        file: receives the path; each view is called by its frame's number.
        first, last, step: the frames.
        result: an imported result, which may have been moved, turned and scaled since: the path is relative to where it was captured.
            None gives it in the scene's own axes.
        progress: called with (done, all).

    Returns:
        How many views were written.

    Raises:
        UserError: there is no camera or one that is not perspective, the frames are none, the result is not scaled evenly, or the file
            cannot be written or is none of ours.
    """
    if last < first or step < 1:
        raise UserError(f"There are no frames from {first} to {last} in steps of {step}.", "Let the last frame follow the first.")
    if file.name == TRANSFORMS and (file.parent / IMAGES).is_dir():
        raise UserError(f"{file} holds the cameras of a capture.", "Choose another name or folder for the path.", "exists")
    if file.exists() and not _is_path(file):
        raise UserError(f"{file} is there already, and is no camera path of Reconstruct.", "Choose another name or folder.", "exists")
    numbers = range(first, last + 1, step)
    frame, subframe, camera = scene.frame_current, scene.frame_subframe, scene.camera
    frames = []
    try:
        for done, number in enumerate(numbers):
            progress(done, len(numbers))
            scene.frame_set(number)
            if scene.camera is None:
                raise UserError(f"The scene {scene.name} has no camera.", "Add a camera, and make it the active one.", "no_camera")
            seen = _from_result(scene, read_camera(scene, scene.camera), result)
            name = f"{number:04d}.png"
            frames.append(frame_of(name, file.parent / name, seen))
    finally:
        scene.frame_set(frame, subframe=subframe)
        scene.camera = camera
    progress(len(numbers), len(numbers))
    scale = "unknown" if result is not None and tagged(result).get("scale") == "unknown" else "metric"
    rate = scene.render.fps / scene.render.fps_base / step
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_transforms(file.parent, frames, source=_SOURCE, scale=scale, extra={"fps": rate}, name=file.name)
    except OSError as error:
        raise unwritable(file.parent, error) from None
    return len(frames)


def _is_path(file: Path) -> bool:
    """Whether a file is a path that was exported before; a capture of ours has no ``fps``."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        table = json.loads(file.read_text(encoding="utf-8"))
        return isinstance(table, dict) and table.get("source") == _SOURCE and "fps" in table
    return False


def _from_result(scene: bpy.types.Scene, camera: Camera, result: bpy.types.Object | None) -> Camera:
    """A camera as it stands to a result that is where it was captured."""
    if result is None:
        return camera
    values, unit = tagged(result), scene.unit_settings.scale_length
    matrix = np.array(result.evaluated_get(render_layer(scene).depsgraph).matrix_world, dtype=np.float64) @ applied_transform(result)
    axes = matrix[:3, :3]
    size = np.cbrt(np.linalg.det(axes))
    if not size > 0 or np.abs(axes.T @ axes - size**2 * np.eye(3)).max() > _EVEN * size**2:
        raise UserError(f"{result.name} is mirrored, or not scaled alike in all directions.", "Give it one scale for all three axes.")
    upright = np.reshape(values.get("turn", np.eye(3)), (3, 3))
    pose = camera.camera_to_world.copy()
    pose[:3, :3] = upright.T @ (axes.T / size @ pose[:3, :3])
    seen = axes.T @ (camera.position / unit - matrix[:3, 3]) / size**2 * values.get("unit", unit)
    pose[:3, 3] = upright.T @ (seen + captured_origin(result))
    # The object's matrix has 32 bits, a pose in a file is rigid to more.
    return replace(camera, camera_to_world=rigid_pose(pose))
