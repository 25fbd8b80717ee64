# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera objects in Blender: those that the rigs add, and any other read as an engine camera."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Set

import bpy
import numpy as np
from mathutils import Matrix

from ....engine.cameras import Camera, blender_intrinsics, rigid_pose
from ....engine.contract.errors import UserError
from ....engine.contract.settings import CaptureSettings
from ...core import rigs
from ..tagging import is_ours, tag, tagged
from . import space

COLLECTION = "Reconstruct cameras"
_RIG = "rig"
# How far room cameras keep from everything, meters; small or low rooms leave less.
CLEARANCES = (0.35, 0.2, 0.1)


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
    # What the user put into our collection keeps it alive.
    collection = next(_rig_collections(scene), None)
    if collection is None:
        collection = bpy.data.collections.new(COLLECTION)
        scene.collection.children.link(collection)
    tag(collection, _RIG, name=collection.name, key=rig_key(settings))
    lens = rig_lens(scene, settings)
    made = []
    for name, pose in poses:
        thing = bpy.data.objects.new(name, lens)
        tag(thing, _RIG, name=thing.name)
        collection.objects.link(thing)
        thing.matrix_world = Matrix(in_units(pose, scene))
        made.append(thing)
    return made


def plan(scene: bpy.types.Scene, settings: CaptureSettings) -> list[tuple[str, np.ndarray]]:
    """Names and poses (camera-to-world in meters, [4, 4]) of a rig's cameras, without adding them.

    A scene without a room around it, such as a single object, is circled instead.

    Raises:
        UserError: nothing renders, or there is no free place for a camera.
    """
    subject = captured_alone(scene, settings)
    place = space.read_space(scene, subject)
    across = math.radians(settings.field_of_view)
    aspect = settings.width * scene.render.pixel_aspect_x / (settings.height * scene.render.pixel_aspect_y)
    circling = {"room": 0, "orbit": settings.views, "both": round(settings.views * settings.orbit_share)}[settings.rig]
    poses: list[tuple[str, np.ndarray]] = []
    if circling < settings.views:
        wanted = settings.views - circling, settings.eye_height, across, aspect, settings.seed
        tried = (rigs.room(place, *wanted, clearance) for clearance in (CLEARANCES if place.walled else CLEARANCES[:1]))
        found = next((poses for poses in tried if poses), [])
        if not found and not place.walled:
            found = rigs.orbit(place, place.low, place.high, settings.views - circling, across, aspect, settings.seed)
        if not found:
            raise UserError(f"The scene {scene.name} has no free place for a camera.", "Clear some floor, or use the scene's own cameras.")
        poses += [(f"room_{index:03d}", pose) for index, pose in enumerate(found)]
    if circling:
        low, high = space.bounds(scene, subject or space.subject(scene, settings.orbit_object))
        found = rigs.orbit(place, low, high, circling, across, aspect, settings.seed)
        if not found:
            raise UserError("The object to circle is hidden from every side.", "Choose an object with free space in front of it.")
        poses += [(f"orbit_{index:03d}", pose) for index, pose in enumerate(found)]
    return poses


def captured_alone(scene: bpy.types.Scene, settings: CaptureSettings) -> Set[bpy.types.Object] | None:
    """The objects that are all a capture shows to its cameras, None where it shows the scene.

    Raises:
        UserError: the object to circle is not there, or does not render.
    """
    if settings.rig != "orbit" or not settings.only_object:
        return None
    if not space.renders(scene):
        raise space.nothing_renders(scene)
    return space.subject(scene, settings.orbit_object)


def remove_cameras(scene: bpy.types.Scene) -> None:
    """Removes the cameras that :func:`add_cameras` added to the scene, and nothing else: a duplicate of one is the user's."""
    lenses = set()
    for thing in [thing for thing in scene.objects if is_ours(thing, _RIG)]:
        lenses.add(thing.data)
        bpy.data.objects.remove(thing)
    for lens in lenses:
        if lens is not None and is_ours(lens, _RIG) and lens.users == 0:
            bpy.data.cameras.remove(lens)
    for collection in list(_rig_collections(scene)):
        if not collection.all_objects and not collection.children:
            bpy.data.collections.remove(collection)


def rig_cameras(scene: bpy.types.Scene, settings: CaptureSettings) -> list[bpy.types.Object]:
    """The cameras in the scene that were added with the same settings, moved by the user or not, and what the user put beside them."""
    for collection in _rig_collections(scene):
        if tagged(collection).get("key") == rig_key(settings):
            return _shown_cameras(collection.objects)
    return []


def ignores_shown_cameras(scene: bpy.types.Scene, settings: CaptureSettings) -> bool:
    """Whether the scene holds cameras of a rig that a capture with these settings does not use."""
    keys = [tagged(collection).get("key") for collection in _rig_collections(scene)]
    return settings.rig != "scene" and bool(keys) and rig_key(settings) not in keys


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
        The camera in meters. A sheared or mirrored one is made rigid, see ``rigid_pose``.

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
    """A pose in meters as one in the scene's own unit."""
    matrix = pose.copy()
    matrix[:3, 3] /= scene.unit_settings.scale_length
    return matrix


def rig_lens(scene: bpy.types.Scene, settings: CaptureSettings) -> bpy.types.Camera:
    """New camera data for the cameras of a rig, which cut off nothing of what they show, however small or large that is."""
    points, _ = space.world_triangles(scene, captured_alone(scene, settings))
    radius = float(np.linalg.norm(np.ptp(points, axis=0))) / 2
    lens, unit = bpy.data.cameras.new("Reconstruct"), scene.unit_settings.scale_length
    tag(lens, _RIG, name=lens.name)
    # The field of view is across the picture, whichever side is longer.
    lens.sensor_fit = "HORIZONTAL"
    lens.angle = math.radians(settings.field_of_view)
    lens.clip_start, lens.clip_end, lens.display_size = min(0.01, 1e-3 * radius) / unit, max(1000.0, 100 * radius) / unit, 0.2 / unit
    return lens


def rig_key(settings: CaptureSettings) -> str:
    """What a rig depends on, as a text that can be kept with its cameras."""
    names = ("rig", "views", "orbit_object", "only_object", "orbit_share", "width", "height", "field_of_view", "eye_height", "seed")
    return repr([getattr(settings, name) for name in names])


def _rig_collections(scene: bpy.types.Scene) -> Iterator[bpy.types.Collection]:
    return (collection for collection in scene.collection.children_recursive if is_ours(collection, _RIG))


def _shown_cameras(things: Iterable[bpy.types.Object]) -> list[bpy.types.Object]:
    return sorted((thing for thing in things if thing.type == "CAMERA" and not thing.hide_render), key=lambda thing: thing.name)
