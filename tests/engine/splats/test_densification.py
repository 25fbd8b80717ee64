# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and growth of gaussians."""

import numpy as np
import pytest

from engine.contract.methods.splat import SplatSettings
from engine.harmonics import SH_C0
from engine.kernels.project import cpu as project
from engine.splats.densification import DensityControl
from engine.splats.gaussians import Gaussians

NAMES = Gaussians.NAMES


def gaussians(count=20, size=0.001):
    rng = np.random.default_rng(0)
    made = Gaussians.from_points(rng.uniform(-1, 1, (count, 3)), rng.random((count, 3)), np.zeros(3), 1.0, 1)
    made.values["log_scales"][:] = np.log(size)
    made.first[:, :count] = 1
    made.second[:, :count] = 2
    return made


def control(made, **settings):
    return DensityControl(SplatSettings(**settings), 1.0, len(made))


def test_start_follows_the_paper():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3], [10, 10, 10]], float) * 0.01
    colors = np.linspace(0, 1, 15).reshape(5, 3)
    made = Gaussians.from_points(corners + 1000, colors, np.full(3, 1000.0), 1.0, 2)
    np.testing.assert_allclose(np.exp(made.values["log_scales"][0]), 0.01 * np.sqrt((1 + 4 + 9) / 3), rtol=1e-4)
    np.testing.assert_allclose(0.5 + SH_C0 * made.values["sh0"], colors, atol=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-made.values["opacity_logits"])), 0.1, rtol=1e-5)
    np.testing.assert_allclose(made.splats("srgb", False).means, corners + 1000, atol=1e-4)
    assert made.values["shn"].shape == (5, 8, 3)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_or_equal_points_start_with_a_size(count):
    made = Gaussians.from_points(np.zeros((count, 3)), np.zeros((count, 3)), np.zeros(3), 1.0, 0)
    assert np.isfinite(made.values["log_scales"]).all() and len(made) == count


def test_small_ones_are_cloned_and_large_ones_split():
    made = gaussians()
    made.values["log_scales"][3] = np.log(0.5)
    keeper = control(made, grow_gradient=0.5)
    pulls = [[pull] + [0] * 11 + [1] for pull in (0.1, 0.1, 0.001)]
    keeper.observe(np.array([2, 3, 4]), np.array(pulls, np.float32), 20, 20)
    before = {name: made.values[name].copy() for name in NAMES}
    keeper.refine(made, keeper.settings.max_gaussians, np.random.default_rng(0))
    assert len(made) == 22, "one clone, and two halves for one"
    np.testing.assert_array_equal(made.values["means"][:19], np.delete(before["means"], 3, axis=0))
    np.testing.assert_array_equal(made.values["means"][19], before["means"][2])
    np.testing.assert_allclose(np.exp(made.values["log_scales"][20:]), 0.5 / 1.6, rtol=1e-5)
    assert (made.values["means"][20] != made.values["means"][21]).all()
    assert (made.first[:, :19] == 1).all() and not made.first[:, 19:].any() and not made.second[:, 19:].any()
    assert len(keeper.pulls) == 22 and not keeper.pulls.any()


def test_the_budget_holds_and_goes_to_the_strongest():
    made = gaussians()
    keeper = control(made, grow_gradient=0.0, max_gaussians=100)
    keeper.settings = SplatSettings(grow_gradient=0.0001, max_gaussians=100)
    for limit, expected in ((100, 40), (100, 80), (100, 100), (100, 100)):
        pulls = np.ones((len(made), 13), np.float32)
        pulls[:, 1] = 0
        pulls[:, 0] = np.arange(1, len(made) + 1)
        keeper.observe(np.arange(len(made)), pulls, limit, limit)
        strongest = made.values["means"][-1].copy()
        keeper.refine(made, keeper.settings.max_gaussians, np.random.default_rng(0))
        assert len(made) == expected
        if expected < 100:
            assert (made.values["means"] == strongest).all(axis=1).sum() >= 2


def test_transparent_and_broken_ones_go_and_the_last_stay():
    made = gaussians()
    made.values["opacity_logits"][5] = -9
    made.values["means"][6] = np.nan
    keeper = control(made)
    keeper.refine(made, keeper.settings.max_gaussians, np.random.default_rng(0))
    assert len(made) == 18 and np.isfinite(made.values["means"]).all()
    made.values["opacity_logits"][:] = -9
    keeper.refine(made, keeper.settings.max_gaussians, np.random.default_rng(0))
    assert len(made) == 18, "an empty scene cannot be trained"


def test_reset_leaves_nothing_opaque_and_forgets_its_momentum():
    made = gaussians()
    keeper = control(made, prune_opacity=0.005)
    keeper.reset_opacities(made)
    assert (1 / (1 + np.exp(-made.values["opacity_logits"])) <= 0.0101).all()
    assert not made.first[project.LOGITS].any() and made.first[: project.LOGITS, : len(made)].all()


def test_numbers_that_are_not_finite_never_reach_a_file():
    made = gaussians()
    made.values["sh0"][3, 1] = np.inf
    made.values["quats"][4, 0] = np.nan
    splats = made.splats("srgb", False)
    assert len(splats) == 18
    splats.check("the test")


def test_what_gives_nothing_to_the_pictures_goes():
    made = gaussians()
    keeper = control(made, prune_share=0.5)
    rows = np.zeros((3, 13), np.float32)
    rows[:, 12] = [0.4, 0.6, 0.0]
    # In pictures of 1000×1000, a pixel is a millionth; what was not seen may yet be of use.
    keeper.observe(np.array([4, 5, 6]), rows, 1000, 1000)
    keeper.observe(np.array([4, 5, 6]), rows, 1000, 1000)
    means = made.values["means"].copy()
    keeper.refine(made, keeper.settings.max_gaussians, np.random.default_rng(0))
    np.testing.assert_array_equal(made.values["means"], np.delete(means, [4, 6], axis=0))
