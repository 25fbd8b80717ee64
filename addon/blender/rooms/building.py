# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty room that results stand in, and a camera that looks at them."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import mathutils
import numpy as np

from ....engine.contract.errors import UserError
from ...core import rigs
from ...core.extents import Extent
from ...core.placement import EYE_HEIGHT, viewpoint
from ..capture.cameras import CLEARANCES, in_units
from ..capture.space import in_shown_collections, read_space
from ..compat import material_tree
from ..results.edits import captured_pose
from ..results.looks import look_modifier
from ..results.measuring import extent_of
from ..results.parts import PART, POINTS, values_of
from ..results.voxel_objects import is_voxels
from ..tagging import is_ours, kind_of, tag

_WALLS, _FLOOR, _TRIM = (0.78, 0.76, 0.72), (0.32, 0.19, 0.10), (0.85, 0.85, 0.84)
_SKIRTING = 0.08
# Watts a square meter; white walls give most of it back.
_LIGHT_PER_AREA = 5.5
# Cameras in a room that are compared, and points of results that they are compared by.
_VIEWS, _TARGETS = 12, 400


def build_room(scene: bpy.types.Scene, size: tuple[float, float, float], depth_below: float = 0.0) -> list[bpy.types.Object]:
    """Builds a room about the origin: floor at height 0, four walls, ceiling, skirting and a lamp. It replaces the one built before.

    From outside its walls are invisible, so it can be looked into from anywhere.

    Args:
        scene: receives the room, in a collection of its own.
        size: width, depth and height in meters.
        depth_below: how far below height 0 its own floor lies, in Blender units, where what it receives has a floor at height 0.

    Returns:
        The objects of the room.
    """
    _remove_room(scene)
    unit = scene.unit_settings.scale_length
    width, depth, height = (length / unit for length in size)
    collection = bpy.data.collections.new("Room")
    tag(collection, "room", name=collection.name)
    scene.collection.children.link(collection)
    x, y = width / 2, depth / 2
    ground = [(-x, -y), (x, -y), (x, y), (-x, y)]
    floor = [(*corner, -depth_below) for corner in ground]
    ceiling = [(*corner, height) for corner in ground]
    # Faces are wound so that their normals look into the room.
    sides = [(i, i + 4, (i + 1) % 4 + 4, (i + 1) % 4) for i in range(4)]
    parts = [
        _mesh("Floor", floor, [(0, 1, 2, 3)], _wood(unit)),
        _mesh("Walls", floor + ceiling, sides, _paint("Wall", _WALLS)),
        _mesh("Ceiling", ceiling, [(3, 2, 1, 0)], _paint("Ceiling", _TRIM)),
        _skirting(ground, unit, sides),
        _lamp(width, depth, height, unit),
    ]
    for part in parts:
        tag(part, "room", name=part.name)
        collection.objects.link(part)
    if scene.world is None:
        scene.world = bpy.data.worlds.new("World")
        tag(scene.world, "room")
    return parts


def frame_camera(scene: bpy.types.Scene, objects: Sequence[bpy.types.Object]) -> bpy.types.Object:
    """The scene's camera, else the first camera in it, those of a capture included, else a new one.

    Between walls the new one is inside the room, where it sees most of the objects. Elsewhere it looks at them, see
    :func:`~...core.placement.viewpoint`.

    Args:
        scene: the scene; the camera becomes its camera.
        objects: imported results.

    Returns:
        The camera.
    """
    if scene.camera is None:
        shown = sorted((item for item in in_shown_collections(scene.collection) if item.type == "CAMERA"), key=lambda item: item.name)
        # Those that the user added come first. A render needs a camera that is not hidden in renders.
        visible = [item for item in shown if not item.hide_render]
        scene.camera = min(visible, key=lambda item: kind_of(item) == "rig", default=None) or _add_camera(scene, objects)
    return scene.camera


def _add_camera(scene: bpy.types.Scene, objects: Sequence[bpy.types.Object]) -> bpy.types.Object:
    unit = scene.unit_settings.scale_length
    extent = _extent(objects, unit)
    lens = bpy.data.cameras.new("Camera")
    lens.lens = 20.0
    # What was made from photos has no known scale, and may be as small or large as it likes.
    length = float(np.linalg.norm(extent.size))
    lens.clip_start, lens.clip_end = min(0.02, 0.01 * length) / unit, max(1000.0, 100 * length) / unit
    camera = bpy.data.objects.new("Camera", lens)
    tag(camera, "camera")
    scene.collection.objects.link(camera)
    pose = _inside(scene, objects, lens.angle_x)
    camera.matrix_world = mathutils.Matrix(in_units(_looking_at(scene, objects, extent) if pose is None else pose, scene).tolist())
    return camera


