# SPDX-License-Identifier: GPL-3.0-or-later
"""Coloured point clouds as Blender objects that show in the viewport and in renders."""

from __future__ import annotations

import bpy
import numpy as np

from ..compat import material_tree, new_point_cloud
from .nodes import Builder
from .tagging import kind_of, tag

_MATERIAL = "Reconstruct Points"
# Not "color", which Cycles reads as black from point clouds.
COLOR = "base_color"


def point_cloud_object(name: str, positions: np.ndarray, colors: np.ndarray, radii: np.ndarray) -> bpy.types.Object:
    """Makes a point cloud that glows in its own colours, so that it looks alike under any light.

    Args:
        name: name of the object.
        positions: [N, 3], in Blender units, relative to the object.
        colors: [N, 3], scene-linear.
        radii: [N], in Blender units.

    Returns:
        The object, in no collection yet.
    """
    cloud = new_point_cloud(name, len(positions))
    set_attribute(cloud, "position", "FLOAT_VECTOR", positions)
    set_attribute(cloud, "radius", "FLOAT", radii)
    set_attribute(cloud, COLOR, "FLOAT_COLOR", np.concatenate([colors, np.ones((len(colors), 1))], axis=1))
    cloud.materials.append(glowing_material())
    shown = bpy.data.objects.new(name, cloud)
    only_for_cameras(shown)
    return shown


def set_attribute(cloud: bpy.types.PointCloud, name: str, kind: str, values: np.ndarray) -> None:
    """Writes one value a point, making the attribute where it is not there.

    Args:
        cloud: the point cloud.
        name: name of the attribute.
        kind: Blender's data type: FLOAT, FLOAT_VECTOR, FLOAT_COLOR or QUATERNION.
        values: [N] or [N, C].
    """
    attribute = cloud.attributes.get(name) or cloud.attributes.new(name, kind, "POINT")
    field = {"FLOAT_VECTOR": "vector", "FLOAT_COLOR": "color"}.get(kind, "value")
    attribute.data.foreach_set(field, np.ascontiguousarray(values, dtype=np.float32).ravel())


def only_for_cameras(shown: bpy.types.Object) -> None:
    """Lets an object neither cast light or shadow nor appear in reflections: its colours already hold the light it was captured in."""
    for ray in ("diffuse", "glossy", "transmission", "volume_scatter", "shadow"):
        setattr(shown, f"visible_{ray}", False)


def spacing(positions: np.ndarray) -> float:
    """A distance between neighbours that makes points of half that radius close up, for points spread over surfaces."""
    low, high = np.percentile(positions, (2, 98), axis=0) if len(positions) else (np.zeros(3), np.zeros(3))
    width, depth, height = high - low
    area = 2 * (width * depth + depth * height + height * width)
    return float(np.sqrt(max(area, 1e-12) / max(len(positions), 1)))


def glowing_material() -> bpy.types.Material:
    """The material of what glows in its attribute COLOR; one for all of them."""
    for material in bpy.data.materials:
        if kind_of(material) == "points" and not material.library:
            return material
    material = bpy.data.materials.new(_MATERIAL)
    tag(material, "points")
    if hasattr(material, "cycles"):
        # A cloud of lamps would cost Cycles a light tree and give noise, and its light does not count anyway.
        material.cycles.emission_sampling = "NONE"
    tree = material_tree(material)
    tree.nodes.clear()
    build = Builder(tree)
    color = build.node("ShaderNodeAttribute", (0, 0), attribute_name=COLOR)
    glow = build.node("ShaderNodeEmission", (200, 0))
    build.link(color.outputs["Color"], glow.inputs["Color"])
    build.link(glow.outputs[0], build.node("ShaderNodeOutputMaterial", (400, 0)).inputs["Surface"])
    return material
