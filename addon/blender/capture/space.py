# SPDX-License-Identifier: GPL-3.0-or-later
"""What is where in a Blender scene: its rendered geometry as one search tree, and the answers that the rigs ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from ....engine.contract.errors import UserError
from ...core import rigs

Sight = Callable[[np.ndarray, np.ndarray], float]

_SOLID = {"MESH", "CURVE", "SURFACE", "META", "FONT"}
_SHOWN = {"VOLUME", "POINTCLOUD", "CURVES"}
# A place whose surroundings are mostly nearer than this is inside of a piece of furniture, whichever way its faces look.
_ROOMY = 0.6
# Closed furniture is not deeper than this, rooms and corridors are wider.
_DEEPEST = 0.7
# Floors that differ by less are one level.
_STEP = 0.2
_AROUND = rigs.sphere(26)
_DOWN = np.array((0.0, 0.0, -1.0))
_ACROSS = np.array([(math.cos(a), math.sin(a), 0.0) for a in np.arange(16) * math.pi / 8])


def read_space(scene: bpy.types.Scene, members: Set[bpy.types.Object] | None = None) -> rigs.Space:
    """The scene's rendered geometry, ready to be asked.

    Args:
        scene: the scene; its view layer is evaluated for the render's visibility.
        members: objects whose geometry, instances included, is all there is; None takes all objects.

    Returns:
        Distances in meters.

    Raises:
        UserError: nothing in the scene renders.
    """
    points, triangles = world_triangles(scene, members)
    if len(triangles) == 0:
        raise nothing_renders(scene)
    low, high = points.min(axis=0), points.max(axis=0)
    # The tree holds 32-bit numbers: about its own middle they are exact enough, kilometers from the origin they are not.
    middle = (low + high) / 2
    tree = BVHTree.FromPolygons((points - middle).tolist(), triangles.tolist(), all_triangles=True)

    def sight(place: np.ndarray, direction: np.ndarray) -> float:
        distance = tree.ray_cast(Vector(place - middle), Vector(direction))[3]
        return math.inf if distance is None else distance

    def reach(place: np.ndarray) -> float:
        return float(np.median([sight(place, direction) for direction in _AROUND]))

    def clear(place: np.ndarray, radius: float) -> bool:
        if tree.find_nearest(Vector(place - middle), radius)[0] is not None:
            return False
        return reach(place) > min(_ROOMY, 2 * radius)

    spots = _standing_room(points, sight)
    if len(spots) == 0:
        return rigs.Space(low, high, float(low[2]), clear, lambda place: False, sight, False)
    floor = _main_level(spots[:, 2])
    spots = spots[np.abs(spots[:, 2] - floor) < _STEP]
    walled = _width(spots[:, :2]) > _DEEPEST
    # A spot is a random place on the floor, the walls are somewhat farther out.
    low = np.maximum(low, [*(spots[:, :2].min(axis=0) - 1.0), low[2]])
    high = np.minimum(high, [*(spots[:, :2].max(axis=0) + 1.0), high[2]])

    def indoors(place: np.ndarray) -> bool:
        return abs(place[2] - sight(place, _DOWN) - floor) < _STEP and _enclosed(place, sight) and reach(place) > _ROOMY

    return rigs.Space(low, high, floor, clear, indoors, sight, walled)


def render_layer(scene: bpy.types.Scene) -> bpy.types.ViewLayer:
    """The one view layer that a capture shows: the first that is used for rendering."""
    return next((layer for layer in scene.view_layers if layer.use), scene.view_layers[0])


def nothing_renders(scene: bpy.types.Scene) -> UserError:
    """The error for a scene with nothing to capture."""
    message = f"The scene {scene.name} shows nothing in renders, so there is nothing to capture."
    hint = "Add a room or furniture, switch on its visibility in renders, or, in a job file, name a .blend that has some as scene."
    return UserError(message, hint, "empty_scene")


def renders(scene: bpy.types.Scene) -> bool:
    """Whether anything of the scene shows in a render, volumes and point clouds included."""
    with as_rendered(scene):
        return any(thing.type in _SHOWN or len(_mesh(thing)[1]) for thing, _ in _rendered(scene, _SOLID | _SHOWN))


def is_room(scene: bpy.types.Scene) -> bool:
    """Whether what renders has walls around free floor."""
    try:
        return read_space(scene).walled
    except UserError:
        return False


def subject(scene: bpy.types.Scene, name: str) -> frozenset[bpy.types.Object]:
    """The object that an orbit is about, with its children, or the objects of a collection. What they instance belongs to them.

    Args:
        scene: the scene.
        name: the object or collection; empty takes the active object.

    Raises:
        UserError: there is no such object or collection, or nothing of it renders.
    """
    found = find_subject(scene, name)
    members = frozenset(found.all_objects if isinstance(found, bpy.types.Collection) else (found, *found.children_recursive))
    if len(world_triangles(scene, members)[0]) == 0:
        hint = "Choose an object with a surface, or switch on its visibility in renders and that of its collections."
        if not any(thing.name in render_layer(scene).objects for thing in members):
            hint = "Include its collection in the view layer."
        raise UserError(f"Nothing of {found.name} shows in renders.", hint)
    return members


def find_subject(scene: bpy.types.Scene, name: str) -> bpy.types.Object | bpy.types.Collection:
    """The object or collection of a name; the active object where it is empty.

    Raises:
        UserError: there is none.
    """
    if name:
        found = scene.objects.get(name) or next((c for c in scene.collection.children_recursive if c.name == name), None)
        if found is None:
            raise UserError(f"The scene has no object or collection named {name}.", "Choose the object that the cameras circle.")
        return found
    found = render_layer(scene).objects.active
    if found is None:
        raise UserError("There is no active object for the cameras to circle.", "Select an object, or name one.")
    return found


def bounds(scene: bpy.types.Scene, members: Set[bpy.types.Object]) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of what renders of some objects and their instances: low [3] and high [3], in meters."""
    points, _ = world_triangles(scene, members)
    return points.min(axis=0), points.max(axis=0)


