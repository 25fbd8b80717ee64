# SPDX-License-Identifier: GPL-3.0-or-later
"""Marching against the reference and against the geometry of boxes."""

import math

import pytest
import torch

from engine.fields.occupancy import OccupancyGrid
from engine.kernels import marching
from engine.kernels.marching import cpu, reference


def grid_of(cells, cascades, share, seed=0):
    grid = OccupancyGrid(0.01, cells, cascades)
    grid.thickness = (torch.rand(grid.thickness.shape, generator=torch.Generator().manual_seed(seed)) < share).float()
    grid._prepare()
    return grid


def rays(count, reach, seed=1):
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn(count, 3, generator=generator) * reach
    directions = torch.randn(count, 3, generator=generator) - 0.7 * origins
    directions[:10] *= torch.eye(3).repeat(4, 1)[:10]
    return origins, directions / directions.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(("cascades", "cone", "reach"), [(1, 0.0, 2.0), (1, 0.0, 0.3), (4, 1 / 256, 1.0), (3, 0.0, 6.0)])
@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_samples_equal_the_reference(cascades, cone, reach, share):
    grid = grid_of(32, cascades, share)
    origins, directions = rays(300, reach)
    generator = torch.Generator().manual_seed(3)
    begin, jitter = 0.1 * torch.rand(300, generator=generator), torch.rand(300, generator=generator)
    given = (origins, directions, grid.bits, 0.02)
    mine = marching.march(*given, cone=cone, begin=begin, jitter=jitter)
    theirs = marching.Samples(*reference.march(*given, cone, begin, jitter, 1024))
    # A sample on the edge between two cells may fall to either side.
    same = mine.starts.diff() == theirs.starts.diff()
    assert (~same).sum() <= 6
    kept = [samples.t[same[samples.rays]] for samples in (mine, theirs)]
    assert (kept[0] - kept[1]).abs().gt(1e-4).float().mean() < 0.01 if len(kept[0]) else True
    if share == 0:
        assert len(mine) == 0 and torch.isinf(mine.ends).all()
    torch.testing.assert_close(mine.positions, origins[mine.rays] + mine.t[:, None] * directions[mine.rays], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cells", [8, 16, 48])
def test_blocks_of_cells_have_something_where_a_cell_has(cells):
    grid = grid_of(cells, 2, 0.02)
    held = grid.occupied.view(2, cells // 4, 4, cells // 4, 4, cells // 4, 4).any(6).any(4).any(2)
    expected = held if cells % 16 == 0 else torch.ones_like(held)
    assert torch.equal(reference.occupied_blocks(grid.bits), expected)
    assert torch.equal(torch.from_numpy(cpu.occupied_blocks(grid.bits.numpy())).view(expected.shape).bool(), expected)


def test_nothing_is_lost_by_passing_over_empty_blocks():
    cells = 32
    grid = OccupancyGrid(0.01, cells)
    grid.thickness[:] = 0
    for place in torch.randint(0, cells, (150, 3), generator=torch.Generator().manual_seed(4)).tolist():
        grid.thickness[(0, *place)] = 1
    grid._prepare()
    origins, directions = rays(2000, 1.0)
    samples = marching.march(origins, directions, grid.bits, 0.01, jitter=torch.zeros(2000))
    every = marching.march(origins, directions, torch.full_like(grid.bits, 255), 0.01, jitter=torch.zeros(2000))
    inside = ((every.positions + 1) * cells / 2).floor().clamp(0, cells - 1).long()
    expected = reference.occupied(grid.bits, torch.zeros_like(every.rays), inside)
    # Steps are added up in another order, and may then fall to the other side of a cell's edge.
    found = torch.bincount(samples.rays, minlength=2000) - torch.bincount(every.rays[expected], minlength=2000)
    assert expected.sum() > 500 and found.abs().sum() < 0.01 * expected.sum()


def test_a_full_box_is_covered_from_side_to_side():
    grid = grid_of(16, 1, 1.0)
    samples = marching.march(torch.tensor([[-3.0, 0.1, 0.2]]), torch.tensor([[1.0, 0, 0]]), grid.bits, 0.01)
    assert len(samples) == 200 and float(samples.dt.sum()) == pytest.approx(2.0, abs=1e-4)
    assert float(samples.t[0]) == pytest.approx(2.005, abs=1e-4) and float(samples.t[-1]) == pytest.approx(3.995, abs=1e-3)


def test_every_sample_lies_in_an_occupied_cell():
    grid = grid_of(32, 1, 0.1)
    origins, directions = rays(200, 2.0)
    samples = marching.march(origins, directions, grid.bits, 0.013)
    cell = ((samples.positions + 1) * 16).floor().clamp(0, 31).long()
    near_edge = ((samples.positions + 1) * 16 % 1 - 0.5).abs().amax(1) > 0.4999
    assert (reference.occupied(grid.bits, torch.zeros_like(samples.rays), cell) | near_edge).all()
    assert (samples.t.diff()[samples.rays.diff() == 0] > 0.0129).all()


def test_a_ray_goes_on_where_it_was_left():
    grid = grid_of(32, 2, 0.3)
    origins, directions = rays(100, 2.5)
    whole = marching.march(origins, directions, grid.bits, 0.02)
    parts, begin = [], None
    for _ in range(100):
        jitter = None if begin is None else torch.zeros(100)
        part = marching.march(origins, directions, grid.bits, 0.02, begin=begin, jitter=jitter, most=5)
        begin = part.ends
        parts.append(part)
        if torch.isinf(begin).all():
            break
    assert sum(map(len, parts)) == pytest.approx(len(whole), abs=3)
    t = torch.cat([part.t for part in parts])[torch.cat([part.rays for part in parts]).argsort(stable=True)]
    if len(t) == len(whole):
        torch.testing.assert_close(t, whole.t, atol=1e-4, rtol=0)


def test_rays_that_miss_and_rays_that_are_not_finite_have_no_samples():
    grid = grid_of(16, 1, 1.0)
    origins = torch.tensor([[3.0, 0, 0], [0, 5, 0], [math.nan, 0, 0], [0, 0, 0]])
    directions = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [math.nan, 0, 1]])
    samples = marching.march(origins, directions, grid.bits, 0.1)
    assert len(samples) == 0 and samples.starts.tolist() == [0] * 5


