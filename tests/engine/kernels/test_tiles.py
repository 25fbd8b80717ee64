# SPDX-License-Identifier: GPL-3.0-or-later
"""Which gaussian touches which tile, against every pixel's own distance to every ellipse."""

import numpy as np
import pytest

from engine.kernels.tiles import cpu as tiles


def _rows(count, width, height, seed):
    """Ellipses of all sizes and slants, in the picture and around it."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, tiles.COLUMNS), np.float32)
    rows[:, tiles.X] = rng.uniform(-20, width + 20, count)
    rows[:, tiles.Y] = rng.uniform(-20, height + 20, count)
    angle, sizes = rng.uniform(0, np.pi, count), np.exp(rng.uniform(-1.5, 3, (count, 2)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    covariance = turn @ (np.eye(2) * sizes[:, :, None] ** 2) @ turn.transpose(0, 2, 1)
    rows[:, tiles.PRECISION_X], rows[:, tiles.SLOPE] = 1 / covariance[:, 0, 0], covariance[:, 0, 1] / covariance[:, 0, 0]
    rows[:, tiles.PRECISION_Y] = covariance[:, 0, 0] / (sizes**2).prod(axis=1)
    rows[:, tiles.EXTENT] = rng.uniform(0.01, 11, count)
    return rows


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (70, 50), (33, 100), (16, 16)])
@pytest.mark.parametrize("count", [1, 17, 300])
def test_pairs_are_the_tiles_that_ellipses_reach(size, count):
    width, height = size
    rows = _rows(count, width, height, seed=count)
    starts, pairs, own_starts, own = tiles.bin_pairs(rows, width, height)
    across, down = -(-width // tiles.TILE_WIDTH), -(-height // tiles.TILE_HEIGHT)
    assert len(starts) == across * down + 1 and starts[0] == 0 and starts[-1] == len(pairs) == len(own) == own_starts[-1]
    r = rows.astype(np.float64)[:, :, None, None]
    # Tiles at the right edge reach beyond the picture.
    dx = np.arange(across * tiles.TILE_WIDTH)[None, None, :] + 0.5 - r[:, tiles.X]
    dy = np.arange(height)[None, :, None] + 0.5 - r[:, tiles.Y]
    p_x, slope, p_y, extent = (r[:, column] for column in (tiles.PRECISION_X, tiles.SLOPE, tiles.PRECISION_Y, tiles.EXTENT))
    distance, a = (p_x * dx**2 + p_y * (dy - slope * dx) ** 2) / extent, p_x + p_y * slope**2
    covered = np.zeros(distance.shape, bool)
    for tile in range(across * down):
        ranks = pairs[starts[tile] : starts[tile + 1], 0]
        assert (np.diff(ranks) > 0).all()
        left, top = tile % across * tiles.TILE_WIDTH, tile // across * tiles.TILE_HEIGHT
        for rank, first, last in pairs[starts[tile] : starts[tile + 1]]:
            assert 0 <= first < last <= min(tiles.TILE_HEIGHT, height - top)
            covered[rank, top + first : top + last, left : left + tiles.TILE_WIDTH] = True
            # Between two pixel centres the ellipse may pass, but never farther than that from the nearer one.
            nearest = np.sqrt(distance[rank, top + first : top + last, left : left + tiles.TILE_WIDTH].min(axis=1) * extent[rank, 0, 0])
            assert (nearest - np.sqrt(extent[rank, 0, 0]) <= 0.5001 * np.sqrt(a[rank, 0, 0])).all()
    assert covered[..., :width][distance[..., :width] < 0.9999].all()
    for rank in range(count):
        mine = own[own_starts[rank] : own_starts[rank + 1]]
        assert (pairs[mine, 0] == rank).all()
    assert np.array_equal(np.sort(own), np.arange(len(pairs)))


def test_nothing_and_nothing_in_sight():
    for rows in (np.zeros((0, tiles.COLUMNS), np.float32), _rows(40, 30, 30, 0) + np.float32([1000, 1000] + [0] * (tiles.COLUMNS - 2))):
        starts, pairs, own_starts, own = tiles.bin_pairs(rows, 30, 30)
        assert len(pairs) == len(own) == 0 and not starts.any() and not own_starts.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e38])
def test_rows_of_any_numbers_give_pairs_inside_the_picture(value):
    """Projection draws no such rows; whatever it misses must not become an address."""
    for column in range(tiles.COLUMNS):
        rows = _rows(60, 70, 50, seed=2)
        rows[::3, column] = value
        starts, pairs, own_starts, own = tiles.bin_pairs(rows, 70, 50)
        assert starts[0] == 0 and starts[-1] == len(pairs) == own_starts[-1] and (np.diff(starts) >= 0).all()
        rank, first, last = pairs.T
        assert (rank >= 0).all() and (rank < 60).all() and (first >= 0).all() and (first < last).all() and (last <= tiles.TILE_HEIGHT).all()
        assert np.array_equal(np.sort(own), np.arange(len(pairs)))


def test_threads_do_not_change_anything():
    rows = _rows(500, 90, 61, seed=3)
    alone = tiles._bin(rows, 90, 61, 1)
    for workers in (2, 3, 40):
        for array, other in zip(alone, tiles._bin(rows, 90, 61, workers), strict=True):
            assert np.array_equal(array, other)
