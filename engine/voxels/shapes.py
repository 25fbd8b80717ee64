# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes: colored triangles, which pictures and voxels are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from ..formats.binvox import VoxelGrid
from ..kernels.drawing import Surface
from ..kernels.solid import solid

SIDE = 32
# Edges sharper than this are seen as edges, others as round.
_CREASE = np.cos(np.radians(40.0))
# How far around a place matter keeps light away, in cells.
_SURROUNDINGS = 1.6


@dataclass(frozen=True, eq=False)
class Shape:
    """A piece of furniture.

    ``triangles``: [M, 3, 3] float64 corners in a world with Z up, its front looking along -Y; meters where it is generated. ``colors``:
    [M, 3, 3] float32 scene-linear, of each corner. ``finishes``: [M] int32, rows of ``table`` [K, 6] float32, see kernels.drawing, with
    patterns in the unit of the cube that the shape fills.
    """

    triangles: np.ndarray
    colors: np.ndarray
    finishes: np.ndarray
    table: np.ndarray

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Low and high corner, [3] each."""
        corners = self.triangles.reshape(-1, 3)
        return corners.min(axis=0), corners.max(axis=0)


def cube_of(shape: Shape) -> tuple[np.ndarray, float]:
    """The cube that a shape is voxelised in: its low corner [3] and its side. The longest side of the shape fills it, the others lie in
    its middle.
    """
    low, high = shape.bounds
    size = float((high - low).max()) or 1.0
    return (low + high - size) / 2, size


def voxelized(shape: Shape, side: int = SIDE) -> VoxelGrid:
    """The solid voxels of a shape, see kernels.solid for what is full."""
    corner, size = cube_of(shape)
    return VoxelGrid(solid((shape.triangles - corner) * (side / size), side), tuple(corner.tolist()), size)


def drawable(shape: Shape, cells: np.ndarray) -> Surface:
    """A shape in the cube from -1/2 to 1/2 that it fills, ready to be drawn.

    Args:
        shape: the shape. cells: its voxels [D, D, D], for the light that they keep away.
    """
    corner, size = cube_of(shape)
    triangles = (shape.triangles - corner) / size - 0.5
    crowded = gaussian_filter(cells.astype(np.float32), _SURROUNDINGS, mode="constant")
    return Surface(
        np.ascontiguousarray(triangles, dtype=np.float32),
        corner_normals(triangles),
        np.ascontiguousarray(shape.colors, dtype=np.float32),
        np.ascontiguousarray(shape.finishes, dtype=np.int32),
        np.ascontiguousarray(shape.table, dtype=np.float32),
        crowded,
    )


def corner_normals(triangles: np.ndarray) -> np.ndarray:
    """Unit normals of corners, [M, 3, 3] float32: the mean over the triangles that meet there without a sharp edge, large ones counting
    more.
    """
    count = len(triangles)
    faces = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    flat = faces / np.maximum(np.linalg.norm(faces, axis=1, keepdims=True), 1e-30)
    if not count:
        return np.zeros((0, 3, 3), np.float32)
    # One number for each place, the same for corners within a hundred-thousandth of the shape.
    low = triangles.min(axis=(0, 1))
    x, y, z = np.round((triangles.reshape(-1, 3) - low) * (1e5 / max(np.ptp(triangles), 1e-30))).astype(np.int64).T
    _, place = np.unique((x << 40) | (y << 20) | z, return_inverse=True)
    order = np.argsort(place, kind="stable")
    sizes = np.bincount(place)
    # Every pair of corners that lie in one place.
    around = sizes[place[order]]
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    mine = np.repeat(np.arange(3 * count), around)
    theirs = np.arange(around.sum()) - np.repeat(np.cumsum(around) - around, around) + np.repeat(first, around)
    mine, theirs = order[mine], order[theirs] // 3
    joined = (flat[mine // 3] * flat[theirs]).sum(axis=1) > _CREASE
    sums = np.zeros((3 * count, 3))
    for axis in range(3):
        sums[:, axis] = np.bincount(mine[joined], faces[theirs[joined], axis], 3 * count)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    normals = np.where(length > 1e-30, sums / np.maximum(length, 1e-30), np.repeat(flat, 3, axis=0))
    return normals.reshape(count, 3, 3).astype(np.float32)
