# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that show points as their gaussians.

Each gaussian is a unit sphere, turned and scaled to where its alpha falls to 1/100. Where a ray passes its center at distance d, in the
sphere's own space, alpha = opacity · (100 · opacity)^(−d²), which is opacity · exp(−½ (distance in sigmas)²): the gaussian's peak along
the ray, right in perspective. There are two shapes:

In renders a hexagon through the center faces the camera, all of them one mesh. A ray meets it once, at the depth that trainers sort by,
which brings pictures up to 2 dB nearer to what was captured than sorting by the ellipsoid's front does, in half of Cycles' time. Its color
is what the harmonics show to the camera.
In the viewport, or with "Face Camera" switched off, an instanced icosphere in the mean color stands there, right from everywhere.
"""

from __future__ import annotations

import bpy
import numpy as np

from ....engine.harmonics import FUNCTIONS
from .materials import known_material, new_material
from .nodes import Builder
from .parts import CENTER, COLOR, PART, RADIUS, SOLID

# An icosahedron of radius 1 touches an inner sphere of this radius.
_ICOSAHEDRON_INRADIUS = 0.7946544722917661
_CORNERS = 6
# Alpha at which a gaussian ends. Trainers go on to 1/255, through half as many surfaces again for each ray, which nobody can see.
_LEAST = 1 / 100
_NAME = "Reconstruct Splats"
# Attributes of the hexagons' mesh: place in the unit sphere's plane, 1 over the square of the camera's distance, the opacity's logarithm;
# and the light. Each node of the shader is paid for at every surface that a ray passes, and there are dozens.
_GAUSSIAN, _LIGHT = "gaussian", "light"


def splat_geometry(build: Builder, points: bpy.types.NodeSocket, facing: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """Adds the nodes to a Geometry Nodes tree.

    Args:
        build: of the tree.
        points: geometry whose points carry gaussians.
        facing: whether gaussians face the scene's camera.

    Returns:
        The geometry that shows them.
    """
    node, math, link = build.node, build.math, build.link
    opacity = build.attribute("opacity", "FLOAT", (-1200, -200))
    visible = math("GREATER_THAN", (-400, 100), opacity, _LEAST)
    shares = math("MULTIPLY", (-1000, -200), opacity, 1.0 / _LEAST)
    logarithm = math("LOGARITHM", (-800, -200), shares, float(np.e))
    extent = math("SQRT", (-400, -200), math("MULTIPLY", (-600, -200), logarithm, 2.0))
    scale = node("ShaderNodeVectorMath", (-200, -200), operation="SCALE")
    link(build.attribute("scale", "FLOAT_VECTOR", (-400, -400)), scale.inputs[0])
    link(extent, scale.inputs["Scale"])
    rotation = build.attribute("rotation", "QUATERNION", (-1200, -600))

    hull = node("GeometryNodeMeshIcoSphere", (-800, 700))
    hull.inputs["Subdivisions"].default_value = 1
    hull.inputs["Radius"].default_value = 1.0 / _ICOSAHEDRON_INRADIUS
    balls = node("GeometryNodeInstanceOnPoints", (0, 600))
    link(points, balls.inputs["Points"])
    link(visible, balls.inputs["Selection"])
    link(build.dressed(hull.outputs["Mesh"], _round_material(), (-400, 700)), balls.inputs["Instance"])
    link(rotation, balls.inputs["Rotation"])
    link(scale.outputs[0], balls.inputs["Scale"])

    shape = node("GeometryNodeSwitch", (2200, 300), input_type="GEOMETRY")
    link(facing, shape.inputs["Switch"])
    link(balls.outputs[0], shape.inputs["False"])
    link(_hexagons(build, points, visible, rotation, scale.outputs[0], opacity), shape.inputs["True"])
    return shape.outputs[0]


def _hexagons(
    build: Builder,
    points: bpy.types.NodeSocket,
    visible: bpy.types.NodeSocket,
    rotation: bpy.types.NodeSocket,
    scale: bpy.types.NodeSocket,
    opacity: bpy.types.NodeSocket,
) -> bpy.types.NodeSocket:
    """One mesh of hexagons that face the camera."""
    position = build.node("GeometryNodeInputPosition", (-1200, -1000)).outputs[0]
    away, seen = _camera_from(build, position, rotation, scale)
    distance = build.dot(seen, seen, (-400, -1000))
    reach = _reach(build, distance)
    pose = _hexagon_pose(build, seen, reach, (position, rotation, scale))
    geometry = _with_facts(build, points, (reach, distance, opacity), away)
    disc = build.node("GeometryNodeMeshCircle", (-600, 300), fill_type="NGON")
    disc.inputs["Vertices"].default_value = _CORNERS
    disc.inputs["Radius"].default_value = 1.0 / float(np.cos(np.pi / _CORNERS))
    corners = build.stored(disc.outputs["Mesh"], "corner", "FLOAT_VECTOR", position, "POINT", (-400, 300))
    instances = build.node("GeometryNodeInstanceOnPoints", (0, 300))
    build.link(geometry, instances.inputs["Points"])
    build.link(visible, instances.inputs["Selection"])
    build.link(build.dressed(corners, _flat_material(), (-200, 300)), instances.inputs["Instance"])
    placed = build.node("GeometryNodeSetInstanceTransform", (600, 300))
    build.link(instances.outputs[0], placed.inputs["Instances"])
    build.link(pose, placed.inputs["Transform"])
    return _realized(build, placed.outputs[0])


def _camera_from(
    build: Builder, position: bpy.types.NodeSocket, rotation: bpy.types.NodeSocket, scale: bpy.types.NodeSocket
) -> tuple[bpy.types.NodeSocket, bpy.types.NodeSocket]:
    """Where the scene's camera is, from each gaussian in the world's axes, and from inside its unit sphere."""
    node, link = build.node, build.link
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
    return away.outputs[0], seen.outputs[0]


def _reach(build: Builder, distance: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """The radius of the hexagon in the sphere's plane that the rays of a camera at that squared distance cross.

    The nearer the camera, the more of the plane its rays cross; from inside the sphere all of it, of which a limited part is drawn.
    """
    math = build.math
    share = math("MAXIMUM", (0, -1000), math("SUBTRACT", (-200, -1000), 1.0, math("DIVIDE", (-300, -1000), 1.0, distance)), 0.1)
    return math("POWER", (200, -1000), share, -0.5)


def _hexagon_pose(
    build: Builder, seen: bpy.types.NodeSocket, reach: bpy.types.NodeSocket, gaussian: tuple[bpy.types.NodeSocket, ...]
) -> bpy.types.NodeSocket:
    """The matrix of each hexagon: turned to the camera and enlarged within the unit sphere, then as the gaussian's position, rotation and
    scale say.
    """
    node, link = build.node, build.link
    position, rotation, scale = gaussian
    towards = node("FunctionNodeAlignRotationToVector", (-400, -800), axis="Z")
    link(seen, towards.inputs["Vector"])
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
    return whole.outputs[0]


def _with_facts(
    build: Builder, points: bpy.types.NodeSocket, values: tuple[bpy.types.NodeSocket, ...], away: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    """Points with what the material needs of each gaussian, of ``values`` reach, squared distance and opacity, and with its color."""
    node, math, link = build.node, build.math, build.link
    reach, distance, opacity = values
    facts = node("ShaderNodeCombineXYZ", (400, -1300))
    nearness, logarithm = math("DIVIDE", (200, -1200), 1.0, distance), math("LOGARITHM", (200, -1400), opacity, float(np.e))
    for value, socket in zip((reach, nearness, logarithm), facts.inputs, strict=True):
        link(value, socket)
    geometry = build.stored(points, "facts", "FLOAT_VECTOR", facts.outputs[0], "POINT", (-600, 0))
    geometry = build.stored(geometry, _LIGHT, "FLOAT_COLOR", _light(build, away), "POINT", (-400, 0))
    # Every corner would get a copy of what is not needed any more.
    return build.without(geometry, "sh_*", (-200, 0))


def _realized(build: Builder, instances: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """Instances of hexagons as one mesh, each corner with where it is in the plane and what its gaussian's opacity falls off by."""
    node, math, link = build.node, build.math, build.link
    thin = instances
    for index, name in enumerate(("scale", "rotation", "opacity", RADIUS, PART, CENTER, SOLID, COLOR)):
        thin = build.without(thin, name, (800 + 150 * index, 300))
    one = node("GeometryNodeRealizeInstances", (1800, 300))
    link(thin, one.inputs["Geometry"])
    plane, about = (node("ShaderNodeSeparateXYZ", (1400, place)) for place in (0, -200))
    link(build.attribute("corner", "FLOAT_VECTOR", (1200, 0)), plane.inputs[0])
    link(build.attribute("facts", "FLOAT_VECTOR", (1200, -200)), about.inputs[0])
    packed = node("FunctionNodeCombineColor", (1800, 0))
    for axis in range(2):
        link(math("MULTIPLY", (1600, 100 * axis), plane.outputs[axis], about.outputs[0]), packed.inputs[axis])
    link(about.outputs[1], packed.inputs[2])
    link(about.outputs[2], packed.inputs[3])
    geometry = build.stored(one.outputs[0], _GAUSSIAN, "FLOAT_COLOR", packed.outputs[0], "POINT", (2000, 300))
    return build.without(build.without(geometry, "corner", (2050, 200)), "facts", (2050, 100))


