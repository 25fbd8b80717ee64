# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing against integrals that have a closed form."""

import math

import pytest
import torch

from engine.fields.sampling import stratified
from engine.fields.volume import composite


def ray(density, color, places, length=1.0, end=None):
    """One ray through a density and a color given as functions of the place."""
    colors = torch.stack([color(places)] * 3, dim=-1) if color else torch.ones(*places.shape, 3)
    extra = () if end is None else (end,)
    return composite(density(places), colors, places, torch.full((len(places),), length), *extra)


@pytest.mark.parametrize("density, length", [(0.3, 1.0), (2.0, 0.7), (5.0, 3.0)])
def test_a_box_of_constant_density_lets_through_what_the_law_says(density, length):
    # Bins of 1/16 from 2 to 6: the box from 3 to 4.5 begins and ends on a bin's end, so the sum is exact.
    places = stratified(torch.tensor([2.0]), torch.tensor([6.0]), 64)
    seen = ray(lambda t: torch.where((t > 3) & (t < 4.5), density, 0.0), None, places, length)
    assert seen.alpha.item() == pytest.approx(1 - math.exp(-density * 1.5 * length), rel=1e-5)
    assert seen.color[0].tolist() == pytest.approx([seen.alpha.item()] * 3, rel=1e-6)
    assert seen.weights.sum().item() == pytest.approx(seen.alpha.item(), rel=1e-6)


def test_a_single_opaque_plane_is_all_that_is_seen():
    places = stratified(torch.tensor([0.0]), torch.tensor([4.0]), 64)
    densities = torch.where((places > 2.5) & (places < 2.6), 1e6, 0.0)
    colors = places[..., None] * torch.tensor([0.1, 0.2, 0.3])
    seen = composite(densities, colors, places, torch.ones(1))
    at = places[densities > 0][0].item()
    assert seen.alpha.item() == pytest.approx(1, abs=1e-6)
    assert seen.color[0].tolist() == pytest.approx([0.1 * at, 0.2 * at, 0.3 * at], rel=1e-5)
    assert seen.median_depth().item() == seen.expected_depth().item() == pytest.approx(at, rel=1e-6)


def test_a_known_integral_is_approached_with_the_square_of_the_samples():
    # Density 2t and color t over 0 to 1: the integral of t * 2t * exp(-t²) is √π/2 * erf(1) - 1/e.
    truth = math.sqrt(math.pi) / 2 * math.erf(1) - math.exp(-1)
    errors = []
    for count in (16, 32, 64, 128):
        places = stratified(torch.tensor([0.0], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64), count)
        seen = ray(lambda t: 2 * t, lambda t: t, places, end=1 + 0.5 / count)
        errors.append(abs(seen.color[0, 0].item() - truth))
    assert errors[-1] < 2e-5 and all(a / b > 3 for a, b in zip(errors, errors[1:-1], strict=False))


def test_the_length_of_directions_counts():
    places = stratified(torch.tensor([0.0]), torch.tensor([1.0]), 8)
    twice = stratified(torch.tensor([0.0]), torch.tensor([2.0]), 8)
    one = ray(lambda t: torch.full_like(t, 0.4), None, places, length=2.0, end=1.0)
    other = ray(lambda t: torch.full_like(t, 0.4), None, twice, length=1.0, end=2.0)
    assert one.alpha.item() == pytest.approx(other.alpha.item(), rel=1e-6)


def test_what_lies_behind_the_last_sample_is_opaque_as_published_and_nothing_is_seen_of_nothing():
    places = stratified(torch.tensor([0.0]), torch.tensor([1.0]), 4)
    assert ray(lambda t: torch.full_like(t, 1e-3), None, places).alpha.item() == pytest.approx(1)
    empty = ray(torch.zeros_like, None, places)
    assert empty.alpha.item() == 0 and empty.median_depth().item() == 0 and empty.expected_depth().item() == 0


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(3)
    places = torch.rand(3, 6, dtype=torch.float64).sort(-1).values
    lengths = torch.rand(3, dtype=torch.float64) + 0.5
    densities = (torch.rand(3, 6, dtype=torch.float64) * 5).requires_grad_()
    colors = torch.rand(3, 6, 3, dtype=torch.float64).requires_grad_()

    def color(densities, colors):
        return composite(densities, colors, places, lengths, 1.2).color

    assert torch.autograd.gradcheck(color, (densities, colors), eps=1e-3, atol=2e-3, rtol=1e-2)


def test_extreme_densities_stay_finite_with_their_gradients():
    places = stratified(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0]), 8)
    densities = torch.tensor([[0.0] * 8, [1e30] * 8], requires_grad=True)
    seen = composite(densities, torch.ones(2, 8, 3), places, torch.ones(2))
    seen.color.sum().backward()
    assert torch.isfinite(seen.color).all() and torch.isfinite(densities.grad).all()
