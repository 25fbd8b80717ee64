# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats as Blender objects: a coloured point cloud whose Geometry Nodes modifier shows every point as its gaussian.

Each gaussian is a unit sphere, turned and scaled to where its alpha falls to 1/255. Where a ray passes its centre at distance d, in the
sphere's own space, alpha = opacity · (255 · opacity)^(−d²), which is opacity · exp(−½ (distance in sigmas)²): the gaussian's peak along
the ray, right in perspective. Everything stays one object with one data-block, however often it is duplicated. There are two shapes:

In renders a square through the centre faces the camera, all of them one mesh. A ray meets it once, at the depth that trainers sort by,
which brings pictures up to 2 dB nearer to what was captured than sorting by the ellipsoid's front does, in half of Cycles' time.
In the viewport, or with "Face Camera" switched off, an instanced icosphere stands there, right from everywhere.
"""

from __future__ import annotations

import bpy
import numpy as np

from ...engine.formats.splats import Splats
from ..compat import material_tree
from .nodes import Builder
from .point_clouds import COLOR, point_cloud_object, set_attribute
from .tagging import kind_of, tag

# Alpha below this is not drawn, as in the field's rasterizers.
MINIMUM_ALPHA = 1.0 / 255.0
# Each gaussian on a ray is a transparent surface. A ray stops by itself where nothing more shines through, so the limit costs nothing.
TRANSPARENT_BOUNCES = 1024
# Gaussians less opaque than this are fog at most, and are left out of the point cloud that stands for the splats in the viewport.
_SOLID = 0.1
_SH_BASE = 0.28209479177387814
# An icosahedron of radius 1 touches an inner sphere of this radius.
_ICOSAHEDRON_INRADIUS = 0.7946544722917661
_NAME = "Reconstruct Splats"


def splat_object(name: str, splats: Splats, blend: str, origin: np.ndarray, unit: float, viewport: bool) -> bpy.types.Object:
    """Makes the object that shows splats.

    Args:
        name: name of the object.
        splats: the gaussians, in metres.
        blend: linear or srgb: what their colours are.
        origin: [3] metres, the place of the object's origin.
        unit: metres in a Blender unit.
        viewport: show the gaussians in the viewport too, where otherwise coloured points stand for them.

    Returns:
        The object, in no collection yet, at the place where the gaussians were taken.
    """
    shown = solid_points(name, splats, blend, origin, unit)
    quats = splats.quats.astype(np.float64)
    set_attribute(shown.data, "scale", "FLOAT_VECTOR", np.exp(splats.log_scales.astype(np.float64)) / unit)
    set_attribute(shown.data, "rotation", "QUATERNION", quats / np.linalg.norm(quats, axis=1, keepdims=True))
    set_attribute(shown.data, "opacity", "FLOAT", opacities_of(splats))
    modifier = shown.modifiers.new("Splats", "NODES")
    modifier.node_group = _node_group()
    modifier.show_viewport = viewport
    return shown


def solid_points(name: str, splats: Splats, blend: str, origin: np.ndarray, unit: float) -> bpy.types.Object:
    """Makes a coloured point cloud of gaussians; those that are nearly transparent have no size. Arguments as for :func:`splat_object`."""
    positions = (splats.means - np.asarray(origin, dtype=np.float64)) / unit
    sizes = np.exp(np.median(splats.log_scales.astype(np.float64), axis=1)) / unit
    radii = np.where(opacities_of(splats) >= _SOLID, sizes, 0.0)
    shown = point_cloud_object(name, positions, base_colors(splats, blend), radii)
    shown.location = np.asarray(origin) / unit
    return shown


def opacities_of(splats: Splats) -> np.ndarray:
    """Opacities between 0 and 1, [N] float64."""
    return 1.0 / (1.0 + np.exp(-np.clip(splats.opacity_logits.astype(np.float64), -60, 60)))


def base_colors(splats: Splats, blend: str) -> np.ndarray:
    """What the gaussians look like seen from all sides on average, scene-linear, [N, 3] float64."""
    colors = np.maximum(0.5 + _SH_BASE * splats.sh[:, 0].astype(np.float64), 0.0)
    return to_linear(colors) if blend == "srgb" else colors


def to_linear(codes: np.ndarray) -> np.ndarray:
    """sRGB codes (0 to 1, and above) to scene-linear light."""
    return np.where(codes <= 0.04045, codes / 12.92, ((np.maximum(codes, 0.0) + 0.055) / 1.055) ** 2.4)


def most_visible(splats: Splats, count: int) -> Splats:
    """The ``count`` gaussians that cover most, by opacity times the area of their larger two axes, in the order that they had."""
    if count <= 0 or count >= len(splats):
        return splats
    scales = np.sort(splats.log_scales.astype(np.float64), axis=1)
    cover = np.log(opacities_of(splats)) + scales[:, 1] + scales[:, 2]
    return splats.select(np.sort(np.argpartition(-cover, count)[:count]))


def splat_modifiers(item: bpy.types.Object) -> list[bpy.types.NodesModifier]:
    """The modifiers of an object that show its points as gaussians."""
    nodes = [modifier for modifier in item.modifiers if modifier.type == "NODES" and modifier.node_group is not None]
    return [modifier for modifier in nodes if kind_of(modifier.node_group) == "splats"]


def raise_transparent_bounces(scene: bpy.types.Scene) -> str:
    """Lets Cycles see through as many gaussians as there are on a ray.

    Returns:
        A sentence that tells what was changed, "" where nothing had to be.
    """
    # Where the Cycles add-on is switched off, there is nothing to raise.
    before = scene.cycles.transparent_max_bounces if hasattr(scene, "cycles") else TRANSPARENT_BOUNCES
    if before >= TRANSPARENT_BOUNCES:
        return ""
    scene.cycles.transparent_max_bounces = TRANSPARENT_BOUNCES
    return f"Transparent bounces were raised from {before} to {TRANSPARENT_BOUNCES}, so that Cycles sees through the splats."


def _node_group() -> bpy.types.NodeTree:
    for group in bpy.data.node_groups:
        if kind_of(group) == "splats" and not group.library:
            return group
    group = bpy.data.node_groups.new(_NAME, "GeometryNodeTree")
    tag(group, "splats")
    group.is_modifier = True
    group.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    facing = group.interface.new_socket("Face Camera", in_out="INPUT", socket_type="NodeSocketBool")
    facing.default_value = True
    facing.description = (
        "In renders, draw each gaussian facing the scene's camera; switch off where the result is shown by instances of its collection"
    )
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    build = Builder(group)
    node, math, link = build.node, build.math, build.link
    source = node("NodeGroupInput", (-1200, 300))
    opacity = build.named("opacity", "FLOAT", (-1200, -200))
    visible = math("GREATER_THAN", (-400, 100), opacity, MINIMUM_ALPHA)
    shares = math("MULTIPLY", (-1000, -200), opacity, 1.0 / MINIMUM_ALPHA)
    logarithm = math("LOGARITHM", (-800, -200), shares, float(np.e))
    extent = math("SQRT", (-400, -200), math("MULTIPLY", (-600, -200), logarithm, 2.0))
    scale = node("ShaderNodeVectorMath", (-200, -200), operation="SCALE")
    link(build.named("scale", "FLOAT_VECTOR", (-400, -400)), scale.inputs[0])
    link(extent, scale.inputs["Scale"])

    hull = node("GeometryNodeMeshIcoSphere", (-800, 700))
    hull.inputs["Subdivisions"].default_value = 1
    hull.inputs["Radius"].default_value = 1.0 / _ICOSAHEDRON_INRADIUS
    balls = node("GeometryNodeInstanceOnPoints", (0, 600))
    rotation = build.named("rotation", "QUATERNION", (-1200, -600))
    link(source.outputs["Geometry"], balls.inputs["Points"])
    link(visible, balls.inputs["Selection"])
    link(_dressed(build, hull.outputs["Mesh"], _round_material(), (-400, 700)), balls.inputs["Instance"])
    link(rotation, balls.inputs["Rotation"])
    link(scale.outputs[0], balls.inputs["Scale"])

    interactive = node("GeometryNodeIsViewport", (600, 800))
    facing = node("FunctionNodeBooleanMath", (800, 800), operation="NIMPLY")
    link(source.outputs["Face Camera"], facing.inputs[0])
    link(interactive.outputs[0], facing.inputs[1])
    shape = node("GeometryNodeSwitch", (1000, 300), input_type="GEOMETRY")
    link(facing.outputs[0], shape.inputs["Switch"])
    link(balls.outputs[0], shape.inputs["False"])
    link(_squares(build, source.outputs["Geometry"], visible, rotation, scale.outputs[0]), shape.inputs["True"])
    link(shape.outputs[0], node("NodeGroupOutput", (1200, 300)).inputs[0])
    return group


def _dressed(build: Builder, mesh: bpy.types.NodeSocket, material: bpy.types.Material, place: tuple[float, float]) -> bpy.types.NodeSocket:
    made = build.node("GeometryNodeSetMaterial", place)
    made.inputs["Material"].default_value = material
    build.link(mesh, made.inputs["Geometry"])
    return made.outputs[0]


def _squares(
    build: Builder, points: bpy.types.NodeSocket, visible: bpy.types.NodeSocket, rotation: bpy.types.NodeSocket, scale: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    """One mesh of squares that face the camera.

    Its own attributes, in the gaussian's space: ``corner``, a place in the square, to be stretched by ``reach``; ``distance``, the square
    of the camera's.
    """
    node, math, link = build.node, build.math, build.link
    position = node("GeometryNodeInputPosition", (-1200, -1000)).outputs[0]
    # The camera seen from inside the unit sphere: back along the rotation, and divided by the sizes.
    camera = node("GeometryNodeObjectInfo", (-1200, -800), transform_space="RELATIVE")
    link(node("GeometryNodeInputActiveCamera", (-1400, -800)).outputs[0], camera.inputs["Object"])
    away = node("ShaderNodeVectorMath", (-1000, -800), operation="SUBTRACT")
    link(camera.outputs["Location"], away.inputs[0])
    link(position, away.inputs[1])
    back = node("FunctionNodeInvertRotation", (-1000, -600))
    link(rotation, back.inputs[0])
    turned = node("FunctionNodeRotateVector", (-800, -800))
    link(away.outputs[0], turned.inputs["Vector"])
    link(back.outputs[0], turned.inputs["Rotation"])
    seen = node("ShaderNodeVectorMath", (-600, -800), operation="DIVIDE")
    link(turned.outputs[0], seen.inputs[0])
    link(scale, seen.inputs[1])
    distance = build.dot(seen.outputs[0], seen.outputs[0], (-400, -1000))
    towards = node("FunctionNodeAlignRotationToVector", (-400, -800), axis="Z")
    link(seen.outputs[0], towards.inputs["Vector"])
    # The nearer the camera, the more of the sphere's plane its rays cross; from inside the sphere all of it, of which this much is drawn.
    share = math("MAXIMUM", (0, -1000), math("SUBTRACT", (-200, -1000), 1.0, math("DIVIDE", (-300, -1000), 1.0, distance)), 0.1)
    reach = math("POWER", (200, -1000), share, -0.5)
    size = node("ShaderNodeCombineXYZ", (400, -1000))
    for axis in range(3):
        link(reach, size.inputs[axis])
    turn = node("FunctionNodeCombineTransform", (600, -800))
    link(towards.outputs[0], turn.inputs["Rotation"])
    link(size.outputs[0], turn.inputs["Scale"])
    put = node("FunctionNodeCombineTransform", (600, -500))
    link(position, put.inputs["Translation"])
    link(rotation, put.inputs["Rotation"])
    link(scale, put.inputs["Scale"])
    whole = node("FunctionNodeMatrixMultiply", (800, -500))
    link(put.outputs[0], whole.inputs[0])
    link(turn.outputs[0], whole.inputs[1])

    square = node("GeometryNodeMeshGrid", (-600, 300))
    for name, value in (("Size X", 2.0), ("Size Y", 2.0), ("Vertices X", 2), ("Vertices Y", 2)):
        square.inputs[name].default_value = value
    corners = _stored(build, square.outputs["Mesh"], "corner", "FLOAT_VECTOR", position, "POINT", (-400, 300))
    instances = node("GeometryNodeInstanceOnPoints", (0, 300))
    link(points, instances.inputs["Points"])
    link(visible, instances.inputs["Selection"])
    link(_dressed(build, corners, _flat_material(), (-200, 300)), instances.inputs["Instance"])
    told = _stored(build, instances.outputs[0], "distance", "FLOAT", distance, "INSTANCE", (200, 300))
    told = _stored(build, told, "reach", "FLOAT", reach, "INSTANCE", (400, 300))
    placed = node("GeometryNodeSetInstanceTransform", (600, 300))
    link(told, placed.inputs["Instances"])
    link(whole.outputs[0], placed.inputs["Transform"])
    one = node("GeometryNodeRealizeInstances", (800, 300))
    link(placed.outputs[0], one.inputs["Geometry"])
    return one.outputs[0]


def _stored(
    build: Builder,
    geometry: bpy.types.NodeSocket,
    name: str,
    kind: str,
    value: bpy.types.NodeSocket,
    domain: str,
    place: tuple[float, float],
) -> bpy.types.NodeSocket:
    made = build.node("GeometryNodeStoreNamedAttribute", place, data_type=kind, domain=domain)
    made.inputs["Name"].default_value = name
    build.link(geometry, made.inputs["Geometry"])
    build.link(value, made.inputs["Value"])
    return made.outputs[0]


def _round_material() -> bpy.types.Material:
    """For icospheres: finds the ray in the instance's own space."""
    material = _known_material("round splats")
    if material is not None:
        return material
    material, build = _new_material("round splats", f"{_NAME} Round")
    # EEVEE then sorts the gaussians as a rasterizer does, without noise.
    material.surface_render_method = "BLENDED"
    node, math, dot, link = build.node, build.math, build.dot, build.link
    point = node("ShaderNodeTexCoord", (-1400, 300)).outputs["Object"]
    turned = node("ShaderNodeVectorTransform", (-1400, 0), vector_type="VECTOR", convert_from="WORLD", convert_to="OBJECT")
    link(node("ShaderNodeNewGeometry", (-1600, 0)).outputs["Incoming"], turned.inputs[0])
    ray = turned.outputs[0]
    along = dot(point, ray, (-1200, 100))
    passed = math("DIVIDE", (-800, 100), math("MULTIPLY", (-1000, 100), along, along), dot(ray, ray, (-1200, -100)))
    squared = math("SUBTRACT", (-600, 200), dot(point, point, (-1200, 300)), passed)
    # A ray meets an icosphere twice, and counts once.
    _glow(build, squared, math("GREATER_THAN", (-400, -300), along, 0.0), "INSTANCER")
    return material


