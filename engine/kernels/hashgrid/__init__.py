# SPDX-License-Identifier: GPL-3.0-or-later
"""Multiresolution hash encoding (Müller et al. 2022): features at the corners of ever finer grids, interpolated and laid side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from . import reference


@dataclass(frozen=True)
class Layout:
    """Which rows of the table belong to which level.

    A level whose corners all fit has a row for each; in others, corners share rows by a hash.
    """

    levels: int
    features: int  # 2 or 4 in a row
    log2_size: int
    base: int
    finest: int

    @property
    def width(self) -> int:
        """Features of a place."""
        return self.levels * self.features

    @property
    def like(self) -> tuple[int, ...]:
        """A tuple as long as a row: kernels are compiled for its type."""
        return (0,) * self.features

    @cached_property
    def table(self) -> np.ndarray:
        """[levels, 3] int64: cells along a side, first row, number of rows. Numbers of rows are multiples of 8."""
        growth = (self.finest / self.base) ** (1 / max(self.levels - 1, 1))
        cells = [int(self.base * growth**level + 1e-6) for level in range(self.levels)]
        rows = [min(-(-((n + 1) ** 3) // 8) * 8, 1 << self.log2_size) for n in cells]
        return np.stack([cells, np.cumsum([0, *rows[:-1]]), rows], axis=1).astype(np.int64)

    def check(self, table: Tensor) -> None:
        """Raises ValueError unless a table has the layout's size."""
        if table.numel() != self.rows * self.features:
            raise ValueError(f"The table has {table.numel()} numbers, and its layout {self.rows} rows of {self.features}.")

    @property
    def rows(self) -> int:
        """Rows of all levels together."""
        return int(self.table[-1, 1:].sum())


def encode(positions: Tensor, table: Tensor, layout: Layout) -> Tensor:
    """Features of places.

    Args:
        positions: [S, 3] float32 in [0, 1]. table: [layout.rows, layout.features] float32.

    Returns:
        [S, layout.width] float32, coarse to fine.
    """
    if positions.device.type != "cpu":
        return reference.encode(positions, table, layout)
    from . import cpu

    layout.check(table)

    features = torch.empty(len(positions), layout.width)
    cpu.encode(positions.contiguous().numpy(), table.detach().numpy().reshape(-1), layout.table, layout.like, features.numpy())
    return features


def backward(positions: Tensor, v_features: Tensor, layout: Layout) -> Tensor:
    """The cotangent of :func:`encode`'s table, [layout.rows, layout.features], from that of the features."""
    v_table = positions.new_zeros(layout.rows, layout.features)
    if positions.device.type != "cpu":
        with torch.enable_grad():
            leaf = v_table.requires_grad_()
            return torch.autograd.grad(reference.encode(positions, leaf, layout), leaf, v_features)[0]
    from . import cpu

    if v_features.shape != (len(positions), layout.width):
        raise ValueError(f"The cotangents are {tuple(v_features.shape)}, and there are {len(positions)} places.")
    arrays = (part.contiguous().numpy() for part in (positions, v_features))
    whole = np.array([[0, len(positions)]])
    cpu.backward(*arrays, whole, layout.table, layout.like, v_table.numpy().reshape(-1), torch.get_num_threads())
    return v_table
