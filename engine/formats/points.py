# SPDX-License-Identifier: GPL-3.0-or-later
"""Point clouds: PLY, and the points3D files of COLMAP."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..contract.capture import MAX_COORDINATE
from ..contract.errors import UserError
from .colmap import read_points3d
from .ply import read_header, read_vertices, write_vertices

# Names of the columns of red, green and blue; capitals make no difference.
_COLORS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
# Columns that hold colors of some kind.
_COLORED = re.compile(r"(^|_)(r|g|b|rgba?|red|green|blue|colou?rs?|intensity|f_dc_\d)($|_|\d)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points in the world's unit. ``normals`` are unit vectors; what a file does not have is None."""

    positions: np.ndarray  # [N, 3] float64
    colors: np.ndarray | None = None  # [N, 3] uint8, sRGB
    normals: np.ndarray | None = None  # [N, 3] float32

    def __len__(self) -> int:
        return len(self.positions)


def read_points(file: Path, note: Callable[[str], None] | None = None) -> PointCloud:
    """Reads a PLY, points3D.bin or points3D.txt. Points that are not finite, or too far out for float32, are left out.

    Args:
        file: the file.
        note: takes sentences on what is ignored.

    Raises:
        UserError: the file is missing, damaged or of another kind, or none of its points is usable.
    """
    if file.name.lower() in ("points3d.bin", "points3d.txt"):
        cloud = PointCloud(*read_points3d(file))
    else:
        cloud = read_ply_points(file, note)
        faces = read_header(file).counts.get("face", 0)
        if faces and note is not None:
            note(f"Its faces ({faces}) were ignored; Blender's own import brings it in as a mesh.")
    good = (np.abs(cloud.positions) <= MAX_COORDINATE).all(axis=1)  # false for NaN
    if good.all():
        return cloud
    if not good.any():
        raise UserError(f"{file} has {len(cloud)} points, none of which has usable coordinates.", "Export it again, or remove it.")
    if note is not None:
        note(f"{int((~good).sum())} of {len(cloud)} points are not finite or too far out, and were left out.")
    return PointCloud(*(None if part is None else part[good] for part in (cloud.positions, cloud.colors, cloud.normals)))


def write_points(
    file: Path,
    positions: np.ndarray,
    colors: np.ndarray | None,
    normals: np.ndarray | None = None,
    triangles: np.ndarray | None = None,
) -> None:
    """Writes a point cloud as a little-endian PLY, completely or not at all.

    Args:
        file: the file.
        positions: [N, 3]; float64 is kept, anything else becomes float32.
        colors: [N, 3] uint8 sRGB, or None.
        normals: [N, 3], or None.
        triangles: [M, 3] vertex indices of triangles, if the points make a surface.

    Raises:
        UserError: a position is not finite, or the disk is full.
    """
    positions = np.asarray(positions)
    positions = positions if positions.dtype == np.float64 else positions.astype(np.float32)
    if not np.isfinite(positions).all():
        raise UserError(f"{file}: a point is not finite.")
    columns = {name: positions[:, index] for index, name in enumerate(("x", "y", "z"))}
    if normals is not None:
        columns |= {name: np.asarray(normals)[:, index].astype(np.float32) for index, name in enumerate(("nx", "ny", "nz"))}
    if colors is not None:
        columns |= {name: np.asarray(colors)[:, index].astype(np.uint8) for index, name in enumerate(("red", "green", "blue"))}
    write_vertices(file, columns, triangles=triangles)


def read_ply_points(file: Path, note: Callable[[str], None] | None = None) -> PointCloud:
    """Reads the vertices of a PLY, whether or not they are finite; see :func:`read_points`."""
    vertices = read_vertices(file)
    columns = vertices.columns
    if not {"x", "y", "z"} <= set(columns):
        raise UserError(f"{file} holds no points: its vertices have no x, y and z.", "Choose a PLY of points.")
    by_name = {name.lower(): column for name, column in columns.items()}
    colors = None
    for names in _COLORS:
        if set(names) <= set(by_name):
            colors = np.stack([_color(by_name[name]) for name in names], axis=1)
            break
    else:
        unknown = [name for name in columns if _COLORED.search(name)]
        if unknown and note is not None:
            note(f"Its colors ({', '.join(unknown)[:100]}) are not understood, and were ignored; columns red, green and blue would be.")
    normals = vertices.stack(("nx", "ny", "nz")) if {"nx", "ny", "nz"} <= set(columns) else None
    return PointCloud(vertices.stack(("x", "y", "z"), np.float64), colors, normals)


def _color(column: np.ndarray) -> np.ndarray:
    """8-bit colors from whatever type the file has: floats are shares, 16 bits are scaled."""
    if column.dtype == np.uint8:
        return column
    # Wider whole numbers than 16 bits hold 8-bit values all the same.
    full = 1 if column.dtype.kind == "f" else np.iinfo(column.dtype).max if column.dtype.itemsize <= 2 else 255
    return np.round(np.clip(np.nan_to_num(column.astype(np.float64) / full), 0, 1) * 255).astype(np.uint8)
