# SPDX-License-Identifier: GPL-3.0-or-later
"""Training does not depend on the unit of the capture's world."""

import numpy as np
import pytest

from engine import metrics
from engine.contract.methods.nerf import NerfSettings
from engine.contract.methods.ngp import NgpSettings
from engine.contract.methods.splat import SplatSettings
from engine.contract.result import Result
from engine.contract.settings import TrainSettings
from engine.data.views import load_views
from engine.formats.capture import read_capture
from engine.kernels import use_threads
from engine.methods import load_model, new_trainer
from engine.runs.scoring import background, target

SETTINGS = {
    # Densification turns differences in the last bit into half a decibel on so small a scene.
    "splat": TrainSettings(splat=SplatSettings(max_gaussians=300, refine_start=1000)),
    "mcmc": TrainSettings(splat=SplatSettings(strategy="mcmc", max_gaussians=300, refine_start=40, refine_every=20)),
    "ngp": TrainSettings(method="ngp", ngp=NgpSettings(log2_table=12, finest=128, batch=2048, ray_steps=256, cells=32, mesh_cells=0)),
    "nerf": TrainSettings(
        method="nerf",
        nerf=NerfSettings(width=32, depth=2, coarse_samples=16, fine_samples=16, rays=128, learning_rate=5e-3, points=100, mesh_cells=0),
    ),
}
STEPS = {"splat": 150, "mcmc": 200, "ngp": 100, "nerf": 30}


def trained(name, folder):
    use_threads(2)
    capture = read_capture(folder)
    trainer = new_trainer(SETTINGS[name], capture, load_views(capture, "train"), "srgb", 2)
    for step in range(STEPS[name]):
        trainer.step(step / STEPS[name])
    return trainer, load_views(capture, "test")


def score(model, views):
    return np.mean([metrics.psnr(model.render(view.camera, background(view))[0], target(view, "srgb")) for view in views])


@pytest.mark.parametrize("name", SETTINGS)
def test_scores_do_not_depend_on_the_unit(small_capture, capture_rescaler, tmp_path, name):
    expected = score(*trained(name, small_capture))
    for unit in (1e-3, 1e3):
        trainer, views = trained(name, capture_rescaler(small_capture, tmp_path / f"{unit:g}", unit))
        assert score(trainer, views) == pytest.approx(expected, abs=1.0 if name == "mcmc" else 0.3)
        assert 0.5 < np.ptp(trainer.bounds(), axis=0).max() / unit < 6


def test_a_finished_result_is_rendered_with_the_near_plane_of_its_training(small_capture, capture_rescaler, tmp_path):
    trainer, views = trained("splat", capture_rescaler(small_capture, tmp_path / "small", 1e-3))
    result = Result("done", "splat", "", blend="srgb", antialias=trainer.antialias, near=trainer.near)
    for kind, path in trainer.artifacts(tmp_path):
        result = result.with_artifact(kind, path)
    loaded = load_model(tmp_path, result, 2)
    assert loaded.near == trainer.near < 1e-4 and score(loaded, views) == pytest.approx(score(trainer, views), abs=0.02)
