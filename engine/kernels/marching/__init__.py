# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples along rays, where an occupancy grid says that something may be.

The grid lies about the origin in cascades: cascade c is the cube [-2^c, 2^c]^3, cut into N^3 cells, for ever larger and coarser
surroundings (Müller et al. 2022, appendix E). Its bits are [C, N, N, N / 8] uint8 with axes x, y, z, and 8 cells along z in a byte, the
first in the lowest bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from . import reference


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of some rays, packed one ray after the other and front to back."""

    starts: Tensor  # [R + 1] int64: those of ray r are starts[r] to starts[r + 1]
    rays: Tensor  # [S] int64, the ray of each
    t: Tensor  # [S] float32, distance of the middle of its stretch along the ray
    dt: Tensor  # [S] float32, length of its stretch
    positions: Tensor  # [S, 3] float32
    ends: Tensor  # [R] float32, where each ray was left: to go on from there, infinite where it has left the grid

    def __len__(self) -> int:
        return len(self.t)

    def first(self, rays: int) -> Samples:
        """Those of the first rays."""
        count = int(self.starts[rays])
        parts = (self.rays, self.t, self.dt, self.positions)
        return Samples(self.starts[: rays + 1], *(part[:count] for part in parts), self.ends[:rays])


@dataclass(frozen=True, eq=False)
class Walk:
    """Rays that somebody else walks along, as far as light reaches: the arguments of :func:`march`."""

    origins: Tensor
    directions: Tensor
    bits: Tensor
    step: float
    cone: float
    begin: Tensor
    jitter: Tensor
    most: int


def check(origins: Tensor, directions: Tensor, bits: Tensor, begin: Tensor, jitter: Tensor) -> None:
    """Raises ValueError unless the arguments of :func:`march` are of as many rays, and of a grid."""
    rays, cells = len(origins), bits.shape[1] // 8 * 8
    if not (origins.shape == directions.shape == (rays, 3) and begin.shape == jitter.shape == (rays,)):
        raise ValueError(f"There are {rays} origins, {len(directions)} directions, {len(begin)} begins and {len(jitter)} jitters.")
    if bits.dtype != torch.uint8 or bits.shape[1:] != (cells, cells, cells // 8):
        raise ValueError(f"An occupancy grid is [C, N, N, N / 8] uint8, and this one {bits.dtype} {list(bits.shape)}.")


def march(
    origins: Tensor,
    directions: Tensor,
    bits: Tensor,
    step: float,
    *,
    cone: float = 0.0,
    begin: Tensor | None = None,
    jitter: Tensor | None = None,
    most: int = 1024,
) -> Samples:
    """Walks along rays in steps, and over empty cells.

    Args:
        origins, directions: [R, 3] float32, directions of length 1.
        bits: [C, N, N, N / 8] uint8, see above.
        step: length of a step; with a ``cone`` it grows to ``cone`` times the distance, to a cell of the last cascade at most.
        begin: [R] float32, distance at which each ray begins; 0 where it is None.
        jitter: [R] float32 in [0, 1), how far into its first step each ray begins; the middle where it is None.
        most: samples of a ray.
    """
    rays = len(origins)
    begin = origins.new_zeros(rays) if begin is None else begin
    jitter = origins.new_full((rays,), 0.5) if jitter is None else jitter
    check(origins, directions, bits, begin, jitter)
    if origins.device.type != "cpu":
        return Samples(*reference.march(origins, directions, bits, step, cone, begin, jitter, most))
    from . import cpu

    arrays = (part.contiguous().numpy() for part in (origins, directions, bits))
    made = cpu.march(*arrays, step, cone, begin.contiguous().numpy(), jitter.contiguous().numpy(), most)
    return Samples(*(torch.from_numpy(part) for part in made))