def _inside(scene: bpy.types.Scene, objects: Sequence[bpy.types.Object], field_of_view: float) -> np.ndarray | None:
    """A camera between the walls of a scene: of several the one that sees most of the objects, without objects most of the room.

    None where there are no walls around free floor, and in a room of ours, which is known to be empty.
    """
    if any(kind_of(item) == "room" for item in scene.objects):
        return None
    try:
        space = read_space(scene, set(scene.objects) - set(objects))
    except UserError:
        return None
    if not space.walled:
        return None
    aspect = scene.render.resolution_x * scene.render.pixel_aspect_x / (scene.render.resolution_y * scene.render.pixel_aspect_y)
    tried = (rigs.room(space, _VIEWS, EYE_HEIGHT, field_of_view, aspect, 0, clearance) for clearance in CLEARANCES)
    poses = next((poses for poses in tried if poses), [])
    if not poses:
        return None
    random = np.random.default_rng(0)
    positions, weights = _points_of(objects)
    if len(positions):
        chosen = random.choice(len(positions), min(len(positions), _TARGETS), replace=False)
        targets, weights = positions[chosen] * scene.unit_settings.scale_length, weights[chosen]
    else:
        targets = rigs.seen_points(space, np.array(poses)[:, :3, 3], _TARGETS, random)
        weights = np.ones(len(targets))
    middle = np.median(targets, axis=0)
    poses += [rigs.look_along(pose[:3, 3], middle - pose[:3, 3]) for pose in poses]
    return max(poses, key=lambda pose: float(weights @ rigs.in_view(space, pose, targets, field_of_view, aspect)))


def _looking_at(scene: bpy.types.Scene, objects: Sequence[bpy.types.Object], extent: Extent) -> np.ndarray:
    """A camera that looks at the objects, in the open or in a room of ours."""
    unit = scene.unit_settings.scale_length
    positions, weights = _points_of(objects)
    eye, aim = viewpoint(positions * unit, weights, extent)
    floor = next((item for item in scene.objects if kind_of(item) == "room" and item.name.startswith("Floor")), None)
    if floor is not None:
        # A step away from the walls, so that the room is seen from inside.
        corners = np.array(floor.bound_box) * unit
        reach = np.maximum(corners[:, :2].max(axis=0) - 0.3, 0.0)
        eye[:2] = np.clip(eye[:2], -reach, reach)
    return rigs.look_along(eye, aim - eye)


def _extent(objects: Sequence[bpy.types.Object], unit: float) -> Extent:
    """The box about the solid parts of results in the world, in meters; where there are none, that of a piece of furniture."""
    boxes = []
    for item in objects:
        if is_voxels(item) or look_modifier(item):
            pose = captured_pose(item)
            box = extent_of(item).turned(pose[:3, :3])
            boxes.append((unit * (box.low + pose[:3, 3]), unit * (box.high + pose[:3, 3])))
    if not boxes:
        return Extent(np.array([-0.5, -0.5, 0.0]), np.array([0.5, 0.5, 1.0]))
    return Extent(np.min([low for low, _ in boxes], axis=0), np.max([high for _, high in boxes], axis=0))


def _points_of(objects: Sequence[bpy.types.Object]) -> tuple[np.ndarray, np.ndarray]:
    """Positions [N, 3] of the points of results in the world, in Blender units, and their opacities [N]."""
    places, opacities = [np.zeros((0, 3))], [np.zeros(0)]
    for item in objects:
        if is_voxels(item):
            points = np.full(len(item.data.vertices), True)
        elif look_modifier(item):
            points = values_of(item.data, PART) == POINTS
        else:
            continue
        matrix = np.array(item.matrix_basis if item.parent is None else item.matrix_world)
        places.append(values_of(item.data, "position")[points] @ matrix[:3, :3].T + matrix[:3, 3])
        known = "opacity" in item.data.attributes
        opacities.append(values_of(item.data, "opacity")[points] if known else np.ones(points.sum(), dtype=np.float32))
    return np.concatenate(places), np.concatenate(opacities)


