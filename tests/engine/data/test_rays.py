# SPDX-License-Identifier: GPL-3.0-or-later
"""Rays of pixels against the cameras' own projection, and cells that views show to be empty."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.cameras import Camera, project
from engine.data.carving import empty_cells
from engine.data.rays import RayBank, camera_rays
from engine.data.views import View


def camera(angle=0.0, width=31, height=20, distance=4.0):
    pose = np.eye(4)
    c, s = np.cos(angle), np.sin(angle)
    # Looks at the origin from a place on a circle about Z.
    pose[:3, :3] = np.array([[-s, 0, c], [c, 0, s], [0, 1, 0]])
    pose[:3, 3] = distance * pose[:3, 2]
    return Camera(width, height, 30.0, 33.0, 15.2, 9.7, pose)


def views(count=3, channels=4, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        one = camera(index * 1.3, 31 + index, 20)
        made.append(View(str(index), one, rng.integers(0, 256, (one.height, one.width, channels)).astype(np.uint8)))
    return made


@pytest.mark.parametrize("center", [(0.0, 0.0, 0.0), (1000.0, -50.0, 3.0)])
def test_rays_lead_back_to_their_pixels(center):
    center, radius = np.array(center), 2.5
    moved = []
    for view in views():
        pose = view.camera.camera_to_world.copy()
        pose[:3, 3] += center
        moved.append(replace(view, camera=replace(view.camera, camera_to_world=pose)))
    origins, directions, pixels = RayBank(moved, center, radius).pick(np.random.default_rng(1), 500)
    np.testing.assert_allclose(directions.norm(dim=1), 1, atol=1e-6)
    seen = set()
    for origin, direction, pixel in zip(origins.numpy(), directions.numpy(), pixels.numpy(), strict=True):
        distances = [np.abs((view.camera.position - center) / radius - origin).max() for view in moved]
        view = moved[int(np.argmin(distances))]
        assert min(distances) < 1e-4
        place, depth = project(view.camera, ((origin + 2 * direction.astype(np.float64)) * radius + center)[None])
        x, y = place[0] - 0.5
        assert depth[0] > 0 and abs(x - round(x)) < 0.01 and abs(y - round(y)) < 0.01
        assert np.array_equal(view.image[round(y), round(x)], pixel)
        seen.add(view.name)
    assert len(seen) == 3


def test_masked_pixels_are_never_picked():
    given = views()
    for view in given:
        view.image[:, 10:] = 0
        view.image[:, :10] = 255
    mask = np.zeros((20, 31), np.uint8)
    mask[:, :10] = 1
    given[0] = replace(given[0], mask=mask)
    for index in (1, 2):
        given[index] = replace(given[index], mask=np.pad(mask, ((0, 0), (0, index))))
    _, _, pixels = RayBank(given, np.zeros(3), 1.0).pick(np.random.default_rng(0), 1000)
    assert (pixels == 255).all()


def test_rays_of_a_whole_picture():
    one = camera(0.7)
    origins, directions = camera_rays(one, np.array([0.1, 0.2, 0.3]), 2.0)
    places = (origins + 1.7 * directions).double().numpy() * 2.0 + (0.1, 0.2, 0.3)
    pixels, depth = project(one, places)
    y, x = np.mgrid[:20, :31] + 0.5
    np.testing.assert_allclose(pixels, np.stack([x.ravel(), y.ravel()], axis=1), atol=1e-3)
    assert (depth > 0).all()


def test_cells_behind_transparent_pixels_are_empty_and_those_of_the_object_are_not():
    rng = np.random.default_rng(0)
    inside = rng.normal(size=(4000, 3))
    inside *= 0.5 * rng.random((4000, 1)) ** (1 / 3) / np.linalg.norm(inside, axis=1, keepdims=True)
    shown = []
    for index in range(8):
        one = camera(index * 0.8, 60, 60)
        one = replace(one, cx=30.0, cy=30.0)
        image = np.zeros((60, 60, 4), np.uint8)
        pixels, _ = project(one, inside)
        image[pixels[:, 1].astype(int), pixels[:, 0].astype(int)] = 255
        shown.append(View(str(index), one, image))
    axis = (torch.arange(32) + 0.5) / 16 - 1
    centers = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    empty = empty_cells(centers, 1 / 16, shown)
    distance = centers.norm(dim=1)
    assert not empty[distance < 0.5 + 1 / 32].any()
    assert empty[(distance > 0.9) & (centers[:, 2].abs() < 0.5)].float().mean() > 0.9


def test_cells_that_no_opaque_view_sees_are_empty():
    view = View("0", camera(), np.zeros((20, 31, 3), np.uint8))
    centers = torch.tensor([[0.0, 0, 0], [3.9, 0, 0], [9.0, 0, 0], [0, 9.0, 0], [-50, 0, 0]])
    assert empty_cells(centers, 0.1, [view]).tolist() == [False, False, True, True, False]
