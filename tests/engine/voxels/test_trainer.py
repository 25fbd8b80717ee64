# SPDX-License-Identifier: GPL-3.0-or-later
"""Teaching: it learns, and goes on exactly where it stopped."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine.contract.voxels import VoxelTrainSettings
from engine.voxels import networks
from engine.voxels.batches import scoring_batch
from engine.voxels.dataset import load_split
from engine.voxels.trainer import VoxelTrainer, voxel_loss

SETTINGS = VoxelTrainSettings(network="gru-3-small", batch=4, most_views=2, learning_rate=2e-3, schedule_steps=200)
TINY = {"encoder": (8, 8, 12, 12, 16, 16), "features": 48, "decoder": (16, 16, 12, 8, 8)}


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setitem(networks.VARIANTS, "gru-3-small", networks.Variant(False, "gru", 3, **TINY))


def test_the_loss_falls(little_data):
    shapes = load_split(little_data, "train")
    trainer = VoxelTrainer(SETTINGS, shapes, "cpu", half=False)
    pictures, cells = scoring_batch(shapes, np.arange(len(shapes)), 1)
    with torch.no_grad():
        before = F.cross_entropy(trainer.network(pictures), cells)
    losses = [trainer.step() for _ in range(60)]
    with torch.no_grad():
        assert F.cross_entropy(trainer.network(pictures), cells) < 0.5 * before
    assert np.mean(losses[-10:]) < np.mean(losses[:3])
    assert trainer.score(shapes, 1).shape == (len(shapes),)
    assert trainer.rate(0) == pytest.approx(4e-5, rel=1e-3) and trainer.rate(100) == pytest.approx(1.01e-3, rel=1e-3)
    assert trainer.rate(200) == pytest.approx(2e-5) == trainer.rate(10_000)


def test_the_loss_is_the_entropy_and_what_the_overlap_lacks():
    cells = torch.zeros(1, 32, 32, 32, dtype=torch.int64)
    cells[:, :8] = 1
    logits = torch.zeros(1, 2, 32, 32, 32)
    # Chances of a half everywhere: 1/8 of the cube in both, 1/4 + 1/2 - 1/8 in either.
    assert voxel_loss(logits, cells).item() == pytest.approx(np.log(2) + 0.3 * (1 - 0.125 / 0.625), rel=1e-5)
    logits[:, 1] = 200.0 * cells - 100.0
    assert voxel_loss(logits, cells).item() == pytest.approx(0, abs=1e-6)
    empty = torch.zeros_like(cells)
    assert torch.isfinite(voxel_loss(torch.tensor([100.0, -100.0]).view(1, 2, 1, 1, 1).expand(1, 2, 32, 32, 32), empty))


def test_the_mean_forgets_in_proportion_to_what_was_done(little_data):
    trainer = VoxelTrainer(SETTINGS, load_split(little_data, "train"), "cpu", half=False)
    path = []
    for _ in range(5):
        trainer.step()
        path.append(next(trainer.network.parameters()).detach().clone())
    # Step t adds the step's own share of its weights, and leaves the others what is left.
    expected = path[0]
    for step, weights in enumerate(path[1:], 2):
        kept = (1 - 1 / step) ** 7.94
        expected = kept * expected + (1 - kept) * weights
    torch.testing.assert_close(next(trainer.mean.parameters()), expected, rtol=1e-4, atol=1e-6)


def test_it_goes_on_exactly(little_data):
    shapes = load_split(little_data, "train")
    straight = VoxelTrainer(SETTINGS, shapes, "cpu", half=False)
    for _ in range(4):
        straight.step()
    first = VoxelTrainer(SETTINGS, shapes, "cpu", half=False)
    for _ in range(2):
        first.step()
    arrays, facts = first.state()
    facts = json.loads(json.dumps(facts))
    second = VoxelTrainer(SETTINGS, shapes, "cpu", half=False)
    second.load_state({name: value.copy() for name, value in arrays.items()}, facts)
    for _ in range(2):
        second.step()
    assert second.steps_done == 4
    for name, value in straight.state()[0].items():
        np.testing.assert_array_equal(second.state()[0][name], value, err_msg=name)


def test_bfloat16_learns_too(little_data):
    shapes = load_split(little_data, "train")
    trainer = VoxelTrainer(SETTINGS, shapes, "cpu", half=True)
    losses = [trainer.step() for _ in range(60)]
    assert losses[-1] < losses[0]
