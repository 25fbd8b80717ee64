# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera objects in Blender: those that the rigs add, and any other read as an engine camera."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix

from ...engine.cameras import Camera, blender_intrinsics, rigid_pose
from ...engine.contract.errors import UserError
from ...engine.contract.settings import CaptureSettings
from . import rigs, space

COLLECTION = "Reconstruct cameras"
TAG = "reconstruct_camera"
# How far room cameras keep from everything, metres; small or low rooms leave less.
_CLEARANCES = (0.35, 0.2, 0.1)


@dataclass(frozen=True)
class Stand:
    """A view to be captured: its name, its pose (camera-to-world in metres, [4, 4], rigid), and the camera data that it is seen through."""

    name: str
    pose: np.ndarray
    lens: bpy.types.Camera


def add_cameras(scene: bpy.types.Scene, settings: CaptureSettings) -> list[bpy.types.Object]:
    """Adds the cameras of the chosen rig to the scene, in place of those added before.

    A capture with the same settings uses them as they then stand, moved or not.

    Args:
        scene: the scene.
        settings: rig, number of views, field of view and size.

    Returns:
        The camera objects, in the order of their names.

    Raises:
        UserError: the rig is "scene", nothing renders, or there is no free place for a camera.
    """
    if settings.rig == "scene":
        raise UserError("The rig is set to the scene's own cameras.", "Choose room, orbit or both to have cameras added.")
    poses = plan(scene, settings)
    remove_cameras(scene)
    collection = bpy.data.collections.new(COLLECTION)
    collection[TAG] = _wish(settings)
    scene.collection.children.link(collection)
    lens = _lens(scene, settings)
    made = []
    for name, pose in poses:
        thing = bpy.data.objects.new(name, lens)
        thing[TAG] = True
        collection.objects.link(thing)
        thing.matrix_world = Matrix(in_units(pose, scene))
        made.append(thing)
    return made


@contextmanager
def stands(scene: bpy.types.Scene, settings: CaptureSettings) -> Iterator[list[Stand]]:
    """The views that a capture renders: the scene's cameras, the rig's that were added with the same settings, or else a rig made for it.

    Raises:
        UserError: nothing renders; no camera, or one that cannot be captured; no free place for a rig.
    """
    if not space.renders(scene):
        raise space.nothing_renders(scene)
    own = scene_cameras(scene) if settings.rig == "scene" else _added(scene, settings)
    if own:
        yield _named([(thing.name, read_camera(scene, thing).camera_to_world, thing.data) for thing in own])
        return
    lens = _lens(scene, settings)
    try:
        yield [Stand(name, pose, lens) for name, pose in plan(scene, settings)]
    finally:
        bpy.data.cameras.remove(lens)


def plan(scene: bpy.types.Scene, settings: CaptureSettings) -> list[tuple[str, np.ndarray]]:
    """Names and poses (camera-to-world in metres, [4, 4]) of a rig's cameras, without adding them.

    A scene without a room around it, such as a single object, is circled instead.

    Raises:
        UserError: nothing renders, or there is no free place for a camera.
    """
    place = space.read_space(scene)
    across = math.radians(settings.field_of_view)
    aspect = settings.width * scene.render.pixel_aspect_x / (settings.height * scene.render.pixel_aspect_y)
    circling = {"room": 0, "orbit": settings.views, "both": round(settings.views * settings.orbit_share)}[settings.rig]
    poses: list[tuple[str, np.ndarray]] = []
    if circling < settings.views:
        wanted = settings.views - circling, settings.eye_height, across, aspect, settings.seed
        tried = (rigs.room(place, *wanted, clearance) for clearance in (_CLEARANCES if place.walled else _CLEARANCES[:1]))
        found = next((poses for poses in tried if poses), [])
        if not found and not place.walled:
            found = rigs.orbit(place, place.low, place.high, settings.views - circling, across, aspect, settings.seed)
        if not found:
            raise UserError(f"The scene {scene.name} has no free place for a camera.", "Clear some floor, or use the scene's own cameras.")
        poses += [(f"room_{index:03d}", pose) for index, pose in enumerate(found)]
    if circling:
        low, high = space.object_bounds(scene, settings.orbit_object)
        found = rigs.orbit(place, low, high, circling, across, aspect, settings.seed)
        if not found:
            raise UserError("The object to circle is hidden from every side.", "Choose an object with free space before it.")
        poses += [(f"orbit_{index:03d}", pose) for index, pose in enumerate(found)]
    return poses


def remove_cameras(scene: bpy.types.Scene) -> None:
    """Removes the cameras that :func:`add_cameras` added to the scene, and nothing else."""
    lenses = set()
    for thing in [thing for thing in scene.objects if thing.get(TAG)]:
        lenses.add(thing.data)
        bpy.data.objects.remove(thing)
    for lens in lenses:
        if lens is not None and lens.get(TAG) and lens.users == 0:
            bpy.data.cameras.remove(lens)
    for collection in [c for c in scene.collection.children_recursive if c.get(TAG)]:
        if not collection.all_objects and not collection.children:
            bpy.data.collections.remove(collection)


