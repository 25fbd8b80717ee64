# SPDX-License-Identifier: GPL-3.0-or-later
"""Voxel grids as binvox files (Patrick Min's format): a line of ASCII for each fact, then runs of equal cells."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..contract.errors import UserError
from ..contract.result import replacing
from .memory import check_memory

# 1024^3 cells are a gigabyte; the largest that the format's own program makes.
MOST_CELLS = 1024
_HEADER = 4096


@dataclass(frozen=True, eq=False)
class VoxelGrid:
    """A cube of cells in a world with Z up.

    ``cells``: [D, D, D] bool with axes x, y, z. ``corner``: its low corner, [3]. ``size``: length of its sides. What was read from a file
    that does not say has its corner at 0 and size 1.
    """

    cells: np.ndarray
    corner: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size: float = 1.0


def read_binvox(file: Path) -> VoxelGrid:
    """Reads a file of version 1 or 2; any value above 0 is full.

    Raises:
        UserError: the file is missing, damaged, too large, or not a cube of cells.
    """
    try:
        with open(file, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            # The file, the lengths of its runs, and the cells that are known so far.
            check_memory(file, 6 * size, size)
            data = stream.read()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None
    side, translate, scale, begin = _header(data, file)
    runs = np.frombuffer(data, np.uint8, offset=begin)
    if len(runs) % 2:
        raise UserError(f"{file} is damaged: it ends within a run of cells.", "Export it again.")
    values, counts = runs[0::2], runs[1::2].astype(np.int64)
    # Before memory is taken: a short file cannot ask for much.
    if counts.sum() != side**3:
        raise UserError(f"{file} is damaged: its runs have {counts.sum()} cells, and should hold {side**3}.", "Export it again.")
    # Two bytes are 255 cells at most.
    check_memory(file, side**3 + 6 * len(data), 128 * len(data))
    # The file runs through y (up) first, then z (towards the viewer), then x.
    cells = np.repeat(values > 0, counts).reshape(side, side, side)
    for plane in cells:
        plane[:] = plane[::-1].copy()
    x, y, z = translate
    return VoxelGrid(cells, (x, -(z + scale), y), scale)


def write_binvox(file: Path, grid: VoxelGrid) -> None:
    """Writes version 1, whole or not at all."""
    side = grid.cells.shape[0]
    if grid.cells.shape != (side, side, side):
        raise ValueError("a binvox file holds a cube of cells")
    x, y, z = grid.corner
    header = f"#binvox 1\ndim {side} {side} {side}\ntranslate {x:.9g} {z:.9g} {-(y + grid.size):.9g}\nscale {grid.size:.9g}\ndata\n"
    cells = np.ascontiguousarray(grid.cells[:, ::-1, :], dtype=np.uint8).ravel()
    starts = np.flatnonzero(np.diff(cells, prepend=cells[0] ^ 1))
    lengths = np.diff(starts, append=cells.size)
    # A run longer than 255 is several.
    pieces = -(-lengths // 255)
    values, counts = np.repeat(cells[starts], pieces), np.full(pieces.sum(), 255, np.uint8)
    counts[np.cumsum(pieces) - 1] = lengths - 255 * (pieces - 1)
    with replacing(file) as temporary:
        temporary.write_bytes(header.encode("ascii") + np.stack([values, counts], axis=1).tobytes())


def _header(data: bytes, file: Path) -> tuple[int, tuple[float, ...], float, int]:
    """Cells along a side, translation and scale as the file has them, and where the cells begin."""
    if not data.startswith(b"#binvox"):
        raise UserError(f"{file} is not a binvox file.", "Choose a file made by binvox.")
    end = data.find(b"\ndata\n", 0, _HEADER)
    if end < 0:
        raise UserError(f"{file} is damaged: its header has no end.", "Export it again.")
    dims: list[int] = []
    translate, scale = (0.0, 0.0, 0.0), 1.0
    try:
        for line in data[:end].decode("ascii").split("\n")[1:]:
            name, *words = line.split() or [""]
            if name == "dim":
                dims = [int(word) for word in words]
            elif name == "translate":
                translate = tuple(float(word) for word in words)
            elif name == "scale":
                (scale,) = (float(word) for word in words)
    except ValueError:
        raise UserError(f"{file} is damaged: its header holds something that is no number.", "Export it again.") from None
    if len(dims) != 3 or len(set(dims)) != 1 or not 1 <= dims[0] <= MOST_CELLS:
        raise UserError(f"{file} is not a cube of 1 to {MOST_CELLS} cells a side.", "Voxelise with the same number along each axis.")
    if len(translate) != 3 or not np.isfinite([*translate, scale]).all() or scale <= 0:
        raise UserError(f"{file} is damaged: its place or scale is not a finite number.", "Export it again.")
    return dims[0], translate, scale, end + len(b"\ndata\n")
