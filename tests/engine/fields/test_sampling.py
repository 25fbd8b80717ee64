# SPDX-License-Identifier: GPL-3.0-or-later
"""Places along rays against what is known of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fields.sampling import coarse_to_fine, importance, stratified


def test_without_random_numbers_the_middles_of_the_bins_are_taken():
    places = stratified(torch.tensor([2.0, 0.0]), torch.tensor([6.0, 1.0]), 4)
    assert torch.allclose(places, torch.tensor([[2.5, 3.5, 4.5, 5.5], [0.125, 0.375, 0.625, 0.875]]))


@pytest.mark.parametrize("disparity", [False, True])
def test_each_bin_holds_one_place_and_places_are_even_in_it(disparity):
    near, far = torch.full((4000,), 2.0), torch.full((4000,), 8.0)
    random = torch.rand(4000, 6, generator=torch.Generator().manual_seed(2))
    places = stratified(near, far, 6, random, disparity=disparity)
    even = (1 / 2 - 1 / places) / (1 / 2 - 1 / 8) if disparity else (places - 2) / 6
    bins = torch.arange(6.0)
    assert (even * 6 >= bins - 1e-3).all() and (even * 6 <= bins + 1 + 1e-3).all()
    assert (even * 6 - bins).mean(0) == pytest.approx(0.5, abs=0.02)


def test_a_known_histogram_is_inverted():
    edges = torch.tensor([[0.0, 1.0, 2.0, 4.0]])
    # Shares 1/4, 1/2, 1/4: the cumulative distribution is known at every point.
    made = importance(edges, torch.tensor([[1.0, 2.0, 1.0]]) * 1e6, 5, torch.tensor([[0.0, 0.125, 0.25, 0.5, 0.875]]))
    assert torch.allclose(made, torch.tensor([[0.0, 0.5, 1.0, 1.5, 3.0]]), atol=1e-4)


def test_places_are_as_dense_as_the_histogram_is_high():
    weights = torch.tensor([0.0, 3.0, 1.0, 0.0, 4.0])
    edges = torch.tensor([0.0, 0.5, 1.0, 3.0, 4.0, 4.5])
    made = importance(edges[None], weights[None], 8000)[0].numpy()
    found, _ = np.histogram(made, edges.numpy())
    assert found / 8000 == pytest.approx([0, 3 / 8, 1 / 8, 0, 4 / 8], abs=0.001)
    assert (np.diff(made) >= 0).all()


def test_a_ray_through_nothing_is_sampled_evenly():
    made = importance(torch.linspace(0, 8, 9)[None], torch.zeros(1, 8), 16)
    assert torch.allclose(made, (torch.arange(16.0) + 0.5)[None] / 2, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 40), st.integers(1, 40), st.sampled_from([0.0, 1e-30, 1.0, 1e30]))
def test_hostile_weights_give_finite_places_in_order_within_the_coarse_ones(seed, coarse, fine, scale):
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(3, coarse, generator=generator).sort(-1).values
    weights = torch.rand(3, coarse, generator=generator) * scale
    weights[0, coarse // 2] = 1e20
    made = coarse_to_fine(places, weights, fine, torch.rand(3, fine, generator=generator))
    assert made.shape == (3, coarse + fine) and torch.isfinite(made).all() and (made.diff(dim=-1) >= 0).all()
    assert (made[:, 0] >= places[:, 0]).all() and (made[:, -1] <= places[:, -1]).all()


def test_fine_places_crowd_at_a_surface():
    places = stratified(torch.tensor([2.0]), torch.tensor([6.0]), 64)
    weights = torch.zeros(1, 64)
    weights[0, 32] = 1
    made = coarse_to_fine(places, weights, 128)
    # The bin of sample 32 reaches from the middle before it to the middle after.
    near = ((made > places[0, 31]) & (made < places[0, 33])).sum()
    assert near >= 128
