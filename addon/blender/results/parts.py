# SPDX-License-Identifier: GPL-3.0-or-later
"""What an imported result is made of: parts that lie in one mesh, told apart by an attribute.

So all that a result can look like is in one data-block: it is moved, duplicated, shared, saved, appended and undone as one thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import bpy
import numpy as np

# Numbers of the parts in the attribute PART. 3 is a box in files of version 0.1.
POINTS, MESH, PROXY = range(3)
PART = "part"
# Where a vertex was when the other attributes were last fitted to it, see edits.py.
CENTER = "center"
# Vertices that the extent of a result is measured by.
SOLID = "solid"
COLOR = "base_color"
RADIUS = "radius"


@dataclass(frozen=True, eq=False)
class Part:
    """Vertices, and the triangles between them; a cloud of points has none. In Blender units, relative to the object.

    ``attributes`` are further values of the vertices: Blender's data type, and [N] or [N, C]. ``normals`` and ``uvs`` belong to the
    corners of the triangles.
    """

    number: int
    positions: np.ndarray  # [N, 3]
    colors: np.ndarray  # [N, 3] scene-linear
    triangles: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))  # [M, 3]
    normals: np.ndarray | None = None  # [3 M, 3]
    uvs: np.ndarray | None = None  # [3 M, 2]
    material: bpy.types.Material | None = None
    attributes: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)


def mesh_of(name: str, parts: Sequence[Part]) -> bpy.types.Mesh:
    """Puts parts into one mesh.

    Args:
        name: name of the data-block.
        parts: at least one.
    """
    mesh = bpy.data.meshes.new(name)
    counts = [len(part.positions) for part in parts]
    starts = np.cumsum([0, *counts])
    mesh.vertices.add(starts[-1])
    triangles = np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)])
    mesh.loops.add(triangles.size)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(triangles, dtype=np.int32).ravel())
    mesh.polygons.add(len(triangles))
    mesh.polygons.foreach_set("loop_start", np.arange(0, triangles.size, 3, dtype=np.int32))
    for name in ("position", CENTER):
        set_values(mesh, name, "FLOAT_VECTOR", np.concatenate([part.positions for part in parts]))
    set_values(mesh, PART, "INT", np.repeat([part.number for part in parts], counts))
    colors = np.concatenate([part.colors for part in parts])
    set_values(mesh, COLOR, "FLOAT_COLOR", np.concatenate([colors, np.ones((len(colors), 1))], axis=1))
    # What Solid shading shows when it is set to Attribute.
    mesh.color_attributes.active_color = mesh.color_attributes[COLOR]
    for key in {key: None for part in parts for key in part.attributes}:
        kind, width = next((kind, values.shape[1:]) for part in parts if key in part.attributes for kind, values in [part.attributes[key]])
        empty = [np.zeros((count, *width)) for count in counts]
        found = [part.attributes.get(key, (kind, own))[1] for part, own in zip(parts, empty, strict=True)]
        set_values(mesh, key, kind, np.concatenate(found))
    if len(triangles):
        _dress(mesh, parts)
    mesh.update(calc_edges=True)
    # A triangle that names a corner twice would crash some tools.
    mesh.validate()
    return mesh


def values_of(mesh: bpy.types.Mesh, name: str) -> np.ndarray:
    """An attribute of a mesh: [N] or [N, C], float32, int32 or bool."""
    attribute = mesh.attributes[name]
    field_, width, kind = _FIELDS[attribute.data_type]
    flat = np.empty(len(attribute.data) * width, dtype=kind)
    attribute.data.foreach_get(field_, flat)
    return flat.reshape(-1, width) if width > 1 else flat


def smooth_normals(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Normals of vertices [N, 3], each the mean of its triangles', larger ones counting more."""
    corners = positions[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = [np.bincount(triangles.ravel(), np.repeat(across[:, axis], 3), minlength=len(positions)) for axis in range(3)]
    normals = np.stack(sums, axis=1)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)


def _dress(mesh: bpy.types.Mesh, parts: Sequence[Part]) -> None:
    """Normals, UVs and materials of the triangles."""
    sizes = [3 * len(part.triangles) for part in parts]
    normals = [np.zeros((size, 3)) if part.normals is None else part.normals for part, size in zip(parts, sizes, strict=True)]
    set_values(mesh, "custom_normal", "FLOAT_VECTOR", np.concatenate(normals), "CORNER")
    if any(part.uvs is not None for part in parts):
        uvs = [np.zeros((size, 2)) if part.uvs is None else part.uvs for part, size in zip(parts, sizes, strict=True)]
        mesh.uv_layers.new(name="UVMap").uv.foreach_set("vector", np.concatenate(uvs).astype(np.float32).ravel())
    slots = []
    for part in parts:
        if len(part.triangles):
            mesh.materials.append(part.material)
        slots.append(np.full(len(part.triangles), max(len(mesh.materials) - 1, 0)))
    set_values(mesh, "material_index", "INT", np.concatenate(slots), "FACE")


_FIELDS = {
    "BOOLEAN": ("value", 1, bool),
    "FLOAT": ("value", 1, np.float32),
    "INT": ("value", 1, np.int32),
    "FLOAT_VECTOR": ("vector", 3, np.float32),
    "FLOAT_COLOR": ("color", 4, np.float32),
    "QUATERNION": ("value", 4, np.float32),
    "FLOAT4": ("vector", 4, np.float32),
}


def set_values(mesh: bpy.types.Mesh, name: str, kind: str, values: np.ndarray, domain: str = "POINT") -> None:
    """Sets an attribute of a mesh, which gets it where it has none: [N] or [N, C] as its data type asks for."""
    attribute = mesh.attributes.get(name) or mesh.attributes.new(name, kind, domain)
    key, _, number = _FIELDS[kind]
    attribute.data.foreach_set(key, np.ascontiguousarray(values, dtype=number).ravel())
