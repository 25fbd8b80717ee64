# SPDX-License-Identifier: GPL-3.0-or-later
"""Instant-ngp's field along rays against the reference."""

import numpy as np
import pytest
import torch

from engine.fields.occupancy import OccupancyGrid
from engine.kernels import amx, marching, radiance, volume
from engine.kernels.hashgrid import Layout
from engine.kernels.radiance import reference

SMALL = Layout(levels=8, features=2, log2_size=9, base=4, finest=100)


def field(layout=SMALL, seed=0, density=1.0):
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(layout.rows, layout.features, generator=generator)
    parts = [torch.randn(rows, columns, generator=generator) / rows**0.5 for rows, columns in reference.shapes(layout.width)]
    parts[1][:, 0] *= 3 * density
    parts[5][:, 3:] = 0
    return table, torch.cat([part.reshape(-1) for part in parts])


def rays(count, cascades=1, seed=2, share=0.3):
    grid = OccupancyGrid(0.01, 16, cascades)
    generator = torch.Generator().manual_seed(seed)
    grid.thickness = (torch.rand(grid.thickness.shape, generator=generator) < share).float()
    grid._prepare()
    origins = 2 * torch.randn(count, 3, generator=generator)
    directions = 0.4 * torch.randn(count, 3, generator=generator) - origins
    directions /= directions.norm(dim=1, keepdim=True)
    return marching.Walk(origins, directions, grid.bits, 0.05, 0.0, torch.zeros(count), torch.full((count,), 0.5), 1024)


def marched(walk):
    return marching.march(**vars(walk)), walk.directions


@pytest.mark.parametrize("layout", [SMALL, Layout(8, 4, 12, 8, 300)])
@pytest.mark.parametrize("cascades", [1, 3])
def test_density_and_pictures_equal_the_reference(layout, cascades):
    table, weights = field(layout)
    half = 2.0 ** (cascades - 1)
    places = (torch.rand(1000, 3) * 2 - 1) * half
    torch.testing.assert_close(
        radiance.density(places, table, weights, layout, half),
        reference.density(places, table, weights, layout, half)[0],
        rtol=2e-3,
        atol=1e-4,
    )
    samples, directions = marched(rays(700, cascades))
    made = radiance.render(samples, directions, table, weights, layout, half)
    expected = reference.render(samples, directions, table, weights, layout, half)
    for mine, theirs in zip(made[:3], expected[:3], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)
    assert (made[3] != expected[3]).float().mean() < 0.01


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("count", [1, 40, 700])
@pytest.mark.parametrize("density", [0.2, 1.5])
@pytest.mark.parametrize("distortion", [0.0, 0.2])
def test_loss_and_gradients_equal_the_reference(linear, count, density, distortion):
    table, weights = field(density=density)
    walk = rays(count)
    samples, directions = marched(walk)
    generator = torch.Generator().manual_seed(5)
    target, background = torch.rand(count, 3, generator=generator), torch.rand(count, 3, generator=generator)
    leaves = [table.double().requires_grad_(), weights.double().requires_grad_()]
    wide = marching.Samples(samples.starts, samples.rays, *(p.double() for p in (samples.t, samples.dt, samples.positions)), samples.ends)
    color, _, alpha, _ = reference.render(wide, directions.double(), *leaves, SMALL, 1.0)
    expected = reference.huber(color, alpha, target.double(), background.double(), linear)
    solid, _ = reference.density(wide.positions, *leaves, SMALL, 1.0)
    expected = expected + distortion * target.double().var(dim=0, correction=0).mean() * reference.distortion(solid, wide)
    v_table, v_weights = torch.autograd.grad(expected, leaves)
    learner = radiance.Learner(distortion=distortion)
    for _ in range(2):
        loss, mine, used = learner(walk, table, weights, SMALL, 1.0, target, background, linear, len(samples))
    assert loss == pytest.approx(expected.item(), rel=1e-4) and 0 < used <= len(samples)
    np.testing.assert_allclose(mine, v_weights, atol=2e-3 * float(v_weights.abs().max()))
    # The first moments of the first step are a tenth of the gradient.
    first, second = torch.zeros_like(table), torch.zeros_like(table)
    learner.step(table, first, second, 0.01, 1)
    np.testing.assert_allclose(10 * first, v_table, atol=2e-3 * float(v_table.abs().max()))


def test_distortion_is_the_sum_over_pairs_of_samples():
    samples, _ = marched(rays(20))
    density = 3 * torch.rand(len(samples), generator=torch.Generator().manual_seed(7))
    expected = 0.0
    for first, last in zip(samples.starts[:-1], samples.starts[1:], strict=True):
        part = slice(first, last)
        weight, _ = volume.reference.weights(density[part], samples.dt[part], torch.tensor([0, last - first]))
        weight, depth = weight[0].double(), samples.t[part].double().log()
        expected += (weight[:, None] * weight * (depth[:, None] - depth).abs()).sum()
        expected += (weight**2 * samples.dt[part] / samples.t[part]).sum() / 3
    assert expected > 1
    assert reference.distortion(density, samples).item() == pytest.approx(expected.item() / 20, rel=1e-4)


