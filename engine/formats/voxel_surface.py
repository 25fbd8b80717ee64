# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface of voxels: blocks without inner faces, or the same surface rounded. NumPy only, and fast enough to follow a slider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..contract.errors import UserError

Dimension = Literal["longest", "width", "depth", "height"]

# A full cell's six sides: the way to the neighbor, and the corners, counter-clockwise seen from outside.
_SIDES = (
    ((-1, 0, 0), ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0))),
    ((1, 0, 0), ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1))),
    ((0, -1, 0), ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1))),
    ((0, 1, 0), ((0, 1, 0), (0, 1, 1), (1, 1, 1), (1, 1, 0))),
    ((0, 0, -1), ((0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0))),
    ((0, 0, 1), ((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))),
)
# Squares of a surface: a thousand bytes each while it is made. Furniture in the finest grid has half as many, noise twenty times.
_MAX_SQUARES = 600_000
# Rounds of rounding off, and of spreading what thin parts lost by it.
_ROUNDS, _SPREAD = 4, 4


@dataclass(frozen=True, eq=False)
class Surface:
    """``vertices`` [N, 3] float64 and ``triangles`` [M, 3] of their numbers, fronts outside."""

    vertices: np.ndarray
    triangles: np.ndarray


@dataclass(frozen=True, eq=False)
class _Net:
    """Squares between full and empty cells. ``rings`` [F, 4] are numbers of vertices, whose first are the corners of the squares.

    Where two full cells touch along an edge alone, four squares meet there. They are joined two and two across the empty cells, so that a
    slanting leg stays in one piece, and each two get a vertex of their own in the edge's middle: so every edge has two faces.
    """

    places: np.ndarray  # [C, 3] lattice points of the corners
    rings: np.ndarray
    middles: np.ndarray  # [F, 4] number of the vertex in the middle of the edge from a corner to the next, -1 where there is none
    edges: np.ndarray  # [E, 2] the corners beside each such vertex
    ways: np.ndarray  # [F, 3] from the full cell to the empty one
    cells: np.ndarray  # [F, 3] the full cell


def surface_of(probabilities: np.ndarray, threshold: float, smoothness: float = 0.0) -> Surface:
    """The closed surface about the cells whose probability reaches a threshold, in cells from the grid's low corner. Every edge has two
    faces.

    Args:
        probabilities: [D, D, D].
        threshold: from which on a cell is full.
        smoothness: 0 gives blocks; up to 1 their surface is moved to where the probabilities pass the threshold, and rounded. The lowest
            level stays flat.

    Raises:
        UserError: the surface is too large, as that of noise is.
    """
    probabilities = np.asarray(probabilities, np.float32)
    full = probabilities >= np.float32(threshold)
    if not full.any():
        return Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    squares = sum(int(np.diff(full, axis=axis, prepend=False, append=False).sum()) for axis in range(3))
    if squares > _MAX_SQUARES:
        said = f"The surface of these voxels has {squares} squares at a threshold of {threshold:g}, and at most {_MAX_SQUARES} are made."
        raise UserError(said, "Choose another threshold, or make the voxels again.")
    net = _net(full)
    places = net.places.astype(np.float64)
    if smoothness > 0:
        places = _rounded(net, probabilities, threshold, smoothness)
    return _triangulated(net, places, smoothness)


def standing(vertices: np.ndarray, dimension: Dimension, length: float) -> np.ndarray:
    """Vertices [N, 3] in such a scale that a dimension of theirs is a length, the lowest at height 0 and their middle above the origin."""
    if not len(vertices):
        return vertices
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    foot = np.array([*(low + high)[:2] / 2, low[2]])
    return (vertices - foot) * (length / side(high - low, dimension))


def side(size: np.ndarray, dimension: Dimension) -> float:
    """A dimension of what has a size [3]: width along x, depth along y, height along z."""
    return float(size.max() if dimension == "longest" else size[("width", "depth", "height").index(dimension)])


def colors_by_height(heights: np.ndarray, low: float, high: float, bands: np.ndarray) -> np.ndarray:
    """Codes [N, 3] uint8 of places at heights [N] in something from ``low`` to ``high``.

    Args:
        bands: [B, 3] uint8, the colors from top to bottom. From where a picture was taken is not known, so more than heights of it cannot
            be matched.
    """
    share = np.clip((high - heights) / max(high - low, 1e-9), 0, 1)
    return bands[np.rint(share * (len(bands) - 1)).astype(int)]