@contextmanager
def as_rendered(scene: bpy.types.Scene) -> Iterator[None]:
    """Switches on in the viewport what is hidden there only, since Python sees the viewport's state and never the render's."""
    layer = render_layer(scene)
    switched: list[tuple[bpy.types.ID | bpy.types.LayerCollection, str]] = []
    hidden: list[bpy.types.Object] = []
    try:
        collections = [layer.layer_collection, *_all_layers(layer.layer_collection)]
        for owner in (*bpy.data.objects, *bpy.data.collections, scene.collection, *collections):
            if owner.hide_viewport and not getattr(owner, "hide_render", False):
                owner.hide_viewport = False
                switched.append((owner, "hide_viewport"))
        # The eye in the Outliner, one for each view layer.
        for thing in layer.objects:
            if thing.hide_get(view_layer=layer):
                thing.hide_set(False, view_layer=layer)
                hidden.append(thing)
        layer.update()
        yield
    finally:
        for thing in hidden:
            thing.hide_set(True, view_layer=layer)
        for owner, name in switched:
            setattr(owner, name, True)
        if hidden or switched:
            layer.update()


def _all_layers(layer: bpy.types.LayerCollection) -> Iterator[bpy.types.LayerCollection]:
    for child in layer.children:
        yield child
        yield from _all_layers(child)


