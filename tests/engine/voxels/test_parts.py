# SPDX-License-Identifier: GPL-3.0-or-later
"""What furniture is built of: every body is closed, its fronts outside, of the size that was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.voxels.furniture import parts

number = st.floats(0.01, 2.0)
L_SHAPE = [(0, 0), (2, 0), (2, 1), (1, 1), (1, 3), (0, 3)]


def volume(body):
    return np.einsum("mi,mi->m", body[:, 0], np.cross(body[:, 1], body[:, 2])).sum() / 6


def assert_closed(body):
    """Every edge is walked as often one way as the other."""
    places = np.round(body.reshape(-1, 3), 7) + 0.0
    _, number = np.unique(places, axis=0, return_inverse=True)
    corners = number.reshape(-1, 3)
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    edges = edges[edges[:, 0] != edges[:, 1]]
    there, back = (edges[:, 0] << 32) | edges[:, 1], (edges[:, 1] << 32) | edges[:, 0]
    np.testing.assert_array_equal(np.sort(there), np.sort(back))


BODIES = {
    "box": parts.box((0, 1, 2), (1, 3, 5)),
    "box turned round": parts.box((1, 3, 5), (0, 1, 2)),
    "prism": parts.prism(L_SHAPE, 0, 2),
    "prism clockwise": parts.prism(L_SHAPE[::-1], 0, 2),
    "panel x": parts.panel(L_SHAPE, "x", -1, 1),
    "panel y": parts.panel(L_SHAPE, "y", -1, 1),
    "turned": parts.turned([(1, 0), (0.5, 1), (0.7, 2)]),
    "turned cone": parts.turned([(1, 0), (0, 1)]),
    "rod": parts.rod((0, 0, 0), (0, 0, 1), 0.1),
    "square rod": parts.rod((0, 0, 0), (0, 0, 1), 0.1, sides=4),
    "level rod": parts.rod((0, 0, 0), (1, 0, 0), 0.1, 0.05),
    "tube": parts.tube([(0, 0, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1)], 0.1),
    "cushion": parts.cushion((0, 0, 0), (1, 2, 0.3), 0.5),
    "cushion that bulges": parts.cushion((0, 0, 0), (1, 2, 0.3), 0.5, 0.3),
    "ellipsoid": parts.cushion((-1, -1, -1), (1, 1, 1), 1.0, cuts=8),
    "shell": parts.shell(1, 0.1, 0, 1, 20, 160),
    "rounded": parts.prism(parts.rounded(2, 1, 0.2), 0, 1),
    "mirrored": parts.mirrored(parts.box((1, 0, 0), (2, 1, 1))),
    "tilted": parts.tilted(parts.box((0, 0, 0), (1, 1, 1)), "x", 30, (0, 1, 0)),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_are_closed_with_their_fronts_outside(name):
    assert_closed(BODIES[name])
    assert volume(BODIES[name]) > 0 and np.isfinite(BODIES[name]).all()


def test_volumes():
    assert volume(BODIES["box"]) == pytest.approx(6)
    assert volume(BODIES["prism"]) == pytest.approx(8) and volume(BODIES["panel x"]) == pytest.approx(8)
    assert volume(parts.rod((0, 0, 0), (0, 0, 1), 0.1, sides=4)) == pytest.approx(0.04)
    assert volume(BODIES["ellipsoid"]) == pytest.approx(4 / 3 * np.pi, rel=0.1)
    assert volume(parts.turned([(1, 0), (1, 1)], 64)) == pytest.approx(np.pi, rel=0.01)


def test_sides_of_a_square_rod_look_along_the_axes():
    rod = parts.rod((0, 0, 0), (0, 0, 1), 0.1, sides=4)
    np.testing.assert_allclose(np.abs(rod[..., :2]).max(axis=(0, 1)), 0.1)


@settings(max_examples=60, deadline=None)
@given(number, number, number, st.floats(0, 1), st.sampled_from([2, 4, 6, 8]))
def test_a_cushion_fills_its_box(width, depth, height, roundness, cuts):
    body = parts.cushion((0, 0, 0), (width, depth, height), roundness, cuts=cuts)
    np.testing.assert_allclose(body.min(axis=(0, 1)), 0, atol=1e-9)
    np.testing.assert_allclose(body.max(axis=(0, 1)), (width, depth, height), rtol=1e-9)
    assert 0.3 < volume(body) / (width * depth * height) < 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.2, 1.0), min_size=3, max_size=12))
def test_any_star_is_filled(radii):
    angle = 2 * np.pi * np.arange(len(radii)) / len(radii)
    outline = np.array(radii)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    area = 0.5 * np.abs((outline[:, 0] * np.roll(outline[:, 1], -1) - outline[:, 1] * np.roll(outline[:, 0], -1)).sum())
    body = parts.prism(outline, 0, 1)
    assert volume(body) == pytest.approx(area, rel=1e-6)
    assert_closed(body)
