# SPDX-License-Identifier: GPL-3.0-or-later
"""Rays against the projection of the points on them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cameras import Camera, project, rigid_pose
from engine.data.rays import RayBank, Space, picture_rays
from engine.data.views import View


def some_camera(seed, width=7, height=5, far=0.0):
    """Any pose, with lens shift and pixels that are not square."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    matrix[:3, 3] = rng.normal(size=3) + far
    return Camera(width, height, 9.0, 11.0, width / 2 + 1.3, height / 2 - 0.7, rigid_pose(matrix))


def some_view(seed, width=7, height=5, mask=None):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return View(str(seed), some_camera(seed, width, height), image, None, mask)


def turned(seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 1e5]), st.floats(0.1, 100))
def test_points_on_a_pixels_ray_are_seen_in_the_middle_of_that_pixel(seed, far, radius):
    camera = some_camera(seed, far=far)
    space = Space(np.full(3, far), radius, turned(seed + 1))
    origins, directions = picture_rays(camera, space)
    points = space.to_world((origins + 3 * directions).double().numpy())
    pixels, depth = project(camera, points)
    y, x = np.mgrid[:5, :7] + 0.5
    assert pixels == pytest.approx(np.stack([x.ravel(), y.ravel()], axis=1), abs=1e-2 if far else 1e-3)
    assert depth == pytest.approx(3 * radius, rel=1e-4)
    assert space.from_world(points) == pytest.approx((origins + 3 * directions).numpy(), abs=1e-4)


def test_picked_pixels_have_the_rays_and_the_colours_of_their_pictures():
    views = [some_view(1), some_view(2, 4, 9), some_view(3, 1, 1)]
    space = Space(np.array([0.2, 0.1, 0.0]), 2.0, turned(9))
    which, origins, directions, pixels = RayBank(views, space).pick(np.random.default_rng(0), 500)
    for index, view in enumerate(views):
        mine = which == index
        wanted = picture_rays(view.camera, space)
        # Which pixel it is shows in the direction.
        found = torch.cdist(directions[mine].double(), wanted[1].double()).min(dim=1)
        assert len(found.values) > 2 and found.values.max() < 1e-5
        assert torch.allclose(origins[mine], wanted[0][found.indices], atol=1e-6)
        assert np.array_equal(pixels[mine].numpy(), view.image.reshape(-1, 3)[found.indices.numpy()])


def numbered(width, height, first, mask=None):
    """A view whose pixels hold their own number: row in red, column in green, the view in blue."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, np.full_like(rows, first)], axis=-1).astype(np.uint8)
    return View(str(first), some_camera(first, width, height), image, None, mask)


def test_every_pixel_is_picked_as_often_as_any_other():
    bank = RayBank([numbered(7, 5, 0), numbered(3, 2, 1)], Space(np.zeros(3), 1.0))
    for share in (1.0, 1 - 1e-9):
        pixels = bank.pick(np.random.default_rng(0), 41_000, share=share)[3].long()
        counts = np.bincount(pixels[:, 2] * 35 + pixels[:, 0] * torch.tensor([7, 3])[pixels[:, 2]] + pixels[:, 1], minlength=41)
        assert len(counts) == 41 and counts.min() > 850 and counts.max() < 1150


def test_the_middle_of_one_view():
    bank = RayBank([numbered(40, 20, 0), numbered(40, 20, 1)], Space(np.zeros(3), 1.0))
    seen = set()
    for seed in range(6):
        which, _, _, pixels = bank.pick(np.random.default_rng(seed), 3000, one_view=True, share=0.5)
        assert len(which.unique()) == 1
        row, column = pixels[:, 0], pixels[:, 1]
        assert (row.min(), row.max(), column.min(), column.max()) == (5, 14, 10, 29)
        seen.add(int(which[0]))
    assert seen == {0, 1}


def test_masked_pixels_are_never_picked():
    mask = np.zeros((5, 7), np.uint8)
    mask[2, 3] = 255
    bank = RayBank([numbered(7, 5, 0, mask), numbered(3, 2, 1)], Space(np.zeros(3), 1.0))
    for more in ({}, {"one_view": True}, {"share": 0.9}):
        pixels = torch.cat([bank.pick(np.random.default_rng(seed), 1000, **more)[3] for seed in range(4)])
        masked = pixels[pixels[:, 2] == 0]
        assert 0 < len(masked) < len(pixels)
        assert (masked == torch.tensor([2, 3, 0], dtype=torch.uint8)).all()
