# SPDX-License-Identifier: GPL-3.0-or-later
"""How large an imported result is now, from its points and surfaces as they are."""

from __future__ import annotations

import bpy
import numpy as np

from ....engine.contract.errors import UserError
from ...core.extents import Extent, measure
from ..tagging import tagged
from .edits import applied_transform, captured_pose, follow_edits
from .parts import MESH, PART, POINTS, PROXY, RADIUS, values_of
from .voxel_objects import is_voxels

# Selected points that are picked one by one and taken as they are; of more, strays are left out.
_PICKED = 8
# A captured room has a floor of its own: of so many cells of its footprint on a side, this share holds points within this share of its
# height from the floor. The underside of furniture is not seen, so furniture has none.
_FLOOR_CELLS, _FLOOR_COVER, _FLOOR_HEIGHT = 16, 0.5, 0.03
# Smallest scale of a result, and of one axis relative to the largest: below, numbers of 32 bits do not tell its size.
_SMALLEST, _FLATTEST = 1e-9, 1e-6


def extent_of(item: bpy.types.Object, selection: bool = False) -> Extent:
    """The solid part of a result, in Blender units and in the axes in which it was captured, see :func:`~.edits.captured_pose`.

    Args:
        item: an imported result, not in Edit Mode.
        selection: measure only the vertices that are selected in Edit Mode.

    Raises:
        UserError: nothing is left of it, or it has no extent.
    """
    if item.type != "MESH" or not len(item.data.vertices):
        raise UserError(f"{item.name} has no points left.", "Undo the edit, or import the result again.")
    positions = _captured_positions(item)
    if selection:
        chosen = _selected(item.data)
        if chosen.sum() <= _PICKED:
            return measure(positions[chosen])
        return measure(positions[chosen], _weights(item.data)[chosen] if PART in item.data.attributes else None)
    if is_voxels(item) or PART not in item.data.attributes:
        return measure(positions)
    part, weights, bounds = values_of(item.data, PART), _weights(item.data), _bounds(item)
    if (part == PROXY).any():
        return measure(positions[part == PROXY], None, bounds)
    if (part == MESH).any() and "opacity" not in item.data.attributes:
        return measure(positions[part == MESH], np.ones((part == MESH).sum()), bounds)
    return measure(positions[part == POINTS], weights[part == POINTS], bounds)


def depth_below_floor(item: bpy.types.Object) -> float:
    """How far the solid part of a captured room reaches below its floor, in Blender units: its gaussians have a thickness, and reflections
    lie below it. 0 for what has no floor of its own.
    """
    if item.type != "MESH" or _bounds(item) is None or PART not in item.data.attributes:
        return 0.0
    points = values_of(item.data, PART) == POINTS
    extent, positions, weights = extent_of(item), _captured_positions(item)[points], _weights(item.data)[points]
    cells = ((positions[:, :2] - extent.low[:2]) * (_FLOOR_CELLS / np.maximum(extent.size[:2], 1e-30))).astype(np.int64)
    near = np.abs(positions[:, 2] - extent.low[2]) <= _FLOOR_HEIGHT * extent.size[2]
    near &= (cells >= 0).all(axis=1) & (cells < _FLOOR_CELLS).all(axis=1) & (weights > 0)
    if len(np.unique(cells[near], axis=0)) < _FLOOR_COVER * _FLOOR_CELLS**2:
        return 0.0
    depth = extent.low[2] - measure(positions, weights).low[2]
    return max(float(depth), 0.0) * float(np.cbrt(abs(np.linalg.det(captured_pose(item)[:3, :3]))))


def check_extent(item: bpy.types.Object, transform: np.ndarray) -> None:
    """Refuses a result that a transform, [4, 4], flattens, shrinks to nothing, or moves to where no numbers are.

    Raises:
        UserError: names it.
    """
    sizes = np.linalg.svd(transform[:3, :3], compute_uv=False) if np.isfinite(transform).all() else np.zeros(3)
    if sizes[2] < max(_SMALLEST, _FLATTEST * sizes[0]):
        reason = "it was flattened or shrunk to nothing, or its positions are not finite"
        raise UserError(f"{item.name} has no extent: {reason}.", "Undo that, or import the result again.")


