# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving and copying gaussians under a budget."""

import numpy as np
import pytest

from engine.cameras import Camera
from engine.contract.methods.splat import SplatSettings
from engine.splats.gaussians import Gaussians
from engine.splats.relocation import Relocation
from engine.splats.renderer import Renderer


def gaussians(logits):
    count, f = len(logits), np.float32
    values = {
        "means": np.stack([np.linspace(-1, 1, count), np.zeros(count), np.zeros(count)], 1).astype(f),
        "log_scales": np.full((count, 3), np.log(0.1), f),
        "quats": np.tile(np.array([1, 0, 0, 0], f), (count, 1)),
        "opacity_logits": np.array(logits, f),
        "sh0": np.ones((count, 3), f),
        "shn": np.zeros((count, 0, 3), f),
    }
    made = Gaussians(values, np.zeros(3))
    made.first[:, :count] = 1
    return made


def picture(made):
    pose = np.eye(4)
    pose[2, 3] = 4.0
    camera = Camera(64, 48, 60.0, 60.0, 32.0, 24.0, pose)
    return Renderer(1).render(made, camera, np.zeros(3), degree=0, antialias=False, near=0.02).copy()


def test_the_budget_grows_to_the_most_and_stays():
    relocation = Relocation(SplatSettings(max_gaussians=1000, grow_until=0.5, refine_stop=0.8), 10)
    assert [relocation.budget(progress) for progress in (0, 0.2, 0.4, 0.9)] == [10, 100, 1000, 1000]


@pytest.mark.parametrize("logit", [-1.0, 2.0])
def test_copies_together_look_like_what_they_are_copies_of(logit):
    made = gaussians([logit] * 4)
    before = picture(made)
    Relocation(SplatSettings(max_gaussians=100), 4).refine(made, 0.05, np.random.default_rng(0))
    assert len(made) > 4
    after = picture(made)
    # The paper keeps the light along a line through the middle, not the profile.
    assert np.abs(after - before).max() < 0.06 < 0.15 < before[0].max()
    assert after[0].sum() == pytest.approx(before[0].sum(), rel=0.05)


def test_the_transparent_and_the_broken_move_to_what_is_opaque_without_their_momentum():
    made = gaussians([3.0, -8.0, 3.0, np.nan])
    Relocation(SplatSettings(max_gaussians=100), 4).refine(made, 0.0, np.random.default_rng(0))
    assert len(made) == 4
    assert all(x in (np.float32(-1), made.values["means"][2, 0]) for x in made.values["means"][[1, 3], 0])
    assert np.isfinite(made.table).all() and not made.first[:, [1, 3]].any()


def test_with_nothing_opaque_nothing_happens():
    made = gaussians([-9.0, -9.0])
    Relocation(SplatSettings(max_gaussians=100), 2).refine(made, 1.0, np.random.default_rng(0))
    assert len(made) == 2