def _flat_material() -> bpy.types.Material:
    """For squares: how far from the centre a ray passes follows from where it meets the square and how far the camera is."""
    material = _known_material("flat splats")
    if material is not None:
        return material
    material, build = _new_material("flat splats", f"{_NAME} Flat")
    material.surface_render_method = "DITHERED"
    node, math, dot = build.node, build.math, build.dot
    corner = node("ShaderNodeAttribute", (-1600, 300), attribute_name="corner").outputs["Vector"]
    reach = node("ShaderNodeAttribute", (-1600, 100), attribute_name="reach").outputs["Fac"]
    distance = node("ShaderNodeAttribute", (-1600, -100), attribute_name="distance").outputs["Fac"]
    met = math("MULTIPLY", (-1200, 200), dot(corner, corner, (-1400, 300)), math("MULTIPLY", (-1400, 100), reach, reach))
    squared = math("DIVIDE", (-800, 200), math("MULTIPLY", (-1000, 200), met, distance), math("ADD", (-1000, 0), met, distance))
    _glow(build, squared, 1.0, "GEOMETRY")
    return material


def _known_material(kind: str) -> bpy.types.Material | None:
    return next((item for item in bpy.data.materials if kind_of(item) == kind and not item.library), None)


def _new_material(kind: str, name: str) -> tuple[bpy.types.Material, Builder]:
    material = bpy.data.materials.new(name)
    tag(material, kind)
    if hasattr(material, "cycles"):
        material.cycles.emission_sampling = "NONE"
    tree = material_tree(material)
    tree.nodes.clear()
    return material, Builder(tree)


