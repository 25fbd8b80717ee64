# SPDX-License-Identifier: GPL-3.0-or-later
"""Furniture that is made up: the same from the same number, different from others, of sizes that furniture has."""

import numpy as np
import pytest

from engine.kernels.solid import cpu, inward
from engine.voxels.furniture import CATEGORIES, furniture
from engine.voxels.shapes import cube_of, voxelized

# Longest sides in meters.
SIZES = {
    "chair": (0.35, 2.2),
    "table": (0.35, 2.4),
    "sofa": (1.0, 4.5),
    "bed": (1.2, 2.9),
    "cabinet": (0.35, 2.7),
    "shelf": (0.5, 2.4),
    "lamp": (0.15, 2.6),
    "plant": (0.2, 2.6),
}


@pytest.mark.parametrize("category", CATEGORIES)
def test_pieces(category):
    shapes = [furniture(category, seed) for seed in range(12)]
    for shape in shapes:
        assert np.isfinite(shape.triangles).all() and (0 <= shape.colors).all() and (shape.colors <= 1).all()
        assert shape.finishes.max() < len(shape.table) and len(shape.colors) == len(shape.triangles) == len(shape.finishes) > 20
        low, high = shape.bounds
        assert SIZES[category][0] < (high - low).max() < SIZES[category][1], high - low
        # It stands on the floor, about the origin.
        assert abs(low[2]) < 1e-9 and (low[:2] < 0).all() and (high[:2] > 0).all()
    again = furniture(category, 3)
    np.testing.assert_array_equal(again.triangles, shapes[3].triangles)
    np.testing.assert_array_equal(again.colors, shapes[3].colors)
    cells = np.stack([voxelized(shape).cells.ravel() for shape in shapes])
    both = cells.astype(int) @ cells.T.astype(int)
    either = cells.sum(axis=1)[:, None] + cells.sum(axis=1) - both
    others = (both / either)[~np.eye(len(shapes), dtype=bool)]
    assert others.max() < 0.98 and others.mean() < 0.6


@pytest.mark.parametrize("category", CATEGORIES)
def test_bodies_are_closed(category):
    """Else rays would cross them an odd number of times: nothing is full by the vote of rays that air can reach."""
    for seed in range(4):
        shape = furniture(category, seed)
        corner, size = cube_of(shape)
        counted = inward((shape.triangles - corner) * (32 / size), 32)
        full = cpu.surface(counted, 32)
        lone = (cpu.votes(counted, 32) >= 5) & cpu.air(full) & ~full
        assert not lone.any(), (category, seed, lone.sum())
