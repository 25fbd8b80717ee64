# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole rays through fields whose light has a closed form, by the published sampler and by the one that passes over empty space."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from engine.contract.methods.nerf import NerfSettings
from engine.fields.renderer import PaperRenderer, Rays
from engine.fields.skipping import SkippingRenderer

SETTINGS = NerfSettings(width=8, depth=1, coarse_samples=64, fine_samples=128)


class Slab(nn.Module):
    """Constant density between two planes across x; the color rises evenly from the first to the second."""

    def __init__(self, density, low=-0.5, high=0.5):
        super().__init__()
        self.density, self.low, self.high = density, low, high

    def raw_density(self, positions):
        x = positions[..., 0]
        return torch.where((x > self.low) & (x < self.high), self.density, -1.0)

    def forward(self, positions, directions):
        share = (positions[..., :1] - self.low) / (self.high - self.low)
        return self.raw_density(positions), share.expand(*positions.shape[:-1], 3)


def renderer(sampler, field):
    others = {"linear": False, "device": "cpu", "bfloat16": False, "rng": np.random.default_rng(0)}
    made = PaperRenderer(SETTINGS, None, False, **others) if sampler == "paper" else SkippingRenderer(SETTINGS, 1, **others)
    made.networks = nn.ModuleList([field] * len(made.networks))
    return made


def rays(count=1, length=1.0):
    """Along x from -0.9 to 0.9; directions of any length."""
    origins = torch.tensor([[-0.9, 0.1, -0.2]]).expand(count, 3).contiguous()
    directions = torch.tensor([[length, 0.0, 0.0]]).expand(count, 3).contiguous()
    return Rays(origins, directions, torch.zeros(count), torch.full((count,), 1.8 / length))


@pytest.mark.parametrize("sampler", ["paper", "occupancy"])
@pytest.mark.parametrize("density", [0.5, 3.0, 12.0])
@pytest.mark.parametrize("length", [1.0, 2.5])
def test_a_slab_of_constant_density(sampler, density, length):
    color, alpha, _ = renderer(sampler, Slab(density)).look(rays(length=length))
    assert alpha.item() == pytest.approx(1 - math.exp(-density), rel=0.03)
    # The integral of s * d * exp(-d s) over 0 to 1.
    truth = (1 - (1 + density) * math.exp(-density)) / density
    assert color[0].tolist() == pytest.approx([truth] * 3, abs=0.02)


@pytest.mark.parametrize("sampler", ["paper", "occupancy"])
@pytest.mark.parametrize("length", [1.0, 2.5])
def test_a_single_opaque_plane(sampler, length):
    color, alpha, depth = renderer(sampler, Slab(1e6, 0.2, 0.9)).look(rays(length=length))
    assert alpha.item() == pytest.approx(1, abs=1e-5)
    # Depth is in multiples of the directions. The plane is met with the first sample behind it.
    assert depth.item() * length == pytest.approx(1.1, abs=0.015)
    assert color[0].max().item() < 0.02


def test_fine_samples_find_the_plane_more_exactly_than_coarse_ones():
    made = renderer("paper", Slab(1e6, 0.2001, 0.9))
    coarse, fine = (abs(seen.median_depth().item() - 1.1001) for seen in made.trace(rays()))
    assert fine < 0.25 * coarse


@pytest.mark.parametrize("sampler", ["paper", "occupancy"])
def test_random_samples_of_training_see_the_same_on_average(sampler):
    made = renderer(sampler, Slab(2.0))
    with torch.no_grad():
        parts = [seen[-1] for _, seen in made.parts(rays(3000), np.random.default_rng(1))]
    alpha, color = (torch.cat([getattr(part, name) for part in parts]) for name in ("alpha", "color"))
    assert alpha.std() > 1e-5
    assert alpha.mean().item() == pytest.approx(1 - math.exp(-2), abs=0.005)
    assert color.mean().item() == pytest.approx((1 - 3 * math.exp(-2)) / 2, abs=0.005)


@pytest.mark.parametrize("sampler", ["paper", "occupancy"])
def test_nothing_is_seen_of_nothing(sampler):
    color, alpha, depth = renderer(sampler, Slab(-1.0)).look(rays(5))
    assert not color.any() and not alpha.any() and not depth.any()
