# SPDX-License-Identifier: GPL-3.0-or-later
"""From depth pictures to signed distances in a grid of blocks."""

from __future__ import annotations

import numpy as np

from ..arrays import check, given


def fuse(
    blocks: np.ndarray,
    size: float,
    reach: float,
    turns: np.ndarray,
    shifts: np.ndarray,
    lenses: np.ndarray,
    strengths: np.ndarray,
    depths: np.ndarray,
    slants: np.ndarray,
    distances: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Averages what depth pictures say of the distance to the surface (Curless and Levoy 1996).

    Args:
        blocks: [B, 3] int32; block (i, j, k) begins at the grid point (i, j, k) * SIDE.
        size: distance of grid points. reach: the truncation, in the same unit.
        turns, shifts: [N, 3, 3] and [N, 3] float32, from the grid's origin and axes to each camera's, x right, y down, z forward.
        lenses: [N, 4] float32, fx, fy, cx, cy. strengths: [N] float32, what a picture counts.
        depths: [N, H, W] float32 planar z, EMPTY or UNKNOWN.
        slants: [N, H, W] float32, distance to the surface's plane for a difference of planar z; 0 where a depth is not to be used.
        distances: [B, VOXELS] float32, receives the mean distance in truncations, -1 (inside) to 1; 0 where nothing is known.
        weights: [B, VOXELS] float32, receives the sum of weights; where nothing is known, -1 behind a surface that some picture shows, and
            0 where none looks.

    Raises:
        ValueError: an array has another shape or type.
    """
    from . import cpu

    count = len(depths)
    check("distances", distances, (len(blocks), cpu.VOXELS))
    check("weights", weights, (len(blocks), cpu.VOXELS))
    cpu.fuse(
        given("blocks", blocks, (None, 3), np.int32),
        size,
        reach,
        given("turns", turns, (count, 3, 3)),
        given("shifts", shifts, (count, 3)),
        given("lenses", lenses, (count, 4)),
        given("strengths", strengths, (count,)),
        given("depths", depths, (count, None, None)),
        given("slants", slants, depths.shape),
        distances,
        weights,
    )