def scene_cameras(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The scene's cameras that are visible in renders, by name.

    Raises:
        UserError: there is none.
    """
    found = _shown_cameras(space.in_shown_collections(scene.collection))
    if not found:
        raise UserError(f"The scene {scene.name} has no camera.", "Add a camera, or choose a rig that adds them.", "no_camera")
    return found


def read_camera(scene: bpy.types.Scene, thing: bpy.types.Object) -> Camera:
    """What a camera object sees, exactly as the scene would render it.

    Args:
        scene: gives resolution, percentage, pixel aspect and unit; its view layer is evaluated.
        thing: the camera object.

    Returns:
        The camera in metres. A sheared or mirrored one is made rigid, see ``rigid_pose``.

    Raises:
        UserError: the camera is not a perspective one, is not in the view layer, or its matrix is flat.
    """
    layer = space.render_layer(scene)
    layer.update()
    evaluated = thing.evaluated_get(layer.depsgraph)
    if not evaluated.is_evaluated:
        message = f"The camera {thing.name} is excluded from the view layer {layer.name}, so that its place is not known."
        raise UserError(message, "Include its collection in the view layer, or hide the camera in renders.")
    lens, render = evaluated.data, scene.render
    if lens.type != "PERSP":
        kind = {"ORTHO": "orthographic", "PANO": "panoramic"}.get(lens.type, lens.type.lower())
        message = f"The camera {thing.name} is {kind}; only perspective cameras can be captured."
        raise UserError(message, "Switch its type to Perspective, or hide it in renders.")
    try:
        pose = rigid_pose(np.array(evaluated.matrix_world))
    except ValueError:
        raise UserError(f"The camera {thing.name} has scale 0 or a damaged matrix.", "Clear its scale, and that of its parents.") from None
    pose[:3, 3] *= scene.unit_settings.scale_length
    width, height, fx, fy, cx, cy = blender_intrinsics(
        lens=lens.lens,
        sensor_width=lens.sensor_width,
        sensor_height=lens.sensor_height,
        sensor_fit=lens.sensor_fit,
        shift_x=lens.shift_x,
        shift_y=lens.shift_y,
        resolution_x=render.resolution_x,
        resolution_y=render.resolution_y,
        resolution_percentage=render.resolution_percentage,
        pixel_aspect_x=render.pixel_aspect_x,
        pixel_aspect_y=render.pixel_aspect_y,
    )
    return Camera(width, height, fx, fy, cx, cy, pose)


def in_units(pose: np.ndarray, scene: bpy.types.Scene) -> np.ndarray:
    """A pose in metres as one in the scene's own unit."""
    matrix = pose.copy()
    matrix[:3, 3] /= scene.unit_settings.scale_length
    return matrix


def _added(scene: bpy.types.Scene, settings: CaptureSettings) -> list[bpy.types.Object]:
    """The rig's cameras in the scene, where they were added with the same wishes."""
    for collection in scene.collection.children_recursive:
        if collection.get(TAG) == _wish(settings):
            return _shown_cameras(collection.objects)
    return []


def _shown_cameras(things: Iterable[bpy.types.Object]) -> list[bpy.types.Object]:
    return sorted((thing for thing in things if thing.type == "CAMERA" and not thing.hide_render), key=lambda thing: thing.name)


def _wish(settings: CaptureSettings) -> str:
    """What a rig depends on, as a text that can be kept with its cameras."""
    names = ("rig", "views", "orbit_object", "orbit_share", "width", "height", "field_of_view", "eye_height", "seed")
    return repr([getattr(settings, name) for name in names])


def _lens(scene: bpy.types.Scene, settings: CaptureSettings) -> bpy.types.Camera:
    lens, unit = bpy.data.cameras.new("Reconstruct"), scene.unit_settings.scale_length
    lens[TAG] = True
    # The field of view is across the picture, whichever side is longer.
    lens.sensor_fit = "HORIZONTAL"
    lens.angle = math.radians(settings.field_of_view)
    lens.clip_start, lens.clip_end, lens.display_size = 0.01 / unit, 1000.0 / unit, 0.2 / unit
    return lens


def _named(found: list[tuple[str, np.ndarray, bpy.types.Camera]]) -> list[Stand]:
    """Stands whose names can be file names on every system, each once, also where case does not count."""
    taken: set[str] = set()
    result = []
    for name, pose, lens in found:
        plain = base = re.sub(r"[^\w.-]+", "_", name).strip("._") or "view"
        number = 1
        while plain.lower() in taken:
            plain, number = f"{base}_{number}", number + 1
        taken.add(plain.lower())
        result.append(Stand(plain, pose, lens))
    return result