def _light(build: Builder, away: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """The color that the harmonics show to a camera; where points have none, each is nothing, and the mean color remains."""
    node, math, link = build.node, build.math, build.link
    direction = node("ShaderNodeVectorMath", (-2400, -2000), operation="NORMALIZE")
    link(away, direction.inputs[0])
    back = node("ShaderNodeVectorMath", (-2200, -2000), operation="SCALE")
    link(direction.outputs[0], back.inputs[0])
    back.inputs["Scale"].default_value = -1.0
    axes = node("ShaderNodeSeparateXYZ", (-2000, -2000))
    link(back.outputs[0], axes.inputs[0])
    products = dict(zip("xyz", axes.outputs, strict=True))
    for product in sorted({product for function in FUNCTIONS for product in function if len(product) > 1}, key=len):
        if product[:-1] not in products:
            products[product[:-1]] = math("MULTIPLY", (-1800, -2000), products[product[:-2]], products[product[-2]])
        products[product] = math("MULTIPLY", (-1600, -2000), products[product[:-1]], products[product[-1]])
    total = None
    for number in range(len(FUNCTIONS) + 1):
        term = build.attribute(f"sh_{number}", "FLOAT_VECTOR", (-1400, -2000 - 150 * number))
        if number:
            function = None
            for product, factor in FUNCTIONS[number - 1].items():
                part = math("MULTIPLY", (-1200, -2000 - 150 * number), products[product], factor)
                function = part if function is None else math("ADD", (-1000, -2000 - 150 * number), function, part)
            scaled = node("ShaderNodeVectorMath", (-800, -2000 - 150 * number), operation="SCALE")
            link(term, scaled.inputs[0])
            link(function, scaled.inputs["Scale"])
            term = scaled.outputs[0]
        total = build.attribute(COLOR, "FLOAT_COLOR", (-800, -1850)) if total is None else total
        plus = node("ShaderNodeVectorMath", (-600, -2000 - 150 * number), operation="ADD")
        link(total, plus.inputs[0])
        link(term, plus.inputs[1])
        total = plus.outputs[0]
    least = node("ShaderNodeVectorMath", (-400, -2000), operation="MAXIMUM")
    link(total, least.inputs[0])
    return least.outputs[0]


def _round_material() -> bpy.types.Material:
    """For icospheres: finds the ray in the instance's own space."""
    material = known_material("round splats")
    if material is not None:
        return material
    material, build = new_material("round splats", f"{_NAME} Round")
    # EEVEE then sorts the gaussians as a rasterizer does, without noise.
    material.surface_render_method = "BLENDED"
    node, math, dot, link = build.node, build.math, build.dot, build.link
    point = node("ShaderNodeTexCoord", (-1400, 300)).outputs["Object"]
    turned = node("ShaderNodeVectorTransform", (-1400, 0), vector_type="VECTOR", convert_from="WORLD", convert_to="OBJECT")
    # By its name: in Blender 5.3 another input comes first.
    link(node("ShaderNodeNewGeometry", (-1600, 0)).outputs["Incoming"], turned.inputs["Vector"])
    ray = turned.outputs[0]
    along = dot(point, ray, (-1200, 100))
    passed = math("DIVIDE", (-800, 100), math("MULTIPLY", (-1000, 100), along, along), dot(ray, ray, (-1200, -100)))
    squared = math("SUBTRACT", (-600, 200), dot(point, point, (-1200, 300)), passed)
    opacity = node("ShaderNodeAttribute", (-800, -200), attribute_type="INSTANCER", attribute_name="opacity").outputs["Fac"]
    color = node("ShaderNodeAttribute", (0, -400), attribute_type="INSTANCER", attribute_name=COLOR).outputs["Color"]
    # A ray meets an icosphere twice, and counts once.
    counts = math("MULTIPLY", (-200, -300), math("LESS_THAN", (-400, -400), squared, 1.0), math("GREATER_THAN", (-400, -300), along, 0.0))
    shares = math("MULTIPLY", (-400, -100), opacity, 1.0 / _LEAST)
    falloff = math("POWER", (-200, 100), shares, math("MULTIPLY", (-400, 200), squared, -1.0))
    _glow(build, math("MULTIPLY", (200, 0), math("MULTIPLY", (0, 0), falloff, opacity), counts), color)
    return material


def _flat_material() -> bpy.types.Material:
    """For hexagons: how far from the center a ray passes follows from where it meets the hexagon and how far the camera is."""
    material = known_material("flat splats")
    if material is not None:
        return material
    material, build = new_material("flat splats", f"{_NAME} Flat")
    material.surface_render_method = "DITHERED"
    node, math, link = build.node, build.math, build.link
    gaussian = node("ShaderNodeAttribute", (-1600, 100), attribute_name=_GAUSSIAN)
    parts = node("ShaderNodeSeparateXYZ", (-1400, 100))
    link(gaussian.outputs["Vector"], parts.inputs[0])
    x, y, nearness = parts.outputs
    logarithm = gaussian.outputs["Alpha"]
    met = math("MULTIPLY_ADD", (-1000, 200), x, x, math("MULTIPLY", (-1200, 100), y, y))
    squared = math("DIVIDE", (-600, 200), met, math("MULTIPLY_ADD", (-800, 0), met, nearness, 1.0))
    # The logarithm of opacity · (100 · opacity)^(−d²).
    falling = math("SUBTRACT", (-600, -100), float(np.log(_LEAST)), logarithm)
    alpha = math("EXPONENT", (-200, 0), math("MULTIPLY_ADD", (-400, 0), squared, falling, logarithm))
    # Not in the corners.
    alpha = math("MULTIPLY", (0, 0), alpha, math("LESS_THAN", (-400, -200), squared, 1.0))
    _glow(build, alpha, node("ShaderNodeAttribute", (0, -400), attribute_name=_LIGHT).outputs["Color"])
    return material


def _glow(build: Builder, alpha: bpy.types.NodeSocket, color: bpy.types.NodeSocket) -> None:
    """The end of both materials: a gaussian's light, and what shines through."""
    node, math, link = build.node, build.math, build.link
    glow = node("ShaderNodeEmission", (400, 100))
    link(color, glow.inputs["Color"])
    link(alpha, glow.inputs["Strength"])
    through = node("ShaderNodeBsdfTransparent", (400, -100))
    link(math("SUBTRACT", (200, -200), 1.0, alpha), through.inputs["Color"])
    both = node("ShaderNodeAddShader", (600, 0))
    link(glow.outputs[0], both.inputs[0])
    link(through.outputs[0], both.inputs[1])
    link(both.outputs[0], node("ShaderNodeOutputMaterial", (800, 0)).inputs["Surface"])
