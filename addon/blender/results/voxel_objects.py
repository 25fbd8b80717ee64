# SPDX-License-Identifier: GPL-3.0-or-later
"""Voxel objects: Blender rebuilds their mesh, without the engine, whenever threshold, smoothness or size change.

The mesh holds the probabilities that it is made of. So it is moved, duplicated, saved, appended and undone as one thing, and asks for no
file again.
"""

from __future__ import annotations

import dataclasses
import math
import zlib

import bpy
import numpy as np

from ....engine.color import srgb_to_linear
from ....engine.contract.errors import UserError
from ....engine.contract.schema import to_mapping
from ....engine.contract.voxels import VoxelShape
from ....engine.formats.voxel_surface import colors_by_height, standing, surface_of
from ....engine.formats.voxels import LARGEST, Voxels
from ..tagging import kind_of, tag, tagged, update_tag
from .edits import applied_transform, follow_edits, real_scale
from .materials import LIT, mesh_material
from .parts import CENTER, COLOR, set_values

_KIND = "voxels"
# Steeper edges than this stay sharp, as those of blocks.
_SHARP = math.radians(50)


def voxel_object(name: str, voxels: Voxels, shape: VoxelShape, unit: float, **facts: object) -> bpy.types.Object:
    """Makes an object of voxels, in no collection yet.

    Args:
        name: of the object.
        voxels: what is kept with its mesh.
        shape: what is made of them; its length in meters.
        unit: meters in a Blender unit.
        facts: what else its tag remembers, see tagging.py.

    Raises:
        UserError: its surface is too large; nothing is left behind.
    """
    mesh = bpy.data.meshes.new(name)
    codes = voxels.probabilities.astype(np.float16)
    kept = {"cells": len(codes), "probabilities": zlib.compress(codes.tobytes()), "bands": voxels.bands.tobytes()}
    tag(mesh, _KIND, **kept, **to_mapping(VoxelShape()))
    mesh.materials.append(mesh_material())
    item = bpy.data.objects.new(name, mesh)
    tag(item, "result", scale="metric", unit=unit, stands_in=unit, **facts)
    shape = {name: getattr(shape, name) for name in VoxelShape.__dataclass_fields__}
    try:
        reshape(item, **{**shape, "length": shape["length"] / unit})
    except UserError:
        bpy.data.objects.remove(item)
        bpy.data.meshes.remove(mesh)
        raise
    return item


def is_voxels(item: bpy.types.Object | None) -> bool:
    """Whether an object's mesh is made of voxels."""
    return item is not None and item.type == "MESH" and kind_of(item.data) == _KIND


def shape_of(item: bpy.types.Object) -> VoxelShape:
    """What is made of the voxels of an object, its length in Blender units as the object is scaled; where it has none, what would be."""
    if not is_voxels(item):
        return VoxelShape()
    values = tagged(item.data)
    shape = VoxelShape(**{name: values[name] for name in VoxelShape.__dataclass_fields__ if name in values})
    return dataclasses.replace(shape, length=shape.length * real_scale(item))


def reshape(item: bpy.types.Object, **changes: float | str) -> None:
    """Rebuilds the mesh of an object, with its base at the origin. Materials stay, and so does a transform that was applied to it. A mesh
    that other objects share stays theirs.

    Args:
        item: see :func:`is_voxels`; it stays as it is in Edit Mode, where its mesh is linked from another file, or its voxels are damaged.
        changes: of its :class:`VoxelShape`, lengths in Blender units as the object is scaled.

    Raises:
        UserError: its surface would be too large; it stays as it is.
    """
    voxels = None if item.data.is_editmode or not item.data.is_editable else _kept(item.data)
    if voxels is None:
        return
    follow_edits(item.data)
    shape = dataclasses.replace(shape_of(item), **changes)
    shape = dataclasses.replace(shape, length=shape.length / real_scale(item))
    surface = surface_of(voxels.probabilities, shape.threshold, shape.smoothness)
    if item.data.users - item.data.use_fake_user > 1:
        item.data = item.data.copy()
    mesh = item.data
    update_tag(mesh, **to_mapping(shape))
    places = standing(surface.vertices, shape.dimension, shape.length)
    mesh.clear_geometry()
    if len(places):
        codes, applied = colors_by_height(places[:, 2], 0.0, places[:, 2].max(), voxels.bands), applied_transform(item)
        _fill(mesh, places @ applied[:3, :3].T + applied[:3, 3], surface.triangles, codes)
    item.update_tag()


def _kept(mesh: bpy.types.Mesh) -> Voxels | None:
    """The voxels that a mesh holds; None where another program or a damaged file has left none."""
    values = tagged(mesh)
    try:
        side = min(int(values["cells"]), LARGEST)
        # No more than there can be: the file may be anybody's.
        codes = zlib.decompressobj().decompress(values["probabilities"], 2 * side**3)
        voxels = Voxels(
            np.nan_to_num(np.frombuffer(codes, np.float16).reshape(side, side, side).astype(np.float32)),
            np.frombuffer(values["bands"], np.uint8).reshape(-1, 3),
        )
    except (KeyError, TypeError, ValueError, OverflowError, zlib.error):
        return None
    return voxels if len(voxels.bands) else None


def _fill(mesh: bpy.types.Mesh, places: np.ndarray, triangles: np.ndarray, codes: np.ndarray) -> None:
    mesh.vertices.add(len(places))
    mesh.loops.add(triangles.size)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(triangles, dtype=np.int32).ravel())
    mesh.polygons.add(len(triangles))
    mesh.polygons.foreach_set("loop_start", np.arange(0, triangles.size, 3, dtype=np.int32))
    for name in ("position", CENTER):
        set_values(mesh, name, "FLOAT_VECTOR", places)
    light = srgb_to_linear(codes / 255.0)
    set_values(mesh, COLOR, "FLOAT_COLOR", np.concatenate([light, np.ones((len(light), 1))], axis=1))
    mesh.color_attributes.active_color = mesh.color_attributes[COLOR]
    # A picture's colors are nearly those of its surface: the room's lights fall on them.
    set_values(mesh, LIT, "FLOAT", np.ones(len(places)))
    mesh.update(calc_edges=True)
    mesh.shade_smooth()
    mesh.set_sharp_from_angle(angle=_SHARP)
