# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface that depth pictures agree on: signed distances in a sparse grid of blocks, and the mesh where they change their sign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..kernels import fusion as kernel
from ..kernels.fusion.cpu import SIDE, VOXELS
from .depths import DepthMaps

# Distances are kept up to so many grid points from the surface.
REACH = 4.0
# A block's distances and weights, in bytes; so many more are needed for a moment when they are put together.
_BLOCK_BYTES = 2 * 4 * VOXELS
# Blocks along a side of what marching cubes gets at a time.
_TOGETHER = 8
# No value is nearer to 0: a vertex lies between two grid points, by which it is told from others.
_LEAST = 1e-3
# Coarse grid points in a block's side, where it is asked whether anything is in it at all.
_COARSE = 2


@dataclass(frozen=True, eq=False)
class Grid:
    """Grid points ``size`` apart from ``origin`` [3] on, in ``shape`` blocks. The box that it is about holds the points from ``first`` to
    ``last`` [3].
    """

    origin: np.ndarray
    size: float
    shape: tuple[int, int, int]
    first: np.ndarray
    last: np.ndarray

    @property
    def reach(self) -> float:
        """The truncation, in the world's unit."""
        return REACH * self.size


@dataclass(eq=False)
class Volume:
    """Signed distances in some blocks of a grid, in truncations, -1 (inside) to 1.

    ``number`` [shape] int32: of each block, -1 for those left out. ``values`` [B, SIDE, SIDE, SIDE] float32, NaN where nothing is known.
    """

    grid: Grid
    number: np.ndarray
    values: np.ndarray


def grid_about(low: np.ndarray, high: np.ndarray, cells: int) -> Grid:
    """A grid with so many cells along the longest side of a box, and some around it."""
    size = float((high - low).max()) / cells
    margin = (REACH + 1) * size
    blocks = np.ceil((high - low + 2 * margin) / (SIDE * size)).astype(int)
    origin = (low + high - blocks * SIDE * size) / 2
    first, last = np.ceil((low - origin) / size - 0.5).astype(int), np.floor((high - origin) / size + 0.5).astype(int)
    return Grid(origin, size, tuple(int(count) for count in blocks), first, last)


def fuse(
    maps: DepthMaps, grid: Grid, close: bool, capped: bool, most_bytes: float, progress: Callable[[int, int], None] = lambda done, all: None
) -> Volume | None:
    """Fuses depth pictures.

    Args:
        maps: the pictures. grid: where.
        close: whether what is behind surfaces in all pictures counts as solid, so that the surface is closed there.
        capped: whether so does all that no picture looks at, and ends where the box does; without, the surface is open there.
        most_bytes: that the blocks may take.
        progress: called with (done, all).

    Returns:
        The distances; None where they would take more memory.
    """
    views = maps.views(grid.origin)
    wanted = _seen_blocks(maps, grid)
    empty = None
    if close:
        mixed, empty = _coarse(maps, grid, views)
        wanted |= mixed
        if capped:
            wanted |= _border(grid) & ~empty
    number = np.full(grid.shape, -1, np.int32)
    parts: list[np.ndarray] = []
    count = 0
    while wanted.any():
        blocks = np.argwhere(wanted).astype(np.int32)
        if (count + len(blocks)) * _BLOCK_BYTES > most_bytes:
            return None
        number[wanted] = np.arange(count, count + len(blocks), dtype=np.int32)
        count += len(blocks)
        values, hidden = _values(maps, grid, views, blocks, progress)
        parts.append(values)
        if not close:
            break
        values[np.isnan(values) if capped else hidden] = -1
        # Where the solid goes on into a block that counts as empty, or the other way round, that block is not what it seemed.
        wanted = _contradicted(values, blocks, number, empty)
    values = np.concatenate(parts) if parts else np.zeros((0, SIDE, SIDE, SIDE), np.float32)
    return Volume(grid, number, values)