def _glow(build: Builder, squared: bpy.types.NodeSocket, counts: bpy.types.NodeSocket | float, kind: str) -> None:
    """The end of both materials: a gaussian's light where a ray passes it at a distance, transparent otherwise."""
    node, math, link = build.node, build.math, build.link
    opacity = node("ShaderNodeAttribute", (-800, -200), attribute_type=kind, attribute_name="opacity").outputs["Fac"]
    shares = math("MULTIPLY", (-400, -100), opacity, 1.0 / MINIMUM_ALPHA)
    falloff = math("POWER", (-200, 100), shares, math("MULTIPLY", (-400, 200), squared, -1.0))
    drawn = math("MULTIPLY", (0, -300), math("LESS_THAN", (-200, -100), squared, 1.0), counts)
    alpha = math("MULTIPLY", (200, 0), math("MULTIPLY", (0, 0), falloff, opacity), drawn)
    color = node("ShaderNodeAttribute", (0, -400), attribute_type=kind, attribute_name=COLOR)
    glow = node("ShaderNodeEmission", (200, -400))
    link(color.outputs["Color"], glow.inputs["Color"])
    mix = node("ShaderNodeMixShader", (400, 0))
    link(alpha, mix.inputs[0])
    link(node("ShaderNodeBsdfTransparent", (200, -200)).outputs[0], mix.inputs[1])
    link(glow.outputs[0], mix.inputs[2])
    link(mix.outputs[0], node("ShaderNodeOutputMaterial", (600, 0)).inputs["Surface"])