def _net(full: np.ndarray) -> _Net:
    wide = np.pad(full, 1)
    cells, ways, corners = [], [], []
    for way, shape in _SIDES:
        found = np.argwhere(wide & ~np.roll(wide, tuple(-part for part in way), axis=(0, 1, 2)))
        cells.append(found)
        ways.append(np.broadcast_to(way, found.shape))
        corners.append(found[:, None] - 1 + np.array(shape))
    cell, way, corner = np.concatenate(cells), np.concatenate(ways), np.concatenate(corners)
    empty = np.ravel_multi_index(tuple((cell + way).T), wide.shape)
    # An edge of the lattice is known by its middle, twice that to stay whole.
    doubled = (corner + np.roll(corner, -1, axis=1)).reshape(-1, 3)
    _, edge, count = np.unique(_code(doubled, 2 * max(wide.shape)), return_inverse=True, return_counts=True)
    order = np.lexsort((np.repeat(empty, 4), edge))
    partner = np.empty_like(order)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    label = _fans(partner)
    first, number = np.unique(label, return_inverse=True)
    rings = number.reshape(-1, 4)
    crowded = np.flatnonzero(count[edge] > 2)
    halves, which = np.unique(np.minimum(crowded, partner[crowded]), return_inverse=True)
    middles = np.full(len(order), -1)
    middles[crowded] = len(first) + which
    beside = np.stack([number.ravel()[halves], np.roll(rings, -1, axis=1).ravel()[halves]], axis=1)
    return _Net(corner.reshape(-1, 3)[first], rings, middles.reshape(-1, 4), beside, way, cell - 1)


def _code(places: np.ndarray, base: int) -> np.ndarray:
    return (places[:, 0] * base + places[:, 1]) * base + places[:, 2]


def _fans(partner: np.ndarray) -> np.ndarray:
    """Labels [4 F] of the squares' corners, the same for those that are one vertex: around it, squares follow each other over edges."""
    corners = np.arange(len(partner))
    following = corners - corners % 4 + (corners + 1) % 4
    before = corners - corners % 4 + (corners + 3) % 4
    one, other = following[partner], partner[before]
    label = corners
    while True:
        least = np.minimum(label, np.minimum(label[one], label[other]))
        if (least == label).all():
            return label
        label = least


def _rounded(net: _Net, probabilities: np.ndarray, threshold: float, smoothness: float) -> np.ndarray:
    corners, count = net.rings.ravel(), len(net.places)
    share = 1 / np.bincount(corners, minlength=count)

    def mean(values: np.ndarray) -> np.ndarray:
        """Of the squares about each vertex, whose value is the mean of their corners'."""
        squares = np.repeat(values[net.rings].mean(axis=1), 4, axis=0)
        return np.stack([np.bincount(corners, column, count) for column in squares.T], axis=1) * share[:, None]

    start = net.places + smoothness * _passing(net, probabilities, threshold)
    places = start
    for _ in range(_ROUNDS):
        places = places + smoothness * (mean(places) - places)
    # Steps are rounded to both sides, thin parts inward alone: what is left of the way after it is spread, is what they lost.
    across = np.cross(places[net.rings[:, 2]] - places[net.rings[:, 0]], places[net.rings[:, 3]] - places[net.rings[:, 1]])
    normals = np.stack([np.bincount(corners, np.repeat(column, 4), count) for column in across.T], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    lost = ((start - places) * normals).sum(axis=1, keepdims=True)
    for _ in range(_SPREAD):
        lost = mean(lost)
    places = places + normals * lost
    floor = net.places[:, 2] == net.places[:, 2].min()
    places[floor, 2] = net.places[floor, 2]
    return places


def _passing(net: _Net, probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """How far [C, 3] from the corners the probabilities pass the threshold, half a cell at most on each axis."""
    wide = np.pad(probabilities, 1)
    inner, outer = (wide[tuple((net.cells + 1 + step).T)] for step in (0, net.ways))
    past = (inner - threshold) / np.maximum(inner - outer, 1e-6)
    way = net.ways * (np.clip(past, 0, 1) - 0.5)[:, None]
    moved = np.zeros((len(net.places), 3))
    for axis in range(3):
        faces = net.ways[:, axis] != 0
        corners = net.rings[faces].ravel()
        sums = np.bincount(corners, np.repeat(way[faces, axis], 4), len(moved))
        moved[:, axis] = sums / np.maximum(np.bincount(corners, minlength=len(moved)), 1)
    return moved


def _triangulated(net: _Net, places: np.ndarray, smoothness: float) -> Surface:
    """Two triangles for a square; where vertices stand in its edges, a fan about its middle."""
    plain = (net.middles < 0).all(axis=1)
    rings, middles = net.rings[~plain], net.middles[~plain]
    hubs = places[rings].mean(axis=1)
    ends = places[net.edges].mean(axis=1)
    # Towards their two squares: that opens a neck, which in blocks is a mere edge.
    there = middles >= 0
    sums = np.zeros_like(ends)
    np.add.at(sums, middles[there] - len(places), np.repeat(hubs, there.sum(axis=1), axis=0))
    between = ends + smoothness / 2 * (sums / 2 - ends)
    first = len(places) + len(ends)
    hub = np.broadcast_to(first + np.arange(len(rings))[:, None], rings.shape)
    after = np.roll(rings, -1, axis=1)
    fans = [np.stack([hub, rings, np.where(there, middles, after)], axis=-1).reshape(-1, 3)]
    fans.append(np.stack([hub[there], middles[there], after[there]], axis=-1))
    square = net.rings[plain]
    triangles = np.concatenate([square[:, [0, 1, 2]], square[:, [0, 2, 3]], *fans])
    return Surface(np.concatenate([places, between, hubs]), triangles)