def extract(volume: Volume, close: bool, capped: bool, progress: Callable[[int, int], None] = lambda done, all: None):
    """The mesh where the distance is 0 (Lorensen and Cline 1987, with the cases of Lewiner et al. 2003).

    Args:
        volume: the distances. close, capped: as they were fused with.
        progress: called with (done, all).

    Returns:
        positions [V, 3] float64 in the world and triangles [M, 3] int64, counter-clockwise where seen from outside.
    """
    # Importing it takes a second, in which nobody should wait for a picture.
    from skimage.measure import marching_cubes

    shape = np.array(volume.grid.shape)
    corners = [corner for corner in map(np.array, np.ndindex(*(-(-shape // _TOGETHER)))) if _any(volume.number, corner * _TOGETHER)]
    found, faces, start = [], [], 0
    for index, corner in enumerate(corners):
        progress(index, len(corners))
        dense = _dense(volume, corner * _TOGETHER, capped and close)
        known = ~np.isnan(dense)
        whole = np.ones_like(dense, bool)
        whole[1:, 1:, 1:] = known[:-1, :-1, :-1]
        for step in np.ndindex(2, 2, 2):
            a, b, c = (slice(s, n - 1 + s) for s, n in zip(step, dense.shape, strict=True))
            whole[1:, 1:, 1:] &= known[a, b, c]
        values = np.where(np.abs(dense) < _LEAST, np.where(dense < 0, -_LEAST, _LEAST), dense)
        values[~known] = 1
        if not (whole[1:, 1:, 1:].any() and values.min() < 0 < values.max()):
            continue
        try:
            positions, triangles, _, _ = marching_cubes(values, 0.0, allow_degenerate=False, mask=whole)
        except RuntimeError:  # no surface where all is known
            continue
        found.append(positions.astype(np.float64) + corner * _TOGETHER * SIDE)
        faces.append(triangles.astype(np.int64) + start)
        start += len(positions)
    if not found:
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    positions, triangles = _welded(np.concatenate(found), np.concatenate(faces), shape * SIDE + 1)
    return positions * volume.grid.size + volume.grid.origin, triangles


def _seen_blocks(maps: DepthMaps, grid: Grid) -> np.ndarray:
    """The blocks [shape] bool that a surface is seen in, or right beside."""
    seen = np.zeros(grid.shape, bool)
    for number in range(len(maps.cameras)):
        places = (maps.points(number, 2) - grid.origin) / grid.size
        for offset in np.ndindex(2, 2, 2):
            index = np.floor((places + (np.array(offset) - 0.5) * 4) / SIDE).astype(np.int64)
            index = index[((index >= 0) & (index < grid.shape)).all(axis=1)]
            seen[tuple(index.T)] = True
    return seen


def _values(maps: DepthMaps, grid: Grid, views, blocks: np.ndarray, progress: Callable[[int, int], None]) -> tuple[np.ndarray, np.ndarray]:
    """Distances in blocks [B, 3], NaN where nothing is known, and where they are not because something is before them."""
    values = np.empty((len(blocks), VOXELS), np.float32)
    weights = np.empty_like(values)
    step = 2048
    for first in range(0, len(blocks), step):
        progress(first, len(blocks))
        some = slice(first, first + step)
        kernel.fuse(blocks[some], grid.size, grid.reach, *views, maps.strengths, maps.depths, maps.slants, values[some], weights[some])
    values[weights <= 0] = np.nan
    shape = (-1, SIDE, SIDE, SIDE)
    return values.reshape(shape), (weights < 0).reshape(shape)


def _coarse(maps: DepthMaps, grid: Grid, views) -> tuple[np.ndarray, np.ndarray]:
    """Which blocks hold both emptiness and something else, and which hold nothing else, both [shape] bool."""
    points = np.array(grid.shape) * _COARSE + 1
    blocks = np.argwhere(np.ones(-(-points // SIDE), bool)).astype(np.int32)
    values, weights = np.empty((len(blocks), VOXELS), np.float32), np.empty((len(blocks), VOXELS), np.float32)
    size = grid.size * SIDE / _COARSE
    kernel.fuse(blocks, size, grid.reach, *views, maps.strengths, maps.depths, maps.slants, values, weights)
    dense = np.zeros(blocks.max(axis=0) * SIDE + SIDE, bool)
    for block, some in zip(blocks * SIDE, (weights > 0) & (values > 0), strict=True):
        dense[tuple(slice(first, first + SIDE) for first in block)] = some.reshape(SIDE, SIDE, SIDE)
    every, none = np.ones(grid.shape, bool), np.ones(grid.shape, bool)
    for step in np.ndindex(*[_COARSE + 1] * 3):
        part = dense[tuple(slice(s, s + _COARSE * n, _COARSE) for s, n in zip(step, grid.shape, strict=True))]
        every &= part
        none &= ~part
    return ~every & ~none, every


def _border(grid: Grid) -> np.ndarray:
    """The blocks [shape] bool that the sides of the box go through."""
    border = np.zeros(grid.shape, bool)
    for axis in range(3):
        for layer in {int(at) // SIDE for end in (grid.first[axis], grid.last[axis]) for at in (end - 1, end, end + 1)}:
            np.moveaxis(border, axis, 0)[layer] = True
    return border


def _contradicted(values: np.ndarray, blocks: np.ndarray, number: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Blocks that were left out although a neighbor says otherwise, [shape] bool."""
    wanted = np.zeros(number.shape, bool)
    for axis in range(3):
        for side, layer in ((-1, 0), (1, SIDE - 1)):
            facing = np.take(values, layer, axis=axis + 1).reshape(len(values), -1)
            beside = blocks.astype(np.int64)
            beside[:, axis] += side
            inside = ((beside >= 0) & (beside < number.shape)).all(axis=1)
            at = tuple(beside[inside].T)
            there = empty[at]
            wrong = np.where(there, (facing[inside] < 0).any(axis=1), (facing[inside] > 0).any(axis=1))  # NaN is neither
            wanted[tuple(part[wrong] for part in at)] = True
    return wanted & (number < 0)


def _any(number: np.ndarray, corner: np.ndarray) -> bool:
    return bool((number[tuple(slice(first, first + _TOGETHER) for first in corner)] >= 0).any())


def _dense(volume: Volume, corner: np.ndarray, capped: bool) -> np.ndarray:
    """Distances of _TOGETHER blocks a side from a corner on, and the layer of grid points behind them; NaN where nothing is known."""
    shape = np.array(volume.grid.shape)
    count = np.minimum(_TOGETHER + 1, shape - corner)
    dense = np.full(count * SIDE, np.nan, np.float32)
    numbers = volume.number[tuple(slice(first, first + n) for first, n in zip(corner, count, strict=True))]
    for block in np.argwhere(numbers >= 0):
        dense[tuple(slice(first, first + SIDE) for first in block * SIDE)] = volume.values[numbers[tuple(block)]]
    if capped:
        for axis in range(3):
            lined = np.moveaxis(dense, axis, 0)
            at = corner[axis] * SIDE + np.arange(len(lined))
            lined[(at < volume.grid.first[axis]) | (at > volume.grid.last[axis])] = 1
    return dense[tuple(slice(0, _TOGETHER * SIDE + 1) for _ in range(3))]


def _welded(positions: np.ndarray, triangles: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with vertices at one place made one. Each lies on an edge of the grid, between two of its points."""
    below = np.floor(positions).astype(np.int64)
    axis = (positions - below).argmax(axis=1)
    key = ((below[:, 0] * shape[1] + below[:, 1]) * shape[2] + below[:, 2]) * 3 + axis
    _, first, number = np.unique(key, return_index=True, return_inverse=True)
    triangles = number.reshape(-1)[triangles]
    proper = (triangles[:, 0] != triangles[:, 1]) & (triangles[:, 1] != triangles[:, 2]) & (triangles[:, 2] != triangles[:, 0])
    return positions[first], triangles[proper]
