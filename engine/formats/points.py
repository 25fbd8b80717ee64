# SPDX-License-Identifier: GPL-3.0-or-later
"""Point clouds: PLY, and the points3D files of COLMAP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..contract.errors import UserError
from .colmap import read_points3d
from .ply import read_vertices, write_vertices


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points in the world's unit. ``normals`` are unit vectors; what a file does not have is None."""

    positions: np.ndarray  # [N, 3] float64
    colors: np.ndarray | None = None  # [N, 3] uint8, sRGB
    normals: np.ndarray | None = None  # [N, 3] float32

    def __len__(self) -> int:
        return len(self.positions)


def read_points(file: Path) -> PointCloud:
    """Reads a PLY, points3D.bin or points3D.txt. Points that are not finite are left out.

    Raises:
        UserError: the file is missing, damaged or of another kind.
    """
    if file.name.lower() in ("points3d.bin", "points3d.txt"):
        cloud = PointCloud(*read_points3d(file))
    else:
        cloud = read_ply_points(file)
    good = np.isfinite(cloud.positions).all(axis=1)
    if good.all():
        return cloud
    return PointCloud(*(None if part is None else part[good] for part in (cloud.positions, cloud.colors, cloud.normals)))


def write_points(
    file: Path,
    positions: np.ndarray,
    colors: np.ndarray | None,
    normals: np.ndarray | None = None,
    triangles: np.ndarray | None = None,
) -> None:
    """Writes a point cloud as a little-endian PLY, whole or not at all.

    Args:
        file: the file.
        positions: [N, 3]; float64 is kept, anything else becomes float32.
        colors: [N, 3] uint8 sRGB, or None.
        normals: [N, 3], or None.
        triangles: [M, 3] numbers of points, where they make a surface.

    Raises:
        UserError: a position is not finite, or the disk is full.
    """
    positions = np.asarray(positions)
    positions = positions if positions.dtype == np.float64 else positions.astype(np.float32)
    if not np.isfinite(positions).all():
        raise UserError(f"{file}: a point is not at a finite place.")
    columns = {name: positions[:, index] for index, name in enumerate(("x", "y", "z"))}
    if normals is not None:
        columns |= {name: np.asarray(normals)[:, index].astype(np.float32) for index, name in enumerate(("nx", "ny", "nz"))}
    if colors is not None:
        columns |= {name: np.asarray(colors)[:, index].astype(np.uint8) for index, name in enumerate(("red", "green", "blue"))}
    write_vertices(file, columns, triangles=triangles)


def read_ply_points(file: Path) -> PointCloud:
    """Reads the vertices of a PLY, whether or not they are finite; see :func:`read_points`."""
    vertices = read_vertices(file)
    columns = vertices.columns
    if not {"x", "y", "z"} <= set(columns):
        raise UserError(f"{file} holds no points: its vertices have no x, y and z.", "Choose a PLY of points.")
    colors = None
    for names in (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue")):
        if set(names) <= set(columns):
            colors = np.stack([_color(columns[name]) for name in names], axis=1)
            break
    normals = vertices.stack(("nx", "ny", "nz")) if {"nx", "ny", "nz"} <= set(columns) else None
    return PointCloud(vertices.stack(("x", "y", "z"), np.float64), colors, normals)


def _color(column: np.ndarray) -> np.ndarray:
    """8-bit colours from whatever type the file has: floats are shares, 16 bits are scaled."""
    if column.dtype == np.uint8:
        return column
    # Wider whole numbers than 16 bits hold 8-bit values all the same.
    full = 1 if column.dtype.kind == "f" else np.iinfo(column.dtype).max if column.dtype.itemsize <= 2 else 255
    return np.round(np.clip(np.nan_to_num(column.astype(np.float64) / full), 0, 1) * 255).astype(np.uint8)
