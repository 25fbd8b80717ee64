# SPDX-License-Identifier: GPL-3.0-or-later
"""Normalized device coordinates against the projection that they are made of."""

import pytest
import torch

from engine.fields.ndc import Frustum

FRUSTUM = Frustum(0.8, 0.6, 1.3)


def projected(points):
    """The published projection of points: x and y over the frustum's sides, z from -1 at near to 1 at infinity."""
    x, y, z = points.unbind(-1)
    return torch.stack([-x / (0.8 * z), -y / (0.6 * z), 1 + 2 * 1.3 / z], dim=-1)


@pytest.fixture
def rays():
    generator = torch.Generator().manual_seed(4)
    origins = torch.rand(50, 3, generator=generator, dtype=torch.float64) * 0.4 - 0.2
    directions = torch.rand(50, 3, generator=generator, dtype=torch.float64) - 0.5
    directions[:, 2] = -1
    return origins, directions


def test_every_point_of_a_ray_lies_on_the_ray_in_the_cube(rays):
    origins, directions = rays
    moved, turned = FRUSTUM.rays(origins, directions)
    for distance in (1.6, 3.0, 50.0):
        there = projected(origins + distance * directions)
        along = (there[:, 2] - moved[:, 2]) / turned[:, 2]
        assert torch.allclose(moved + along[:, None] * turned, there, atol=1e-12)


def test_rays_reach_from_the_near_plane_to_infinity(rays):
    moved, turned = FRUSTUM.rays(*rays)
    assert torch.allclose(moved[:, 2], torch.tensor(-1.0, dtype=torch.float64))
    assert torch.allclose((moved + turned)[:, 2], torch.tensor(1.0, dtype=torch.float64))


def test_the_frustum_becomes_the_cube_and_comes_back(rays):
    corner = torch.tensor([[0.8 * 5, -0.6 * 5, -5.0]], dtype=torch.float64)
    assert torch.allclose(projected(corner)[:, :2], torch.tensor([[1.0, -1.0]], dtype=torch.float64))
    points = rays[0] + 4 * rays[1]
    assert torch.allclose(FRUSTUM.back(projected(points)), points, atol=1e-12)
