# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mesh's triangles say: its pieces, its normals, its area."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def pieces(count: int, triangles: np.ndarray) -> np.ndarray:
    """The number of the piece that each of ``count`` vertices is in, [count]; pieces hang together by edges."""
    edges = coo_matrix((np.ones(2 * len(triangles), bool), (triangles[:, :2].ravel("F"), triangles[:, 1:].ravel("F"))), (count, count))
    return connected_components(edges, directed=False)[1]


def only(kept: np.ndarray, positions: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh of some triangles.

    Args:
        kept: [M] bool, which triangles stay. positions: [N, 3]. triangles: [M, 3].

    Returns:
        The positions that they use, and the triangles with their new numbers.
    """
    used = np.zeros(len(positions), bool)
    used[triangles[kept]] = True
    number = np.cumsum(used) - 1
    return positions[used], number[triangles[kept]]


def without_specks(positions: np.ndarray, triangles: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The mesh without pieces that have less than a share of all its vertices; the largest stays."""
    piece = pieces(len(positions), triangles)
    sizes = np.bincount(piece)
    return only((sizes >= min(share * len(positions), sizes.max()))[piece][triangles[:, 0]], positions, triangles)


def open_share(triangles: np.ndarray) -> float:
    """Share of the edges that only one of the triangles [M, 3] has: 0 for a closed surface."""
    edges = np.sort(np.concatenate([triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
    return float((np.unique(edges, axis=0, return_counts=True)[1] == 1).mean()) if len(edges) else 0.0


def area(positions: np.ndarray, triangles: np.ndarray) -> float:
    """The area of all triangles, in the square of the positions' unit."""
    return float(np.linalg.norm(face_normals(positions, triangles), axis=1).sum()) / 2


def face_normals(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Normals [M, 3] of triangles, twice as long as their area is large."""
    a, b, c = (positions[triangles[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)


def vertex_normals(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals [N, 3] of vertices: the mean of their triangles', large ones counting more."""
    faces = face_normals(positions, triangles)
    sums = np.zeros_like(positions)
    for axis in range(3):
        sums[:, axis] = np.bincount(triangles.ravel(), np.repeat(faces[:, axis], 3), len(positions))
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-30)
