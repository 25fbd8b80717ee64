# SPDX-License-Identifier: GPL-3.0-or-later
"""Captured normals: gradients against torch with random cotangents, and a model that comes closer to them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.cameras import Camera
from engine.contract.methods.splat import SplatSettings
from engine.contract.settings import TrainSettings
from engine.data.views import frame_camera, load_views
from engine.formats.capture import read_capture
from engine.kernels.project import cpu as project
from engine.kernels.project import reference as project_reference
from engine.kernels.rasterize import reference as rasterize_reference
from engine.methods.splat import SplatTrainer
from engine.splats.gaussians import Gaussians
from engine.splats.loss import normal_loss
from engine.splats.renderer import Renderer

WIDTH, HEIGHT = 70, 50
PLACES = ("means", "log_scales", "quats", "opacity_logits")


def scene(count=60, seed=5):
    rng = np.random.default_rng(seed)
    f = np.float32
    return {
        "means": (rng.normal(size=(count, 3)) * [1.5, 1, 1] + [0, 0, -4]).astype(f),
        "log_scales": rng.normal(-2.0, 0.6, (count, 3)).astype(f),
        "quats": (rng.normal(size=(count, 4)) * rng.uniform(0.3, 3, (count, 1))).astype(f),
        "opacity_logits": rng.normal(0, 2, count).astype(f),
        "sh0": rng.normal(size=(count, 3)).astype(f),
        "shn": np.zeros((count, 0, 3), f),
    }


def camera(angle=0.2):
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    pose[:3, 3] = [0.1, -0.2, 0.3]
    return Camera(WIDTH, HEIGHT, 60.0, 62.0, 36.0, 24.0, pose)


@pytest.mark.parametrize("seed", range(3))
def test_normals_and_their_gradient_match_the_reference(seed):
    """Through the renderer: which way a gaussian is turned, where it is, how opaque."""
    values, view = scene(seed=seed), camera()
    gaussians, renderer = Gaussians(values, np.zeros(3)), Renderer(2)
    renderer.render(gaussians, view, np.zeros(3), degree=0, antialias=False, near=0.1)
    normals = renderer.composite_normals(gaussians)
    v_normals = np.random.default_rng(seed).normal(size=normals.shape).astype(np.float32)
    renderer.backward(np.zeros((4, HEIGHT, WIDTH), np.float32))
    renderer.backward_normals(v_normals)
    gradients = Gaussians(values, np.zeros(3))
    gradients.table[:] = 0
    rank_of = np.full(gaussians.table.shape[1], -1, np.int32)
    rank_of[renderer.order] = np.arange(len(renderer.order))
    lens = np.array([60, 62, 36, 24], np.float32)
    placed = (view.viewmat.astype(np.float32), view.position.astype(np.float32), lens)
    project.backward(gaussians.table, *placed, WIDTH, HEIGHT, False, 0, rank_of, renderer.v_rows, gradients.table)

    leaves = {name: torch.tensor(values[name], dtype=torch.float64, requires_grad=True) for name in PLACES}
    rows, depths, visible = project_reference.project(
        *leaves.values(),
        torch.tensor(values["sh0"][:, None], dtype=torch.float64),
        torch.tensor(view.viewmat),
        torch.tensor(lens, dtype=torch.float64),
        *(WIDTH, HEIGHT, 0.1, False, 0),
    )
    index = torch.where(visible)[0]
    index = index[torch.argsort(depths[index], stable=True)]
    rotations = project_reference.rotation_matrices(leaves["quats"])
    # The axis chosen and its side do not change with small steps; the place takes no part.
    axes = rasterize_reference.facing_axes(leaves["means"].detach(), leaves["log_scales"].detach(), rotations, torch.tensor(view.position))
    rows = torch.cat([rows[index, :6], axes[index]], 1)
    expected = rasterize_reference.rasterize(rows, WIDTH, HEIGHT, torch.zeros(3, dtype=torch.float64))
    np.testing.assert_allclose(normals, expected.detach().numpy(), atol=1e-4)
    (expected * torch.tensor(v_normals)).sum().backward()
    for name in PLACES:
        grown = leaves[name].grad.numpy()
        np.testing.assert_allclose(gradients.values[name], grown, atol=4e-5 * np.abs(grown).max(), err_msg=name)

    # Adam's first step goes by its rate against the gradient.
    before = gaussians.values["quats"].copy()
    renderer.step(gaussians, np.full(len(gaussians.table), 1e-3, np.float32), 1)
    moved, grown = gaussians.values["quats"] - before, leaves["quats"].grad.numpy()
    clear = np.abs(grown) > 1e-3 * np.abs(grown).max()
    assert clear.any() and np.array_equal(np.sign(moved[clear]), -np.sign(grown[clear]))


def test_the_loss_counts_angles_where_normals_are_known():
    rng = np.random.default_rng(0)
    normals = (rng.normal(size=(4, 6, 7)) + np.array([3, 0, 0, 0])[:, None, None]).astype(np.float32)
    captured = rng.normal(size=(3, 6, 7)).astype(np.float32)
    captured /= np.linalg.norm(captured, axis=0)
    captured[:, :, :3] = 0
    loss, v_normals = normal_loss(normals, captured, 0.3)
    leaf = torch.tensor(normals, dtype=torch.float64, requires_grad=True)
    known = torch.tensor(captured.any(axis=0))
    cosine = torch.nn.functional.cosine_similarity(leaf[:3], torch.tensor(captured, dtype=torch.float64), dim=0)
    expected = 0.3 * ((1 - leaf[3].detach()) * (1 - cosine) * known).mean()
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-6)
    np.testing.assert_allclose(v_normals[:3], leaf.grad[:3].numpy(), atol=1e-6)
    assert not v_normals[3].any()
    # A wall that is as captured has none.
    assert normal_loss(np.concatenate([captured, captured[:1] * 0]), captured, 1.0)[0] == pytest.approx(0, abs=1e-6)


def test_training_comes_closer_to_captured_normals(capture_writer, truth, tmp_path):
    folder = capture_writer(tmp_path / "capture")
    table = json.loads((folder / "transforms.json").read_text())
    (folder / "normals").mkdir()
    renderer = Renderer(2)
    frames = {frame.name: frame for frame in read_capture(folder).frames}
    for entry in table["frames"]:
        name = entry["file_path"].removeprefix("images/")
        image = renderer.render(truth, frame_camera(frames[name]), np.zeros(3), degree=0, antialias=False, near=0.02)
        normals = renderer.normals(truth) * (image[3] < 0.5)
        entry["normal_file_path"] = f"normals/{name}.npy"
        np.save(folder / entry["normal_file_path"], normals.transpose(1, 2, 0))
    (folder / "transforms.json").write_text(json.dumps(table))
    capture = read_capture(folder)
    views, test = load_views(capture, "train"), load_views(capture, "test")
    settings = SplatSettings(max_gaussians=300, refine_start=40, refine_every=20, sh_degree=0, half_until=0.2)
    angles = {}
    for weight in (0.0, 0.2):
        training = SplatTrainer(TrainSettings(steps=300, splat=replace(settings, normal_weight=weight)), capture, views, "srgb", 2)
        for step in range(300):
            training.step(step / 300)
        found = []
        for view in test:
            training.render(view.camera, np.zeros(3))
            cosine = (training.renderer.normals(training.gaussians) * view.normals).sum(axis=0)
            found.append(np.degrees(np.arccos(np.clip(cosine[view.normals.any(axis=0)], -1, 1))).mean())
        angles[weight] = np.mean(found)
    assert angles[0.2] < 0.9 * angles[0.0], angles