@pytest.mark.skipif(not amx.available(), reason="needs a processor with Intel AMX")
@pytest.mark.parametrize("layout", [SMALL, Layout(8, 4, 12, 8, 300), Layout(12, 4, 12, 8, 300)])
@pytest.mark.parametrize("count", [1, 40, 700])
def test_bfloat16_gives_nearly_the_same_gradients(layout, count):
    """As near as eight bits of each factor let them be, and where these decide on which side of 0 a number is."""
    table, weights = field(layout)
    walk = rays(count)
    target, background = torch.rand(2, count, 3, generator=torch.Generator().manual_seed(5))
    made = []
    for narrow in (False, True):
        learner = radiance.Learner(narrow=narrow)
        loss, v_weights, used = learner(walk, 0.1 * table, weights, layout, 1.0, target, background, True, 20_000)
        first, second = torch.zeros_like(table), torch.zeros_like(table)
        learner.step(table.clone(), first, second, 0.01, 1)
        made.append((loss, v_weights, first, used))
    (loss, v_weights, first, used), (near, v_near, first_near, used_near) = made
    assert near == pytest.approx(loss, rel=2e-3) and used_near == pytest.approx(used, rel=0.01)
    assert 0 < (v_near - v_weights).norm() < 0.02 * v_weights.norm()
    assert 0 < (first_near - first).norm() < 0.1 * first.norm()


def test_rays_without_samples_show_the_background():
    table, weights = field()
    walk = rays(50, share=0.0)
    samples, directions = marched(walk)
    color, depth, alpha, used = radiance.render(samples, directions, table, weights, SMALL, 1.0)
    assert not color.any() and not depth.any() and not alpha.any() and not used.any()
    target = torch.full((50, 3), 0.5)
    loss, v_weights, counting = radiance.Learner()(walk, table, weights, SMALL, 1.0, target, target, False, 1000)
    assert loss == 0 and not v_weights.any() and counting == 0


def test_learning_by_chance_from_rare_samples_is_right_on_average():
    table, weights = field(density=0.4)
    walk = rays(300)
    generator = torch.Generator().manual_seed(5)
    target, background = torch.rand(300, 3, generator=generator), torch.rand(300, 3, generator=generator)
    given = (walk, table, weights, SMALL, 1.0, target, background, False, 10_000)
    _, exact, all = radiance.Learner()(*given)
    learner = radiance.Learner(faint=0.03)
    made = [learner(*given, seed) for seed in range(500)]
    assert 0.25 * all < np.mean([used for *_, used in made]) < 0.9 * all
    mean = torch.stack([v_weights for _, v_weights, _ in made]).mean(0)
    assert (mean - exact).norm() < 0.05 * exact.norm()
    assert torch.equal(made[3][1], learner(*given, 3)[1]) and not torch.equal(made[3][1], made[4][1])


def test_rays_that_have_far_more_samples_than_expected_are_left_out():
    table, weights = field(density=0.05)
    walk = rays(3000, share=1.0)
    target = torch.rand(3000, 3, generator=torch.Generator().manual_seed(5))
    given = (walk, table, weights, SMALL, 1.0, target, target, False)
    learner = radiance.Learner()
    _, _, every = learner(*given, 200_000)
    assert learner.seen == every
    _, _, some = learner(*given, every // 40)
    # No ray is cut short, so each slot goes past its share by one ray and what lies together, but not further.
    assert every / 40 < some < every / 2
    first, second = torch.zeros_like(table), torch.zeros_like(table)
    learner.step(table, first, second, 0.01, 1)
    assert torch.isfinite(first).all() and first.any()


def test_what_does_not_fit_is_refused():
    table, weights = field()
    walk = rays(5)
    samples, directions = marched(walk)
    with pytest.raises(ValueError, match="table"):
        radiance.density(torch.zeros(3, 3), table[8:], weights, SMALL, 1.0)
    with pytest.raises(ValueError, match="weights"):
        radiance.density(torch.zeros(3, 3), table, weights[1:], SMALL, 1.0)
    with pytest.raises(ValueError, match="directions"):
        radiance.render(samples, directions[1:], table, weights, SMALL, 1.0)
    with pytest.raises(ValueError, match="targets"):
        radiance.Learner()(walk, table, weights, SMALL, 1.0, torch.zeros(4, 3), torch.zeros(5, 3), False, 100)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_fields_that_are_no_numbers_harm_no_memory(value):
    """Densities of NaN, and samples at places that are no numbers."""
    table, weights = field()
    walk = rays(50)
    samples, directions = marched(walk)
    samples.positions[::3] = value
    assert len(radiance.render(samples, directions, table, weights, SMALL, 1.0)[0]) == 50
    table[::2] = value
    radiance.density(torch.full((40, 3), value), table, weights, SMALL, 1.0)
    learner = radiance.Learner()
    learner(walk, table, weights, SMALL, 1.0, torch.zeros(50, 3), torch.zeros(50, 3), True, 1000)
    learner.step(table, torch.zeros_like(table), torch.zeros_like(table), 0.01, 1)
