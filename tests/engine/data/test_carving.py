# SPDX-License-Identifier: GPL-3.0-or-later
"""Cells that views show to be empty."""

from dataclasses import replace

import numpy as np
import torch

from engine.cameras import Camera, project
from engine.data.carving import empty_cells
from engine.data.views import View


def camera(angle=0.0, width=31, height=20, distance=4.0):
    pose = np.eye(4)
    c, s = np.cos(angle), np.sin(angle)
    # Looks at the origin from a place on a circle about Z.
    pose[:3, :3] = np.array([[-s, 0, c], [c, 0, s], [0, 1, 0]])
    pose[:3, 3] = distance * pose[:3, 2]
    return Camera(width, height, 30.0, 33.0, 15.2, 9.7, pose)


def ball_views():
    """Eight transparent views of a ball of radius 0.5."""
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
    return shown


def test_cells_behind_transparent_pixels_are_empty_and_those_of_the_object_are_not():
    shown = ball_views()
    axis = (torch.arange(32) + 0.5) / 16 - 1
    centers = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    empty = empty_cells(centers, 1 / 16, shown)
    distance = centers.norm(dim=1)
    assert not empty[distance < 0.5 + 1 / 32].any()
    assert empty[(distance > 0.9) & (centers[:, 2].abs() < 0.5)].float().mean() > 0.9


def test_a_transparent_view_that_is_masked_out_empties_nothing():
    views = ball_views()
    failed = replace(views[3], image=np.zeros_like(views[3].image))
    centers = torch.tensor([[0.0, 0, 0], [0.95, 0, 0]])
    assert empty_cells(centers, 1 / 16, [*views, failed]).tolist() == [True, True]
    failed = replace(failed, mask=np.zeros(failed.image.shape[:2], np.uint8))
    assert empty_cells(centers, 1 / 16, [*views, failed]).tolist() == [False, True]


def test_cells_that_no_opaque_view_sees_are_empty():
    view = View("0", camera(), np.zeros((20, 31, 3), np.uint8))
    centers = torch.tensor([[0.0, 0, 0], [3.9, 0, 0], [9.0, 0, 0], [0, 9.0, 0], [-50, 0, 0]])
    assert empty_cells(centers, 0.1, [view]).tolist() == [False, False, True, True, False]
