# SPDX-License-Identifier: GPL-3.0-or-later
"""Coloured triangle meshes as Blender objects."""

from __future__ import annotations

import bpy
import numpy as np

from .point_clouds import COLOR, glowing_material, only_for_cameras


def mesh_object(name: str, positions: np.ndarray, triangles: np.ndarray, colors: np.ndarray) -> bpy.types.Object:
    """Makes a smooth mesh that glows in its own colours, so that it looks alike under any light.

    Args:
        name: name of the object.
        positions: [N, 3], in Blender units, relative to the object.
        triangles: [M, 3] numbers of vertices, all of them there.
        colors: [N, 3], scene-linear.

    Returns:
        The object, in no collection yet.
    """
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(positions))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(positions, dtype=np.float32).ravel())
    mesh.loops.add(3 * len(triangles))
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(triangles, dtype=np.int32).ravel())
    mesh.polygons.add(len(triangles))
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * len(triangles), 3, dtype=np.int32))
    shades = mesh.color_attributes.new(COLOR, "FLOAT_COLOR", "POINT")
    shades.data.foreach_set("color", np.concatenate([colors, np.ones((len(colors), 1))], axis=1).astype(np.float32).ravel())
    # What Solid shading shows when it is set to Attribute.
    mesh.color_attributes.active_color = shades
    mesh.update(calc_edges=True)
    # A triangle that names a corner twice would crash some tools.
    mesh.validate()
    mesh.shade_smooth()
    mesh.materials.append(glowing_material())
    shown = bpy.data.objects.new(name, mesh)
    only_for_cameras(shown)
    return shown
