# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes and points of predicted voxels, standing on the floor about the origin, Z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# Corners of a cell's six sides, counter-clockwise seen from outside.
_SIDES = (
    ((-1, 0, 0), ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0))),
    ((1, 0, 0), ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1))),
    ((0, -1, 0), ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1))),
    ((0, 1, 0), ((0, 1, 0), (0, 1, 1), (1, 1, 1), (1, 1, 0))),
    ((0, 0, -1), ((0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0))),
    ((0, 0, 1), ((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))),
)


@dataclass(frozen=True, eq=False)
class Surface:
    """``vertices`` [N, 3] float64 and ``triangles`` [M, 3] of their numbers, fronts outside."""

    vertices: np.ndarray
    triangles: np.ndarray


def blocks(full: np.ndarray) -> Surface:
    """The sides of full cells [D, D, D] that touch empty ones, in cells from the grid's low corner: one mesh without inner faces."""
    wide = np.pad(full, 1)
    quads = []
    for step, corners in _SIDES:
        cells = np.argwhere(wide & ~np.roll(wide, tuple(-part for part in step), axis=(0, 1, 2))) - 1
        quads.append(cells[:, None] + np.array(corners))
    corners = np.concatenate(quads)
    vertices, number = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    square = number.reshape(-1, 4)
    return Surface(vertices.astype(float), np.concatenate([square[:, [0, 1, 2]], square[:, [0, 2, 3]]]))


def smooth(probabilities: np.ndarray, threshold: float, softness: float) -> Surface:
    """The surface where probabilities [D, D, D] pass a threshold (Lorensen and Cline 1987), in cells from the grid's low corner.

    Args:
        softness: width in cells over which probabilities are blurred first; 0 leaves them.
    """
    from skimage.measure import marching_cubes

    wide = np.pad(probabilities.astype(np.float32), 2)
    if softness > 0:
        wide = ndimage.gaussian_filter(wide, softness)
    # Blurred, thin parts sink below the threshold: it sinks with them, as far as the whole keeps its volume.
    level = float(np.quantile(wide, 1 - max((probabilities >= threshold).sum(), 1) / wide.size)) if softness > 0 else threshold
    level = min(max(level, 1e-4), float(wide.max()) - 1e-6)
    if not wide.min() < level < wide.max():
        return Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    vertices, triangles, _, _ = marching_cubes(wide, level, gradient_direction="ascent", allow_degenerate=False)
    return Surface(vertices.astype(np.float64) - 1.5, triangles.astype(np.int64))


def placed(places: np.ndarray, full: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Places [N, 3] in cells as places in the world.

    Args:
        full: [D, D, D] what stands there. size: length of the grid's sides.

    Returns:
        The places, with the lowest full cell on the floor and the middle of what is full above the origin; and where the grid's low
        corner has come to, [3].
    """
    cell = size / len(full)
    found = np.argwhere(full)
    low, high = found.min(axis=0), found.max(axis=0) + 1
    corner = -np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]) * cell
    return places * cell + corner, corner


def colors_by_height(places: np.ndarray, full: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Codes [N, 3] uint8 of places [N, 3] in cells: the mean of the picture where it is as high up. From where a picture was taken is not
    known, so more than heights cannot be matched.

    Args:
        full: [D, D, D]. picture: [H, W, 4] uint8, the object cut out.
    """
    weight = picture[..., 3].astype(float)
    rows = np.flatnonzero(weight.sum(axis=1) > 0)
    sums = (picture[..., :3] * weight[..., None]).sum(axis=1)[rows[0] : rows[-1] + 1]
    bands = (
        ndimage.uniform_filter1d(sums, 5, axis=0)
        / np.maximum(ndimage.uniform_filter1d(weight.sum(axis=1)[rows[0] : rows[-1] + 1], 5), 1e-6)[:, None]
    )
    levels = np.flatnonzero(full.any(axis=(0, 1)))
    low, high = levels[0], levels[-1] + 1
    share = np.clip((high - places[:, 2]) / (high - low), 0, 1)
    return np.rint(np.clip(bands[np.rint(share * (len(bands) - 1)).astype(int)], 0, 255)).astype(np.uint8)