@pytest.mark.parametrize(
    "march", [marching.march, lambda *given, **others: marching.Samples(*reference.march(*given, 0.0, *others.values(), 64))]
)
def test_cameras_so_far_away_that_a_step_is_lost_in_rounding_see_nothing(march):
    grid = grid_of(16, 1, 1.0)
    origins, directions = torch.tensor([[-1e6, 0.1, 0.2]]), torch.tensor([[1.0, 0, 0]])
    assert len(march(origins, directions, grid.bits, 0.007, begin=torch.zeros(1), jitter=torch.zeros(1))) <= 1


def test_the_first_rays():
    grid = grid_of(16, 1, 1.0)
    samples = marching.march(*rays(20, 0.5), grid.bits, 0.1)
    part = samples.first(7)
    assert len(part.starts) == 8 and len(part) == int(part.starts[-1]) and int(part.rays.max()) <= 6


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, 0.0])
def test_rays_of_any_numbers_have_samples_in_the_grid(value):
    grid = grid_of(16, 2, 1.0)
    for name in ("origins", "directions", "begin", "jitter"):
        given = dict(zip(("origins", "directions"), rays(80, 0.5), strict=True)) | {"begin": torch.zeros(80), "jitter": torch.zeros(80)}
        given[name].view(80, -1)[::2, 0] = value
        samples = marching.march(bits=grid.bits, step=0.02, most=100, **given)
        assert samples.starts[0] == 0 and (samples.starts.diff() >= 0).all() and (samples.starts.diff() <= 100).all()
        assert len(samples) == samples.starts[-1]


def test_rays_and_grids_that_do_not_fit_are_refused():
    grid, (origins, directions) = grid_of(16, 1, 1.0), rays(20, 1.0)
    for changes in ({"directions": directions[:19]}, {"begin": torch.zeros(19)}, {"jitter": torch.zeros(21)}, {"bits": grid.bits[..., :1]}):
        with pytest.raises(ValueError):
            marching.march(**({"origins": origins, "directions": directions, "bits": grid.bits, "step": 0.1} | changes))
