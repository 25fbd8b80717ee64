# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface that depth pictures of a known ball agree on."""

import numpy as np
import pytest

from engine.cameras import Camera, ray_matrix
from engine.surfaces import fusion
from engine.surfaces.depths import DepthMaps


def ball_mesh(unit, cells=40):
    """The mesh of a ball of radius ``unit`` by 14 depth pictures, in units of its radius; the nearest cameras nearly touch it."""
    cameras = []
    for index in range(14):
        height, angle = -0.95 + 1.9 * index / 13, 2.4 * index
        back = np.array([np.sqrt(1 - height**2) * np.cos(angle), np.sqrt(1 - height**2) * np.sin(angle), height])
        right = np.cross([0, 0, 1], back) / np.linalg.norm(np.cross([0, 0, 1], back))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = np.stack([right, np.cross(back, right), back], axis=1), unit * back * (1.2 if index % 4 == 3 else 3.0)
        cameras.append(Camera(96, 96, 60.0, 60.0, 48.0, 48.0, pose))
    maps = DepthMaps(cameras)
    for number, camera in enumerate(cameras):
        x, y = np.meshgrid(np.arange(96) + 0.5, np.arange(96) + 0.5)
        rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ ray_matrix(camera).T
        # |position + depth * ray| = unit, of which the nearer is seen.
        a, b = (rays**2).sum(axis=-1), rays @ camera.position
        root = b**2 - a * (camera.position @ camera.position - unit**2)
        depth = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, 0).astype(np.float32)
        maps.put(number, np.zeros((3, 96, 96), np.float32), (depth > 0).astype(np.float32), depth, 0.1 * unit, None)
    grid = fusion.grid_about(np.full(3, -1.1 * unit), np.full(3, 1.1 * unit), cells)
    volume = fusion.fuse(maps, grid, True, True, 1e9)
    positions, triangles = fusion.extract(volume, True, True)
    return positions / unit, triangles


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1e3, 1e6])
def test_the_mesh_does_not_depend_on_the_unit(unit):
    expected, triangles = ball_mesh(1.0)
    assert np.quantile(np.abs(np.linalg.norm(expected, axis=1) - 1), 0.99) < 0.03
    found, others = ball_mesh(unit)
    np.testing.assert_array_equal(others, triangles)
    np.testing.assert_allclose(found, expected, atol=1e-4)
