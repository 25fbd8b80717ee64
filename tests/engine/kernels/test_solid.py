# SPDX-License-Identifier: GPL-3.0-or-later
"""Solid voxels: the reference, exact boxes, balls against their volume, and meshes that are open, turned round or broken."""

import numpy as np
import pytest

from engine.kernels.solid import cpu, inward, reference, solid

FACES = np.array(
    [[0, 3, 1], [0, 2, 3], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4], [2, 7, 3], [2, 6, 7], [0, 4, 6], [0, 6, 2], [1, 3, 7], [1, 7, 5]]
)


def box(low, high):
    """Twelve triangles, fronts outside; two each of the sides x-, x+, y-, y+, z-, z+ in some order."""
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])], float)
    triangles = corners[FACES]
    middle = corners.mean(axis=0)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    turned = ((triangles.mean(axis=1) - middle) * normals).sum(axis=1) < 0
    triangles[turned] = triangles[turned][:, ::-1]
    return triangles


def ball(radius, middle, rings=24):
    """A closed ball of triangles."""
    polar = np.linspace(0, np.pi, rings + 1)
    around = np.linspace(0, 2 * np.pi, 2 * rings + 1)
    grid = np.stack(
        [np.outer(np.sin(polar), np.cos(around)), np.outer(np.sin(polar), np.sin(around)), np.outer(np.cos(polar), np.ones_like(around))],
        -1,
    )
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    return np.concatenate([np.stack([a, b, c], -2).reshape(-1, 3, 3), np.stack([a, c, d], -2).reshape(-1, 3, 3)]) * radius + middle


@pytest.mark.parametrize("seed", range(6))
def test_reference(seed):
    rng = np.random.default_rng(seed)
    triangles = rng.uniform(-1, 9, (12, 3, 3))
    if seed % 2:
        # Along the cells' faces and edges, where ties are.
        triangles = np.round(triangles)
    counted = inward(triangles, 8)
    np.testing.assert_array_equal(cpu.surface(counted, 8), reference.surface(counted, 8))
    np.testing.assert_array_equal(cpu.votes(counted, 8), reference.votes(counted, 8))
    full = rng.random((8, 8, 8)) < 0.6
    np.testing.assert_array_equal(cpu.air(full), reference.air(full))
    np.testing.assert_array_equal(solid(triangles, 8), reference.solid(counted, 8))


@pytest.mark.parametrize("low, high", [((0, 0, 0), (8, 8, 8)), ((1, 2, 3), (4, 3, 8)), ((7, 7, 7), (8, 8, 8)), ((0, 3, 3), (8, 4, 5))])
def test_a_box_along_the_cells_is_just_these(low, high):
    expected = np.zeros((8, 8, 8), bool)
    expected[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    np.testing.assert_array_equal(solid(box(low, high), 8), expected)


def test_a_ball_lies_between_its_inner_and_its_outer_cells():
    made = solid(ball(12.3, (16, 15.5, 16.2)), 32)
    far = np.linalg.norm(np.stack(np.meshgrid(*[np.arange(32) + 0.5] * 3, indexing="ij"), -1) - (16, 15.5, 16.2), axis=-1)
    assert made[far < 12.2].all() and not made[far > 12.3 + 0.87].any()


def test_parts_that_overlap_are_one_body_and_hulls_are_full():
    made = solid(np.concatenate([box((1, 1, 1), (5, 5, 5)), box((3, 3, 3), (7, 7, 7)), box((2, 2, 2), (3, 3, 3))]), 8)
    expected = np.zeros((8, 8, 8), bool)
    expected[1:5, 1:5, 1:5] = expected[3:7, 3:7, 3:7] = True
    np.testing.assert_array_equal(made, expected)


def test_turned_round_triangles_still_make_a_full_body():
    made = solid(box((2, 2, 2), (6, 6, 6))[:, ::-1], 8)
    assert made[2:6, 2:6, 2:6].all() and not made[0].any()
    mixed = box((2, 2, 2), (6, 6, 6))
    mixed[::2] = mixed[::2, ::-1]
    made = solid(mixed, 8)
    assert made[2:6, 2:6, 2:6].all() and not made[0].any()


@pytest.mark.parametrize("side", range(6))
def test_a_box_that_lacks_a_side_is_full(side):
    whole = box((4, 4, 4), (28, 28, 28))
    flat = [np.ptp(triangle, axis=0).argmin() * 2 + (triangle.mean(axis=0)[np.ptp(triangle, axis=0).argmin()] > 16) for triangle in whole]
    made = solid(whole[np.array(flat) != side], 32)
    expected = np.zeros((32, 32, 32), bool)
    expected[4:28, 4:28, 4:28] = True
    np.testing.assert_array_equal(made, expected)


def test_a_tube_stays_open_and_a_wall_of_some_thickness_too():
    whole = box((4, 4, 4), (28, 28, 28))
    tube = whole[np.ptp(whole[:, :, 2], axis=1) > 0]
    assert not solid(tube, 32)[8:24, 8:24, 8:24].any()
    # A box without a lid, with walls of two cells.
    walls = [
        ((4, 4, 4), (28, 28, 6)),
        ((4, 4, 4), (6, 28, 28)),
        ((26, 4, 4), (28, 28, 28)),
        ((4, 4, 4), (28, 6, 28)),
        ((4, 26, 4), (28, 28, 28)),
    ]
    made = solid(np.concatenate([box(*wall) for wall in walls]), 32)
    assert not made[6:26, 6:26, 6:].any() and made[4:28, 4:28, 4:6].all()


def test_thin_parts_are_not_lost():
    made = solid(box((3.4, 3.4, 0), (3.6, 3.6, 8)), 8)
    assert made[3, 3].all() and made.sum() == 8


def test_nothing_and_degenerate_triangles():
    assert not solid(np.zeros((0, 3, 3)), 4).any()
    point = np.full((1, 3, 3), 1.5)
    assert solid(point, 4).sum() == 1
    line = np.array([[[0.5, 0.5, 0.5], [3.5, 0.5, 0.5], [2.0, 0.5, 0.5]]])
    assert solid(line, 4)[:, 0, 0].all() and solid(line, 4).sum() == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_corners_that_are_not_finite_are_refused(value):
    triangles = box((1, 1, 1), (3, 3, 3))
    triangles[4, 1, 2] = value
    with pytest.raises(ValueError, match="finite"):
        solid(triangles, 4)


@pytest.mark.parametrize("value", [1e300, -1e300, 1e18, 3e9])
def test_corners_far_away_stay_in_the_grid(value):
    triangles = box((1, 1, 1), (3, 3, 3))
    triangles[4, 1, 2] = value
    with np.errstate(all="ignore"):
        assert solid(triangles, 4).shape == (4, 4, 4)
