# SPDX-License-Identifier: GPL-3.0-or-later
"""Solid voxels in plain NumPy, slow and obviously right."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from . import ASIDE, VOTES


def surface(triangles: np.ndarray, side: int) -> np.ndarray:
    """Which cells triangles pass through: what is left of a triangle when all outside a cell is cut off. [side] * 3 bool."""
    full = np.zeros((side,) * 3, bool)
    for triangle in triangles:
        low = np.maximum(np.floor(triangle.min(axis=0)).astype(int), 0)
        high = np.minimum(np.floor(triangle.max(axis=0)).astype(int), side - 1)
        for cell in np.ndindex(*(high - low + 1)):
            cell = low + cell
            full[tuple(cell)] |= _inside(triangle, cell)
    return full


def _inside(triangle: np.ndarray, cell: np.ndarray) -> bool:
    polygon = list(triangle)
    for axis in range(3):
        for sign, bound in ((1, cell[axis]), (-1, -(cell[axis] + 1))):
            kept = []
            for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True):
                da, db = sign * a[axis] - bound, sign * b[axis] - bound
                if da > 0:
                    kept.append(a)
                if (da > 0) != (db > 0):
                    kept.append(a + (b - a) * da / (da - db))
            polygon = kept
    return bool(polygon)


def air(full: np.ndarray) -> np.ndarray:
    """Which cells air from outside reaches."""
    label, _ = ndimage.label(np.pad(~full, 1, constant_values=True))
    return (label == label[0, 0, 0])[1:-1, 1:-1, 1:-1]


def votes(triangles: np.ndarray, side: int) -> np.ndarray:
    """How many of the six rays from a cell's middle cross the surface an odd number of times. [side] * 3."""
    count = np.zeros((side,) * 3, int)
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        middles = np.stack(np.meshgrid(*[np.arange(side) + 0.5] * 3, indexing="ij"), axis=-1) + ASIDE
        above, below = np.zeros((side,) * 3, int), np.zeros((side,) * 3, int)
        for a, b, c in triangles:
            edge = np.stack([b - a, c - a], axis=1)[[u, v]]
            if abs(np.linalg.det(edge)) < 1e-12:
                continue
            s, t = np.moveaxis((middles[..., [u, v]] - a[[u, v]]) @ np.linalg.inv(edge).T, -1, 0)
            hit = (s > 0) & (t > 0) & (s + t < 1)
            height = a[axis] + s * (b - a)[axis] + t * (c - a)[axis]
            above += hit & (height > middles[..., axis])
            below += hit & (height <= middles[..., axis])
        count += above % 2 + below % 2
    return count


def solid(triangles: np.ndarray, side: int) -> np.ndarray:
    """See :func:`engine.kernels.solid.solid`, for triangles as they count."""
    full = surface(triangles, side)
    return full | ~air(full) | (votes(triangles, side) >= VOTES)
