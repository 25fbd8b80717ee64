# SPDX-License-Identifier: GPL-3.0-or-later
"""The depth of flat gaussians is that of their planes."""

import numpy as np

from engine.cameras import Camera, ray_matrix
from engine.splats.gaussians import Gaussians
from engine.splats.renderer import Renderer


def flat(normals, means, size=0.3):
    """Solid gaussians that lie flat, square to their normals."""
    count, f = len(means), np.float32
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    values = {
        "means": means.astype(f),
        "log_scales": np.log(np.tile([size, size, 1e-4], (count, 1))).astype(f),
        "quats": np.c_[1 + normals[:, 2], -normals[:, 1], normals[:, 0], np.zeros(count)].astype(f),
        "opacity_logits": np.full(count, 6.0, f),
        "sh0": np.zeros((count, 3), f),
        "shn": np.zeros((count, 0, 3), f),
    }
    return Gaussians(values, np.array([1.0, 2.0, 3.0]))


def looked_at(gaussians):
    pose = np.eye(4)
    pose[:3, 3] = gaussians.center + (0.1, -0.2, 2.0)
    camera, renderer = Camera(64, 48, 60.0, 62.0, 31.0, 25.0, pose), Renderer(1)
    renderer.render(gaussians, camera, np.zeros(3), degree=0, antialias=True, near=0.02)
    return camera, renderer


def test_a_tilted_plane_is_met_where_it_is():
    normal, mean = np.array([[0.5, -0.3, 0.8]]), np.array([[0.05, 0.02, 0.0]])
    gaussians = flat(normal, mean)
    camera, renderer = looked_at(gaussians)
    depth = renderer.surface_depth(gaussians)
    y, x = np.nonzero(depth)
    rays = np.c_[x + 0.5, y + 0.5, np.ones(len(x))] @ ray_matrix(camera).T
    start = camera.position - gaussians.center
    true = ((mean - start) * normal).sum() / (rays * normal).sum(axis=1)
    assert len(x) > 150 and np.abs(depth[y, x] - true).max() < 1e-3
    assert np.abs(renderer.median_depth()[y, x] - true).mean() > 0.05
    assert ((depth > 0) == (renderer.median_depth() > 0)).all()


def test_edges_on_gaussians_stay_within_their_reach():
    rng = np.random.default_rng(0)
    gaussians = flat(np.c_[rng.normal(size=(50, 2)), np.full(50, 1e-4)], rng.uniform(-0.3, 0.3, (50, 3)))
    _, renderer = looked_at(gaussians)
    depth, median = renderer.surface_depth(gaussians), renderer.median_depth()
    assert np.isfinite(depth).all() and (depth >= 0).all()
    assert np.abs(depth - median).max() <= 0.6 + 1e-5
