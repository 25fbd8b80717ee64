# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of splats step by step: runs that are interrupted, and when opacities are reset."""

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.contract.methods.splat import SplatSettings
from engine.contract.settings import TrainSettings
from engine.data.views import load_views
from engine.formats.capture import read_capture
from engine.methods.splat import SplatTrainer

MCMC = SplatSettings(
    strategy="mcmc", max_gaussians=150, refine_start=20, refine_every=10, refine_stop=0.9, sh_degree=1, half_until=0.2, noise=5e5
)
ADC = SplatSettings(strategy="adc", max_gaussians=150, refine_start=20, refine_every=10, refine_stop=0.9, sh_degree=0, half_until=0.0)


def trainer(folder, splat):
    capture = read_capture(folder)
    views = load_views(capture, "train")
    # Through a longer lens some gaussians are out of view, and owe steps of the optimizer.
    views = [replace(view, camera=replace(view.camera, fx=9 * view.camera.fx, fy=9 * view.camera.fy)) for view in views]
    return SplatTrainer(TrainSettings(splat=splat), capture, views, "srgb", 2)


def train(model, first, last, steps=100):
    return [model.step(step / steps) for step in range(first, last)]


@pytest.mark.parametrize("weight", [0.0, 0.01])
def test_mcmc_goes_on_bit_for_bit_from_a_checkpoint(small_capture, weight):
    """Also where no weight makes every gaussian step, so that those out of view owe steps when noise is added."""
    settings = replace(MCMC, opacity_weight=weight, scale_weight=weight)
    whole, interrupted, resumed = (trainer(small_capture, settings) for _ in range(3))
    losses = train(whole, 0, 60)
    train(interrupted, 0, 33)
    arrays, facts = interrupted.state()
    resumed.load_state({name: array.copy() for name, array in arrays.items()}, json.loads(json.dumps(facts)))
    assert train(resumed, 33, 60) == losses[33:]
    ours, theirs = whole.state()[0], resumed.state()[0]
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert whole.count > 100 and np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("start", "every", "reset", "expected"),
    [(20, 10, 30, [30, 60]), (20, 10, 25, [30, 50]), (20, 10, 4, [20, 30, 40, 50, 60]), (25, 20, 15, [40, 60]), (50, 20, 45, [60])],
)
def test_opacities_are_reset_at_the_first_refinement_from_each_multiple_on(small_capture, monkeypatch, start, every, reset, expected):
    """Whether or not one interval divides the other; a run that is resumed between the two goes on alike."""
    settings = replace(ADC, refine_start=start, refine_every=every, reset_every=reset)
    model, resumed, resets = trainer(small_capture, settings), trainer(small_capture, settings), []
    train(model, 0, 27)
    arrays, facts = model.state()
    resumed.load_state({name: array.copy() for name, array in arrays.items()}, json.loads(json.dumps(facts)))
    for each, first in ((trainer(small_capture, settings), 0), (resumed, 27)):
        resets.append([])
        monkeypatch.setattr(each.adc, "reset_opacities", lambda _, each=each: resets[-1].append(each.steps_done))
        train(each, first, 69)
    assert resets[0] == expected and resets[1] == [step for step in expected if step > 27]
