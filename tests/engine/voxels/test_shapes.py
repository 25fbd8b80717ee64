# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes: the cube they are voxelised in, and their normals."""

import numpy as np

from engine.voxels.furniture import parts
from engine.voxels.shapes import Shape, corner_normals, cube_of, drawable, voxelized


def plain(triangles):
    """A gray shape."""
    count = len(triangles)
    return Shape(triangles, np.full((count, 3, 3), 0.5, np.float32), np.zeros(count, np.int32), np.array([[0, 1, 0, 0, 0, 1]], np.float32))


def test_the_longest_side_fills_the_cube():
    shape = plain(parts.box((10, 20, 30), (12, 21, 34)))
    grid = voxelized(shape)
    expected = np.zeros((32, 32, 32), bool)
    expected[8:24, 12:20, :] = True
    np.testing.assert_array_equal(grid.cells, expected)
    assert grid.size == 4 and grid.corner == (9.0, 18.5, 30.0)
    corner, size = cube_of(shape)
    np.testing.assert_array_equal(corner, grid.corner)
    surface = drawable(shape, grid.cells)
    np.testing.assert_allclose(surface.triangles.min(axis=(0, 1)), (-0.25, -0.125, -0.5), atol=1e-6)
    assert surface.crowded[16, 16, 16] > 0.6 and surface.crowded[0, 0, 0] < 0.01


def test_boxes_have_flat_normals_and_balls_round_ones():
    box = parts.box((0, 0, 0), (1, 2, 3))
    flat = np.cross(box[:, 1] - box[:, 0], box[:, 2] - box[:, 0])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(corner_normals(box), np.repeat(flat[:, None], 3, axis=1), atol=1e-6)
    ball = parts.cushion((-1, -1, -1), (1, 1, 1), 1.0, cuts=10)
    outward = ball / np.linalg.norm(ball, axis=2, keepdims=True)
    assert (corner_normals(ball) * outward).sum(axis=2).min() > 0.95


def test_normals_of_nothing_and_of_slivers():
    assert corner_normals(np.zeros((0, 3, 3))).shape == (0, 3, 3)
    assert np.isfinite(corner_normals(np.zeros((2, 3, 3)))).all()
