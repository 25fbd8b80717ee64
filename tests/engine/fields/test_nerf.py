# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks: their published size, and what may and may not depend on the direction."""

import numpy as np
import pytest
import torch

from engine.fields.nerf import NerfField, SimpleField, initialize

FIELDS = [NerfField(32, 8, 4, 2), NerfField(32, 2, 4, 2), NerfField(16, 5, 3, 1), NerfField(16, 6, 0, 0), SimpleField(32, 4, 2)]


def test_the_published_network_has_its_published_size():
    sizes = [tuple(layer.weight.shape) for layer in NerfField().layers]
    assert sizes == [(256, 63), *[(256, 256)] * 4, (256, 319), (256, 256), (256, 256)]
    assert sum(part.numel() for part in NerfField().parameters()) == 595_844


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: type(field).__name__)
def test_density_does_not_depend_on_the_direction_and_colour_does(field):
    initialize(field, np.random.default_rng(1))
    positions = torch.rand(5, 7, 3) * 2 - 1
    one, other = torch.tensor([0.0, 0.0, 1.0]).expand(5, 7, 3), torch.tensor([0.6, 0.8, 0.0]).expand(5, 7, 3)
    density, color = field(positions, one)
    density_again, color_again = field(positions, other)
    assert density.shape == (5, 7) and color.shape == (5, 7, 3)
    assert torch.equal(density, density_again) and not torch.allclose(color, color_again)
    assert torch.equal(field.raw_density(positions), density)
    assert color.min() >= 0 and color.max() <= 1


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: type(field).__name__)
def test_all_weights_are_drawn_from_the_seed_and_all_learn(field):
    initialize(field, np.random.default_rng(5))
    drawn = [part.clone() for part in field.parameters()]
    initialize(field, np.random.default_rng(6))
    assert not any(torch.equal(a, b) for a, b in zip(drawn, field.parameters(), strict=True) if a.ndim == 2)
    initialize(field, np.random.default_rng(5))
    assert all(torch.equal(a, b) for a, b in zip(drawn, field.parameters(), strict=True))
    density, color = field(torch.rand(64, 3), torch.rand(64, 3))
    (density.sum() + color.sum()).backward()
    assert all(part.grad is not None and part.grad.abs().max() > 0 for part in field.parameters())


@pytest.mark.parametrize("kind", [NerfField, SimpleField])
def test_density_is_there_at_first_whatever_the_seed(kind):
    field, places = kind(), torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for seed in range(6):
        initialize(field, np.random.default_rng(seed))
        with torch.no_grad():
            assert (field.raw_density(places) > 0).float().mean() > 0.001
