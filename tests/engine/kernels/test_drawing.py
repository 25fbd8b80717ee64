# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of triangles: the reference, what is in front, edges, perspective, and what cannot be drawn."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels import use_threads
from engine.kernels.drawing import Surface, Views, draw, reference

f = np.float32


def surface(triangles, colors=None, crowded=None, table=None, seed=0):
    """Triangles with flat normals, each of a random colour and finish."""
    rng = np.random.default_rng(seed)
    triangles = np.asarray(triangles, f)
    count = len(triangles)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    table = np.array([[0, 1, 0, 0, 0, 1]] if table is None else table, f)
    return Surface(
        triangles,
        np.repeat(normals[:, None], 3, axis=1).astype(f),
        (rng.random((count, 3, 3)) if colors is None else np.broadcast_to(colors, (count, 3, 3))).astype(f),
        (np.arange(count) % len(table)).astype(np.int32),
        table,
        np.zeros((4, 4, 4), f) if crowded is None else crowded.astype(f),
    )


def views(count=1, focal=30.0, size=24, distance=2.0, sky=(1, 1, 1), ground=(1, 1, 1), lamps=()):
    """Cameras that look along +y at the origin from further and further away."""
    viewmat = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, distance]], f)
    viewmats = np.stack([viewmat + np.array([[0, 0, 0, 0]] * 2 + [[0, 0, 0, 0.3 * index]], f) for index in range(count)])
    fill = lambda values: np.tile(np.array(values, f), (count, 1))  # noqa: E731
    lamps = np.array(lamps, f).reshape(-1, 6)
    return Views(viewmats, fill((focal, focal, size / 2, size / 2)), fill(sky), fill(ground), np.tile(lamps, (count, 1, 1)))


@pytest.mark.parametrize("seed", range(4))
def test_reference(seed):
    rng = np.random.default_rng(seed)
    middle = rng.uniform(-0.4, 0.4, (25, 1, 3))
    table = np.column_stack(
        [np.arange(4), rng.uniform(3, 9, 4), rng.uniform(0, 0.9, 4), rng.integers(0, 3, 4), rng.uniform(0, 0.5, 4), rng.uniform(2, 40, 4)]
    )
    lamps = rng.normal(size=(2, 6))
    lamps[:, :3] /= np.linalg.norm(lamps[:, :3], axis=1, keepdims=True)
    lamps[:, 3:] = abs(lamps[:, 3:])
    given = surface(middle + rng.normal(0, 0.2, (25, 3, 3)), table=table, crowded=rng.random((6, 6, 6)), seed=seed)
    light = views(2, sky=rng.random(3), ground=rng.random(3), lamps=lamps)
    ours, truth = draw(given, light, 24).astype(int), reference.draw(given, light, 24).astype(int)
    # Edges that run through the middle of a sample may fall to either side, and so may the cells of speckles.
    different = (abs(ours - truth) > 2).any(axis=-1)
    assert different.mean() < 0.01, different.mean()
    assert (truth[..., 3] > 0).mean() > 0.2


def test_what_is_nearer_is_in_front_in_any_order():
    square = np.array([[[-1, 0, -1], [1, 0, -1], [1, 0, 1]], [[-1, 0, -1], [1, 0, 1], [-1, 0, 1]]], float)
    red, green = np.array([1, 0, 0]), np.array([0, 1, 0])
    for order in (1, -1):
        triangles = np.concatenate([square, square + (0, -0.5, 0)][::order])
        colors = np.stack([red, red, green, green][::order])[:, None]
        picture = draw(surface(triangles, colors), views(), 24)[0]
        assert (picture == (0, 255, 0, 255)).all()


def test_edges_are_shares_and_colours_do_not_fade_there():
    # The right half of the picture from 12.5 pixels on.
    left = (12.5 - 12) / 30 * 2
    wall = [[[left, 0, -9], [9, 0, -9], [9, 0, 9]], [[left, 0, -9], [9, 0, 9], [left, 0, 9]]]
    picture = draw(surface(wall, (0.5, 0.25, 1.0)), views(), 24)[0]
    assert not picture[:, :12].any() and (picture[:, 13:, 3] == 255).all() and (picture[:, 12, 3] == 128).all()
    assert (picture[:, 12, :3] == (188, 137, 255)).all() and (picture[:, 13, :3] == (188, 137, 255)).all()


def test_normals_may_look_away():
    triangle = [[[-1, 0, -1], [1, 0, -1], [0, 0, 1]]]
    lamp = [[0, -1, 0, 1, 1, 1]]
    pictures = [draw(surface(np.array(triangle)[:, ::order], 0.5), views(lamps=lamp), 24) for order in (1, -1)]
    np.testing.assert_array_equal(*pictures)


def test_what_is_behind_degenerate_or_beside_is_left_out():
    bad = [[[0, -3, 0], [1, -3, 0], [0, -3, 1]], [[0, 0, 0]] * 3, [[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[90, 0, 0], [91, 0, 0], [90, 0, 1]]]
    bad += [[[0, -5, 0], [1, 5, 0], [0, 5, 1]], [[np.nan] * 3] * 3]
    assert not draw(surface(bad), views(), 24).any()
    assert not draw(surface(np.zeros((0, 3, 3))), views(), 24).any()


def test_threads_change_nothing():
    given, light = surface(np.random.default_rng(0).uniform(-0.5, 0.5, (40, 3, 3))), views(5)
    use_threads(1)
    one = draw(given, light, 24)
    use_threads(64)
    np.testing.assert_array_equal(one, draw(given, light, 24))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9, 1e-40, 0.0]), st.booleans())
def test_numbers_of_any_kind_draw_inside_the_picture(seed, value, of_views):
    rng = np.random.default_rng(seed)
    table = np.column_stack([np.arange(4), rng.uniform(3, 9, (4, 2)), rng.integers(0, 3, 4), rng.uniform(0, 9, (4, 2))])
    given_surface, light = surface(rng.uniform(-0.5, 0.5, (20, 3, 3)), table=table), views(2, lamps=rng.normal(size=(2, 6)))
    for array in vars(light if of_views else given_surface).values():
        if array.dtype == np.float32:
            array[rng.random(array.shape) < 0.1] = value
    with np.errstate(all="ignore"):
        assert draw(given_surface, light, 24).shape == (2, 24, 24, 4)


def test_a_camera_on_a_triangle_draws_nothing_outside():
    """Its distance is 0, which makes no direction."""
    light = views()
    light.viewmats[0, :, 3] = 0
    draw(surface([[[0, 0, 0], [1, 0.002, 0], [0, 0.002, 1]], [[-1, 0.0011, -1], [1, 0.0011, -1], [0, 0.0011, 2]]]), light, 24)


def test_arrays_that_do_not_fit_are_refused():
    whole, light = surface(np.zeros((3, 3, 3)), table=np.zeros((2, 6))), views(2, lamps=np.ones((1, 6)))
    for name, array in vars(whole).items():
        with pytest.raises(ValueError):
            draw(replace(whole, **{name: array[..., :1]}), light, 24)
    for name, array in vars(light).items():
        with pytest.raises(ValueError):
            draw(whole, replace(light, **{name: array[..., :1]}), 24)
    for row in (-1, 2, 2**31 - 1):
        with pytest.raises(ValueError, match="finishes"):
            draw(replace(whole, finishes=np.array([0, row, 1], np.int32)), light, 24)
    with pytest.raises(ValueError, match="crowded"):
        draw(replace(whole, crowded=np.zeros((1, 1, 1), f)), light, 24)
