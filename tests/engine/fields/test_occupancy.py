# SPDX-License-Identifier: GPL-3.0-or-later
"""The occupancy grid: what it keeps, forgets and leaves out."""

import numpy as np
import pytest
import torch

from engine.cameras import Camera
from engine.contract.errors import UserError
from engine.data.rays import Space
from engine.data.views import View
from engine.fields.occupancy import OccupancyGrid
from engine.kernels.marching.reference import occupied


def ball(radius):
    return lambda places: torch.where(places.norm(dim=1) < radius, 100.0, 0.0)


def test_bits_say_what_is_occupied():
    grid = OccupancyGrid(0.01, 16, 2)
    assert (grid.bits == 255).all(), "before the first look anything may be anywhere"
    grid.update(ball(0.5), np.random.default_rng(0), 10**9)
    cells = torch.stack(torch.meshgrid(*[torch.arange(16)] * 3, indexing="ij"), -1).reshape(-1, 3)
    for cascade in (0, 1):
        bits = occupied(grid.bits, torch.full((len(cells),), cascade), cells)
        assert torch.equal(bits, grid.occupied[cascade].view(-1))
        distance = grid.centers(cascade).reshape(-1, 3).norm(dim=1)
        reach = 2.0**cascade * 0.11
        assert bits[distance < 0.5 - reach].all() and not bits[distance > 0.5 + reach].any()


def test_what_is_gone_is_forgotten_slowly_and_what_comes_is_seen_at_once():
    grid, rng = OccupancyGrid(0.01, 16), np.random.default_rng(0)
    left = grid.centers(0)[..., 0] < 0
    grid.update(lambda places: 100.0 * (places[:, 0] < 0), rng, 10**9)
    assert torch.equal(grid.occupied[0], left)
    grid.update(lambda places: 100.0 * (places[:, 0] > 0), rng, 10**9)
    assert grid.occupied.all()
    for _ in range(100):
        grid.update(lambda places: 100.0 * (places[:, 0] > 0), rng, 10**9)
    assert torch.equal(grid.occupied[0], ~left)


def test_some_cells_at_a_time_reach_the_same():
    grid, rng = OccupancyGrid(0.01, 16), np.random.default_rng(0)
    for _ in range(100):
        grid.update(ball(0.6), rng, 400)
    distance = grid.centers(0).norm(dim=-1)
    assert grid.occupied[0][distance < 0.5].all() and not grid.occupied[0][distance > 0.7].any()


def test_cells_that_are_looked_at_less_often_forget_as_fast():
    left = []
    for share in (1, 4):
        grid, rng = OccupancyGrid(0.01, 16), np.random.default_rng(0)
        cells = grid.thickness.numel()
        grid.update(lambda places: torch.full((len(places),), 1e5), rng, cells)
        for _ in range(20):
            grid.update(lambda places: torch.zeros(len(places)), rng, cells // share)
        left.append(float((grid.thickness / (1e5 * 0.01)).log().mean()))
    assert left[0] == pytest.approx(20 * np.log(0.95), rel=1e-3)
    # But for cells that are drawn twice at once.
    assert left[1] == pytest.approx(left[0], rel=0.15)


def test_excluded_cells_stay_empty():
    grid, rng = OccupancyGrid(0.01, 16), np.random.default_rng(0)
    grid.exclude(0, grid.centers(0)[..., 0] > 0)
    for count in (10**9, 500):
        grid.update(lambda places: torch.full((len(places),), 100.0), rng, count)
    assert grid.occupied[0, :8].all() and not grid.occupied[0, 8:].any()


def test_views_that_show_nothing_anywhere_are_refused():
    pose = np.eye(4)
    pose[2, 3] = 4.0
    view = View("0", Camera(20, 20, 10.0, 10.0, 10.0, 10.0, pose), np.zeros((20, 20, 4), np.uint8))
    space = Space(np.zeros(3), 1.0)
    with pytest.raises(UserError, match="no place where anything could be"):
        OccupancyGrid(0.01, 16).exclude_empty(space, [view])
    view.image[10, 10, 3] = 255
    OccupancyGrid(0.01, 16).exclude_empty(space, [view])


def test_state_and_randomness_make_the_same_again():
    first, second = OccupancyGrid(0.01, 16), OccupancyGrid(0.01, 16)
    rng = np.random.default_rng(1)
    first.update(ball(0.4), rng, 3000)
    second.load_state(first.state())
    state = rng.bit_generator.state
    for grid in (first, second):
        rng.bit_generator.state = state
        grid.update(ball(0.4), rng, 3000)
    assert torch.equal(first.bits, second.bits) and torch.equal(first.thickness, second.thickness)