def length_of(item: bpy.types.Object, unit: float, selection: bool = False) -> float:
    """Longest side of a result or of its selected vertices as it is scaled, in meters; of two vertices their distance."""
    sides = extent_of(item, selection).size * np.linalg.norm(captured_pose(item)[:3, :3], axis=0) * unit
    return float(np.linalg.norm(sides) if selection and _selected(item.data).sum() == 2 else sides.max())


def size_of(item: bpy.types.Object, unit: float) -> np.ndarray:
    """Width, depth and height of a result [3], in meters, as it is scaled; ``unit`` is meters in a Blender unit.

    They are measured along the axes in which it was captured, each told by the axis of the object that it is nearest to.
    """
    size = extent_of(item).size * np.linalg.norm(captured_pose(item)[:3, :3], axis=0) * unit
    nearest = np.abs(applied_transform(item)[:3, :3]).argmax(axis=0)
    return size[np.argsort(nearest)] if len(set(nearest)) == 3 else size


def has_known_scale(item: bpy.types.Object, unit: float) -> bool:
    """Whether a result is in its real size: it was captured in meters, or has been scaled since."""
    values = tagged(item)
    scale = np.cbrt(abs(np.linalg.det(captured_pose(item)[:3, :3]))) * unit / values.get("unit", unit)
    return values.get("scale") != "unknown" or abs(scale - 1) > 1e-6


def selected_points(item: bpy.types.Object) -> int:
    """How many vertices of a mesh in Edit Mode are selected; 0 where all are, which is how Edit Mode starts."""
    if item.mode != "EDIT" or item.type != "MESH":
        return 0
    count = item.data.total_vert_sel
    return count if count < len(item.data.vertices) else 0


def gaussian_weights(opacities: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Opacity [N] times the area of the larger two axes, of sizes [N, 3]; [N]."""
    sizes = np.sort(scales.astype(np.float64), axis=1)
    return opacities * sizes[:, 1] * sizes[:, 2]


def captured_origin(item: bpy.types.Object) -> np.ndarray:
    """Where the origin of an imported result was when it was captured, upright, [3] in meters."""
    values = tagged(item)
    if "origin" in values:
        return np.array(values["origin"])
    # A file of version 0.1.
    return Extent(np.array(values["low"]), np.array(values["high"])).foot


def _captured_positions(item: bpy.types.Object) -> np.ndarray:
    """The vertices of a result in the axes in which it was captured, [N, 3] in Blender units.

    Raises:
        UserError: it has no extent.
    """
    follow_edits(item.data)
    positions = values_of(item.data, "position").astype(np.float64)
    applied = applied_transform(item)
    check_extent(item, applied if np.isfinite(positions).all(axis=1).any() else np.full((4, 4), np.nan))
    inverse = np.linalg.inv(applied)
    return positions @ inverse[:3, :3].T + inverse[:3, 3]


def _selected(mesh: bpy.types.Mesh) -> np.ndarray:
    """The vertices that are selected in Edit Mode, [N] bool."""
    chosen = np.empty(len(mesh.vertices), dtype=bool)
    mesh.vertices.foreach_get("select", chosen)
    return chosen


def _weights(mesh: bpy.types.Mesh) -> np.ndarray:
    """How much each vertex of a result counts, [N]: gaussians by :func:`gaussian_weights`, points alike, other vertices nothing."""
    if "opacity" in mesh.attributes and "scale" in mesh.attributes:
        return gaussian_weights(values_of(mesh, "opacity"), values_of(mesh, "scale"))
    return (values_of(mesh, RADIUS) > 0).astype(np.float64)


def _bounds(item: bpy.types.Object) -> Extent | None:
    values = tagged(item)
    if not {"bounds", "origin", "unit"} <= values.keys():
        return None
    low, high = (np.reshape(values["bounds"], (2, 3)) - values["origin"]) / values["unit"]
    return Extent(low, high)