def world_triangles(scene: bpy.types.Scene, members: Set[bpy.types.Object] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """World points [N, 3] float64 in meters and triangles [M, 3] of what renders, or of some objects and what they instance."""
    unit = scene.unit_settings.scale_length
    all_points, all_triangles, count = [], [], 0
    local: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
    with as_rendered(scene):
        for thing, matrix in _rendered(scene, _SOLID, members):
            # Instances come one after another as the same Python object.
            key = thing.original.as_pointer(), thing.data.as_pointer()
            if key not in local:
                local[key] = _mesh(thing)
            points, triangles = local[key]
            if len(triangles) == 0:
                continue
            all_points.append((points @ matrix[:3, :3].T + matrix[:3, 3]) * unit)
            all_triangles.append(triangles + count)
            count += len(points)
    if not all_points:
        return np.empty((0, 3)), np.empty((0, 3), dtype=int)
    return np.concatenate(all_points), np.concatenate(all_triangles)


def _rendered(
    scene: bpy.types.Scene, types: set[str], members: Set[bpy.types.Object] | None = None
) -> Iterator[tuple[bpy.types.Object, np.ndarray]]:
    """Evaluated objects of some types that show in renders, instances too, with their world matrices [4, 4]. Use :func:`as_rendered`."""
    layer = render_layer(scene)
    shown = in_shown_collections(scene.collection)
    for instance in layer.depsgraph.object_instances:
        thing = instance.object
        owner = (instance.parent if instance.is_instance else thing).original
        if thing.type not in types or thing.original.hide_render or owner.hide_render or owner not in shown or not instance.show_self:
            continue
        # Cycles, too, decides by the instancer what the cameras see.
        if members is None or owner in members:
            yield thing, np.array(instance.matrix_world)


def in_shown_collections(collection: bpy.types.Collection) -> set[bpy.types.Object]:
    """The objects of a collection and those in it, without the collections that are hidden in renders."""
    if collection.hide_render:
        return set()
    return set(collection.objects).union(*(in_shown_collections(child) for child in collection.children))


def _mesh(thing: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    try:
        mesh = thing.to_mesh()
    except RuntimeError:
        mesh = None
    if mesh is None:
        return np.empty((0, 3)), np.empty((0, 3), dtype=np.int32)
    mesh.calc_loop_triangles()
    points = np.empty(3 * len(mesh.vertices), dtype=np.float32)
    mesh.vertices.foreach_get("co", points)
    triangles = np.empty(3 * len(mesh.loop_triangles), dtype=np.int32)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    thing.to_mesh_clear()
    return points.reshape(-1, 3).astype(np.float64), triangles.reshape(-1, 3)


def _standing_room(points: np.ndarray, sight: Sight) -> np.ndarray:
    """Places on upward surfaces between walls where a person could stand, [N, 3].

    Columns are tried near random vertices, because a room may be small in a large landscape but most of a scene's detail is in its rooms.
    """
    random = np.random.default_rng(0)
    columns = points[random.integers(len(points), size=500), :2] + random.uniform(-1.0, 1.0, size=(500, 2))
    top = points[:, 2].max() + 1.0
    spots = []
    for column in columns:
        place = np.array([*column, top])
        for _ in range(12):
            distance = sight(place, _DOWN)
            if not math.isfinite(distance):
                break
            ground = place - (0.0, 0.0, distance)
            above = ground + (0.0, 0.0, 1.2)
            if distance > 1.6 and _enclosed(above, sight):
                spots.append(ground)
            place = ground - (0.0, 0.0, 0.02)
    return np.array(spots).reshape(-1, 3)


def _main_level(heights: np.ndarray) -> float:
    """The height at which most of the places lie: the floor rather than the table tops."""
    near = np.abs(heights[:, None] - heights[None, :]) < _STEP / 2
    return float(np.median(heights[near[int(np.argmax(near.sum(axis=1)))]]))


def _width(spots: np.ndarray) -> float:
    """How far random places, [N, 2], spread across their longer direction."""
    offsets = spots - spots.mean(axis=0)
    # An even spread of width w has the variance w² / 12.
    return math.sqrt(12 * max(float(np.linalg.eigvalsh(offsets.T @ offsets / len(spots))[0]), 0.0))


def _enclosed(place: np.ndarray, sight: Sight) -> bool:
    """Between walls: an open front, as in a doll's house, is still a room; the ground before a house is not."""
    return float(np.isfinite([sight(place, direction) for direction in _ACROSS]).mean()) >= 0.65
