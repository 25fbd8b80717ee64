# SPDX-License-Identifier: GPL-3.0-or-later
"""Solid voxels of triangles, which need not be a closed surface.

A cell is full where
- the surface passes through its inside (Akenine-Möller 2001); each triangle counts as lying a hair behind its front, so that a box whose
  faces are those of cells fills just these; or
- air from outside the grid cannot reach it, going from cell to neighbouring cell through cells without surface: so parts that overlap are
  one body, and a closed hull is full; or
- of the six rays along the axes from its middle at least five cross the surface an odd number of times (Nooruddin and Turk 2003): so a
  hull that lacks one side is full as well. A tube that is open at both ends, a bowl's inside and a shelf with boards of some thickness
  stay open.
"""

from __future__ import annotations

import numpy as np

# How far behind its front a triangle counts, in cells.
INWARD = 1e-3
# Rays through the middles of cells are moved by this much, in cells, because edges of furniture often lie just there.
ASIDE = (1.4142e-4, 1.7321e-4, 2.2361e-4)
VOTES = 5


def solid(triangles: np.ndarray, side: int) -> np.ndarray:
    """Which cells of a grid are full.

    Args:
        triangles: [M, 3, 3] finite corners in cells, the grid being the cube from 0 to ``side``; what lies outside is taken to its faces.
        side: cells along an axis.

    Returns:
        [side, side, side] bool with axes x, y, z.

    Raises:
        ValueError: a corner is not finite.
    """
    from . import cpu

    if not np.isfinite(triangles).all():
        raise ValueError("All corners have to be finite.")
    return cpu.solid(inward(triangles, side), side)


def inward(triangles: np.ndarray, side: int) -> np.ndarray:
    """The triangles as they count: a hair behind their fronts, and inside the grid. [M, 3, 3] float64."""
    triangles = np.asarray(triangles, np.float64).reshape(-1, 3, 3)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    moved = triangles - INWARD * (normals / np.maximum(lengths, 1e-30))[:, None]
    return np.ascontiguousarray(np.clip(moved, INWARD, side - INWARD))
