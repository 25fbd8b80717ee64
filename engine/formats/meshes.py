# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangle meshes with coloured vertices, as PLY."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..contract.errors import UserError
from .ply import read_triangles
from .points import PointCloud, read_ply_points, write_points


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface: its vertices, and ``triangles`` [M, 3] of numbers of vertices, counter-clockwise where seen from outside."""

    vertices: PointCloud
    triangles: np.ndarray


def read_mesh(file: Path) -> Mesh:
    """Reads a binary PLY of triangles.

    Raises:
        UserError: the file is missing, damaged, or holds no triangles.
    """
    vertices, triangles = read_ply_points(file), read_triangles(file)
    if triangles is None:
        raise UserError(f"{file} holds no mesh: it has no faces.", "Choose a PLY of triangles.")
    if len(triangles) and not (0 <= triangles.min() and triangles.max() < len(vertices)):
        raise UserError(f"{file} is damaged: a face has a corner that is not there.", "Export it again from the program that made it.")
    if not np.isfinite(vertices.positions).all():
        raise UserError(f"{file} is damaged: a vertex is not at a finite place.", "Export it again from the program that made it.")
    return Mesh(vertices, triangles)


def write_mesh(file: Path, mesh: Mesh) -> None:
    """Writes a little-endian PLY, whole or not at all. Positions in float64 are kept, others become float32.

    Raises:
        UserError: a vertex is not at a finite place, or the disk is full.
    """
    vertices = mesh.vertices
    write_points(file, vertices.positions, vertices.colors, vertices.normals, mesh.triangles)
