# SPDX-License-Identifier: GPL-3.0-or-later
"""Surfaces of voxels: closed whatever the voxels are, without inner faces, as large as asked for."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.contract.errors import UserError
from engine.formats.voxel_surface import colors_by_height, standing, surface_of


def volume(surface):
    corners = surface.vertices[surface.triangles]
    return np.einsum("mi,mi->m", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6


def assert_closed(surface):
    """Every edge has two faces, which run along it in opposite ways; no vertex is left over."""
    sides = np.concatenate([surface.triangles[:, [first, (first + 1) % 3]] for first in range(3)])
    there, back = (sides[:, order] @ [len(surface.vertices), 1] for order in ([0, 1], [1, 0]))
    assert len(np.unique(there)) == len(there)
    np.testing.assert_array_equal(np.sort(there), np.sort(back))
    np.testing.assert_array_equal(np.unique(surface.triangles), np.arange(len(surface.vertices)))


LEVELS = st.sampled_from([0.0, 0.25, 0.5, 1.0])
CUBES = st.integers(1, 5).flatmap(lambda side: arrays.arrays(np.float32, (side, side, side), elements=LEVELS))


@given(CUBES, st.sampled_from([0.05, 0.4, 0.95]), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=150, deadline=None)
def test_every_edge_has_two_faces(probabilities, threshold, smoothness):
    surface = surface_of(probabilities, threshold, smoothness)
    assert np.isfinite(surface.vertices).all()
    if not (probabilities >= np.float32(threshold)).any():
        assert not len(surface.triangles)
        return
    assert_closed(surface)
    assert surface.vertices.min() >= -2 and surface.vertices.max() <= len(probabilities) + 2


@pytest.mark.parametrize("seed", range(3))
def test_blocks_are_just_the_cells_without_inner_faces(seed):
    full = np.random.default_rng(seed).random((6, 6, 6)) < 0.5
    surface = surface_of(full, 0.5)
    assert volume(surface) == pytest.approx(full.sum())
    wide = np.pad(full, 1)
    outside = sum((wide ^ np.roll(wide, 1, axis)).sum() for axis in range(3))
    corners = surface.vertices[surface.triangles]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    assert areas.sum() == pytest.approx(outside)


def test_cells_that_touch_along_an_edge_stay_in_one_piece():
    full = np.zeros((3, 3, 3), bool)
    full[0, 0, 0] = full[1, 0, 1] = True
    surface = surface_of(full, 0.5)
    label = np.arange(len(surface.vertices))
    for _ in range(20):
        least = label[surface.triangles].min(axis=1)
        for corner in range(3):
            np.minimum.at(label, surface.triangles[:, corner], least)
    assert not label.any()


@pytest.mark.parametrize("smoothness", [0.0, 0.5, 1.0])
def test_the_volume_stays(smoothness):
    far = np.linalg.norm(np.stack(np.meshgrid(*[np.arange(32) - 15.5] * 3, indexing="ij"), -1), axis=-1)
    probabilities = 1 / (1 + np.exp(far - 10))
    surface = surface_of(probabilities, 0.4, smoothness)
    assert volume(surface) == pytest.approx((probabilities >= 0.4).sum(), rel=0.05)
    np.testing.assert_allclose(surface.vertices.mean(axis=0), 16, atol=0.05)
    thin = np.zeros((32, 32, 32), np.float32)
    thin[16, 16, :] = 1
    surface = surface_of(thin, 0.4, smoothness)
    assert np.ptp(surface.vertices[:, 2]) > 30 and volume(surface) > 28, "thin parts stay"


def test_smoothness_rounds():
    full = np.zeros((16, 16, 16), np.float32)
    full[3:13, 3:13, 3:13] = np.tri(10)[:, None, :]
    areas = []
    for smoothness in (0.0, 0.2, 0.5, 1.0):
        surface = surface_of(full, 0.5, smoothness)
        corners = surface.vertices[surface.triangles]
        areas.append(np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2)
    # A staircase has the area of its two sides, a slope that of the long side.
    assert areas == sorted(areas, reverse=True) and areas[-1] < 0.9 * areas[0]
    assert (surface.vertices[:, 2] == 3).sum() > 50, "what it stands on stays flat"


@pytest.mark.parametrize("dimension, axis", [("width", 0), ("depth", 1), ("height", 2), ("longest", 1)])
def test_what_stands_is_as_large_as_asked_for(dimension, axis):
    places = standing(np.array([(1, 2, 3), (4, 9, 5.0)]), dimension, 0.7)
    np.testing.assert_allclose(np.ptp(places, axis=0)[axis], 0.7)
    np.testing.assert_allclose([places[:, :2].mean(axis=0).max(), places[:, 2].min()], 0, atol=1e-12)
    assert not len(standing(np.zeros((0, 3)), dimension, 0.7))


def test_colours_go_by_height():
    bands = np.array([(255, 0, 0), (0, 0, 255)], np.uint8)
    np.testing.assert_array_equal(colors_by_height(np.array([9.0, 1.9, 1.1, -4]), 1, 2, bands), bands[[0, 0, 1, 1]])
    np.testing.assert_array_equal(colors_by_height(np.array([1.0]), 1, 1, bands[:1]), bands[:1])


def test_it_follows_a_slider():
    probabilities = np.random.default_rng(0).random((32, 32, 32), np.float32)
    probabilities[:, :, 20:] = 0
    begin = time.process_time()
    surface_of(probabilities, 0.5, 1.0)
    assert time.process_time() - begin < 1.0, "noise is the worst case; furniture has a tenth of its faces"


def test_noise_in_a_large_grid_is_refused_before_it_takes_memory():
    noise = np.random.default_rng(0).random((96, 96, 96)).astype(np.float32)
    with pytest.raises(UserError, match="threshold of 0.5"):
        surface_of(noise, 0.5)
    assert len(surface_of(noise, 0.999).triangles)
