# SPDX-License-Identifier: GPL-3.0-or-later
"""Marching in plain torch, all rays side by side: the definition that the fast kernel is checked against."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def occupied(bits: Tensor, cascade: Tensor, cell: Tensor) -> Tensor:
    """Whether the bits of cells [..., 3] (x, y, z) of cascades [...] are set."""
    byte = bits[cascade, cell[..., 0], cell[..., 1], cell[..., 2] >> 3]
    return (byte >> (cell[..., 2] & 7).to(torch.uint8) & 1).bool()


def occupied_blocks(bits: Tensor) -> Tensor:
    """Whether anything is in blocks of 4³ cells, [C, N / 4, N / 4, N / 4]. All are said to be where blocks would reach over the edge of
    the cascade within.
    """
    cascades, cells = bits.shape[:2]
    side = cells // 4
    if cells % 16:
        return torch.ones(cascades, side, side, side, dtype=torch.bool, device=bits.device)
    halves = torch.stack([bits & 15, bits >> 4], dim=-1) > 0
    return halves.view(cascades, side, 4, side, 4, side).any(4).any(2)


def march(
    origins: Tensor, directions: Tensor, bits: Tensor, step: float, cone: float, begin: Tensor, jitter: Tensor, most: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See :func:`engine.kernels.marching.march`. Returns the parts of Samples."""
    cascades, cells = bits.shape[0], bits.shape[1]
    half = 2.0 ** (cascades - 1)
    longest = max(step, 2 * half / cells)
    tiny = torch.full_like(directions, 1e-12).copysign(directions)
    inverse = 1 / torch.where(directions.abs() < 1e-12, tiny, directions)
    sides = torch.stack([(-half - origins) * inverse, (half - origins) * inverse])
    far = sides.amax(0).amin(1)
    far = torch.where((origins + directions).isfinite().all(1), far, -1.0)
    near = torch.maximum(sides.amin(0).amax(1), begin)
    t = near + jitter * (cone * near).clamp(step, longest)
    count = torch.zeros(len(t), dtype=torch.int64, device=t.device)
    taken, blocks = [], occupied_blocks(bits)
    while True:
        alive = (t < far) & (count < most)
        if not alive.any():
            break
        dt = (cone * t).clamp(step, longest)
        place = origins + t[:, None] * directions
        reach = place.abs().amax(1)
        # The finest cascade that reaches here, and of which a step passes no cell.
        cascade = torch.maximum(torch.log2(reach.clamp(min=1e-9)), torch.log2(dt * cells / 2)).ceil().clamp(0, cascades - 1).long()
        scale = torch.pow(2.0, -cascade.to(t.dtype))
        local = (place * scale[:, None] + 1) * (cells / 2)
        cell = local.floor().clamp(0, cells - 1).long()
        hit = alive & occupied(bits, cascade, cell)
        taken.append((hit, t, dt, place))
        count += hit
        # Across an empty cell, or all of an empty block, in whole steps.
        x, y, z = (cell >> 2).unbind(1)
        size = torch.where(blocks[cascade, x, y, z], 1, 4)[:, None]
        border = (cell // size + (directions > 0)) - local / size
        across = (border * inverse * size).amin(1) * 2 / cells / scale
        skipped = torch.where(hit, 1, (across / dt).ceil().clamp(min=1))
        on = torch.where(alive, t + skipped * dt, t)
        # So far away that a step is lost in rounding.
        far = torch.where(alive & ~(on > t), -1.0, far)
        t = on
    starts = torch.cat([count.new_zeros(1), count.cumsum(0)])
    rows = torch.cat([torch.nonzero(hit)[:, 0] for hit, *_ in taken]) if taken else count[:0]
    order = torch.argsort(rows, stable=True)
    parts = [torch.cat([row[index][row[0]] for row in taken])[order] if taken else t[:0] for index in (1, 2)]
    places = torch.cat([row[3][row[0]] for row in taken])[order] if taken else origins[:0]
    ends = torch.where(t < far, t, math.inf)
    return starts, rows[order], *parts, places, ends
