# SPDX-License-Identifier: GPL-3.0-or-later
"""Hash encoding in plain torch: the definition that the fast kernel is checked against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from . import Layout

PRIMES = (1, 2654435761, 805459861)
# Of the table's optimiser, Adam on touched rows.
BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-15


def encode(positions: Tensor, table: Tensor, layout: Layout) -> Tensor:
    """See :func:`engine.kernels.hashgrid.encode`. Differentiable by the table, in any float type."""
    features = []
    for cells, first, rows in layout.table.tolist():
        scaled = (positions * cells).clamp(0, cells)
        low = scaled.floor().clamp(max=cells - 1)
        share, low = scaled - low, low.long()
        total = 0
        for corner in range(8):
            side = torch.tensor([corner >> axis & 1 for axis in range(3)], device=positions.device)
            place = low + side
            if (cells + 1) ** 3 <= rows:
                row = (place[:, 2] * (cells + 1) + place[:, 1]) * (cells + 1) + place[:, 0]
            else:
                # Unsigned 32-bit arithmetic: what is above does not reach the rows' bits.
                row = (place[:, 0] * PRIMES[0] ^ place[:, 1] * PRIMES[1] ^ place[:, 2] * PRIMES[2]) & (rows - 1)
            weight = torch.where(side.bool(), share, 1 - share).prod(1)
            total = total + weight[:, None] * table[first + row]
        features.append(total)
    return torch.cat(features, dim=1)
