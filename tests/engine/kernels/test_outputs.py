# SPDX-License-Identifier: GPL-3.0-or-later
"""Depth and normals of a picture against the plain torch reference, and on a plane whose depth and normal are known."""

import numpy as np
import pytest
import torch

from engine.cameras import Camera, project
from engine.kernels.project import reference as project_reference
from engine.kernels.rasterize import reference
from engine.splats.gaussians import Gaussians
from engine.splats.renderer import Renderer

WIDTH, HEIGHT = 70, 50
NEAR = 0.1


def blobs(count=150, seed=0):
    rng = np.random.default_rng(seed)
    f = np.float32
    values = {
        "means": (rng.normal(size=(count, 3)) * [1.5, 1, 1] + [0, 0, -4]).astype(f),
        "log_scales": rng.normal(-2.0, 0.6, (count, 3)).astype(f),
        "quats": rng.normal(size=(count, 4)).astype(f),
        "opacity_logits": rng.normal(1, 2, count).astype(f),
        "sh0": rng.normal(size=(count, 3)).astype(f),
        "shn": np.zeros((count, 0, 3), f),
    }
    return values


def camera(angle=0.2):
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    pose[:3, 3] = [0.1, -0.2, 0.3]
    return Camera(WIDTH, HEIGHT, 60, 62, 36, 24, pose)


def rendered(values, workers=2, view=None, center=(0.0, 0.0, 0.0)):
    gaussians, renderer = Gaussians(values, np.array(center)), Renderer(workers)
    image = renderer.render(gaussians, view or camera(), np.full(3, 0.5), degree=0, antialias=False, near=NEAR)
    return gaussians, renderer, image.copy()


def in_torch(values):
    """Rows in depth order, their depths, and their shortest axes, in double precision."""
    tensors = {name: torch.tensor(array, dtype=torch.float64) for name, array in values.items()}
    view = camera()
    names = ("means", "log_scales", "quats", "opacity_logits")
    rows, depths, visible = project_reference.project(
        *(tensors[name] for name in names),
        tensors["sh0"][:, None],
        torch.tensor(view.viewmat),
        torch.tensor([view.fx, view.fy, view.cx, view.cy], dtype=torch.float64),
        *(WIDTH, HEIGHT, NEAR, False, 0),
    )
    index = torch.where(visible)[0]
    index = index[torch.argsort(depths[index], stable=True)]
    rotations = project_reference.rotation_matrices(tensors["quats"])
    axes = reference.facing_axes(tensors["means"], tensors["log_scales"], rotations, torch.tensor(view.position))
    return rows[index], depths[index], axes[index]


@pytest.mark.parametrize("seed", range(4))
def test_outputs_match_the_reference(seed):
    values = blobs(seed=seed)
    gaussians, renderer, image = rendered(values)
    rows, depths, axes = in_torch(values)
    expected = reference.expected_depth(rows, depths, WIDTH, HEIGHT).numpy()
    np.testing.assert_allclose(renderer.expected_depth(), expected, rtol=1e-4, atol=1e-5)
    median = renderer.median_depth()
    # Where the transmittance is a half to the last digits, either gaussian may be the one.
    off = np.abs(median - reference.median_depth(rows, depths, WIDTH, HEIGHT).numpy()) > 1e-4
    assert off.mean() < 1e-3
    assert (median > 0).mean() > 0.2 and (median == 0).any() and np.array_equal(median > 0, image[3] < 0.5)
    normals = renderer.normals(gaussians)
    away = 1 - (normals * reference.normals(rows, axes, WIDTH, HEIGHT).numpy()).sum(axis=0)
    # Normals that cancel out have no direction.
    assert np.quantile(away[image[3] < 1], 0.999) < 1e-4
    assert np.array_equal(np.linalg.norm(normals, axis=0) > 0.5, image[3] < 1)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0)[image[3] < 1], 1, atol=1e-5)


def test_the_picture_is_left_as_it_is_and_threads_change_nothing():
    values, made = blobs(400), []
    for workers in (1, 3):
        gaussians, renderer, image = rendered(values, workers)
        made.append([renderer.expected_depth(), renderer.median_depth(), renderer.normals(gaussians)])
        assert np.array_equal(renderer.image, image)
        v_image = np.ones_like(image)
        renderer.backward(v_image)
        assert np.array_equal(renderer.v_rows, _gradient(values, v_image))
    assert all(np.array_equal(a, b) for a, b in zip(*made, strict=True))


def _gradient(values, v_image):
    _, renderer, _ = rendered(values)
    renderer.backward(v_image)
    return renderer.v_rows


def test_a_wall_has_its_depth_and_normal_in_every_pixel():
    """Flat gaussians side by side on a slanted plane, far from the world's origin."""
    center = np.array([4000.0, -3000.0, 50.0])
    normal = np.array([0.3, -0.2, 1.0]) / np.linalg.norm([0.3, -0.2, 1.0])
    across = np.cross(normal, [0, 1, 0]) / np.linalg.norm(np.cross(normal, [0, 1, 0]))
    up = np.cross(normal, across)
    u, v = (grid.ravel() for grid in np.meshgrid(np.arange(-8, 8, 0.05), np.arange(-8, 8, 0.05)))
    means = np.array([0, 0, -4.0]) + u[:, None] * across + v[:, None] * up
    # A turn of the z axis, the flat one, to the normal.
    half = np.array([1 + normal[2], -normal[1], normal[0], 0])
    count, f = len(means), np.float32
    values = {
        "means": means.astype(f),
        "log_scales": np.tile(np.log([0.04, 0.04, 1e-4]), (count, 1)).astype(f),
        "quats": np.tile(half, (count, 1)).astype(f),
        "opacity_logits": np.full(count, 4.0, f),
        "sh0": np.zeros((count, 3), f),
        "shn": np.zeros((count, 0, 3), f),
    }
    pose = np.eye(4)
    pose[:3, 3] = center
    view = Camera(WIDTH, HEIGHT, 60, 60, 35, 25, pose)
    gaussians, renderer, image = rendered(values, view=view, center=center)
    assert (image[3] < 0.05).all()
    x, y = np.meshgrid((np.arange(WIDTH) + 0.5 - 35) / 60, (np.arange(HEIGHT) + 0.5 - 25) / 60)
    truth = normal @ [0, 0, -4.0] / (normal[0] * x - normal[1] * y - normal[2])
    assert np.allclose(project(view, center + means[:1])[1], -means[0, 2])
    assert np.abs(renderer.expected_depth() / truth - 1).max() < 0.02
    assert np.abs(renderer.median_depth() / truth - 1).max() < 0.03
    assert np.allclose(renderer.normals(gaussians), normal[:, None, None], atol=1e-4)


def test_nothing_in_view_has_no_depth_and_no_normal():
    values = blobs(3)
    values["means"][:, 2] = 5
    gaussians, renderer, _ = rendered(values)
    assert not renderer.expected_depth().any() and not renderer.median_depth().any() and not renderer.normals(gaussians).any()