def _remove_room(scene: bpy.types.Scene) -> None:
    for collection in [item for item in scene.collection.children if is_ours(item, "room")]:
        for part in [item for item in collection.objects if is_ours(item, "room")]:
            data = part.data
            bpy.data.objects.remove(part)
            if not data.users:
                (bpy.data.lights if isinstance(data, bpy.types.Light) else bpy.data.meshes).remove(data)
        # What the user put into the room's collection stays in the scene.
        for ours, theirs in ((collection.objects, scene.collection.objects), (collection.children, scene.collection.children)):
            for other in ours:
                if other not in theirs.values():
                    theirs.link(other)
        bpy.data.collections.remove(collection)


def _mesh(name: str, corners: list, faces: list, material: bpy.types.Material) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    mesh.materials.append(material)
    return bpy.data.objects.new(name, mesh)


def _skirting(ground: list, unit: float, sides: list) -> bpy.types.Object:
    """Boards along the walls, a centimeter and a half thick."""
    high, thick = _SKIRTING / unit, 0.015 / unit
    inner = [(x - np.sign(x) * thick, y - np.sign(y) * thick) for x, y in ground]
    corners = [(*corner, 0.0) for corner in inner] + [(*corner, high) for corner in inner] + [(*corner, high) for corner in ground]
    tops = [(i + 4, i + 8, (i + 1) % 4 + 8, (i + 1) % 4 + 4) for i in range(4)]
    return _mesh("Skirting", corners, sides + tops, _paint("Skirting", _TRIM))


def _lamp(width: float, depth: float, height: float, unit: float) -> bpy.types.Object:
    light = bpy.data.lights.new("Ceiling Light", "AREA")
    light.shape = "RECTANGLE"
    light.size, light.size_y = 0.6 * width, 0.6 * depth
    # A lamp's power is over its whole area, in Blender units squared.
    light.energy = _LIGHT_PER_AREA * width * depth
    light.color = (1.0, 0.97, 0.93)
    lamp = bpy.data.objects.new("Ceiling Light", light)
    lamp.location = (0, 0, height - 0.02 / unit)
    lamp.visible_camera = False
    return lamp


def _paint(name: str, color: tuple[float, float, float]) -> bpy.types.Material:
    """A matt paint that cannot be seen from behind."""
    material = bpy.data.materials.new(name)
    tag(material, "room")
    material.use_backface_culling = True
    material.diffuse_color = (*color, 1.0)
    surface = material_tree(material).nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*color, 1.0)
    surface.inputs["Roughness"].default_value = 0.8
    _hide_back(material, surface)
    return material


def _hide_back(material: bpy.types.Material, surface: bpy.types.Node) -> None:
    nodes, link = material.node_tree.nodes, material.node_tree.links.new
    geometry, clear, mix = nodes.new("ShaderNodeNewGeometry"), nodes.new("ShaderNodeBsdfTransparent"), nodes.new("ShaderNodeMixShader")
    link(geometry.outputs["Backfacing"], mix.inputs[0])
    link(surface.outputs[0], mix.inputs[1])
    link(clear.outputs[0], mix.inputs[2])
    link(mix.outputs[0], nodes["Material Output"].inputs["Surface"])
    for place, node in (((-200, 500), geometry), ((100, -400), clear), ((350, 400), mix), ((550, 300), nodes["Material Output"])):
        node.location = place


def _wood(unit: float) -> bpy.types.Material:
    """Boards 14 cm wide, each of a slightly different tone."""
    material = _paint("Floor", _FLOOR)
    nodes, link = material.node_tree.nodes, material.node_tree.links.new
    surface = nodes["Principled BSDF"]
    surface.inputs["Roughness"].default_value = 0.45
    place = nodes.new("ShaderNodeTexCoord")
    boards = nodes.new("ShaderNodeTexBrick")
    boards.offset = 0.37
    light, dark = (tuple(factor * value for value in _FLOOR) for factor in (1.25, 0.85))
    boards.inputs["Color1"].default_value = (*light, 1.0)
    boards.inputs["Color2"].default_value = (*dark, 1.0)
    boards.inputs["Mortar"].default_value = (*(0.4 * value for value in _FLOOR), 1.0)
    boards.inputs["Scale"].default_value = unit
    boards.inputs["Mortar Size"].default_value = 0.002
    boards.inputs["Brick Width"].default_value = 1.6
    boards.inputs["Row Height"].default_value = 0.14
    link(place.outputs["Object"], boards.inputs["Vector"])
    link(boards.outputs["Color"], surface.inputs["Base Color"])
    place.location, boards.location = (-500, 200), (-300, 200)
    return material
