# SPDX-License-Identifier: GPL-3.0-or-later
"""Fusion against the reference, on random and on degenerate pictures."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels import fusion
from engine.kernels.fusion import cpu, reference


def scene(seed, views=5, width=24, height=18):
    rng = np.random.default_rng(seed)
    f = np.float32
    turns = np.linalg.qr(rng.normal(size=(views, 3, 3)))[0]
    turns *= np.sign(np.linalg.det(turns))[:, None, None]
    shifts = np.c_[rng.normal(0, 0.1, (views, 2)), rng.uniform(1, 2, views)]
    lenses = np.tile([20.0, 21, 12.3, 8.8], (views, 1))
    depths = rng.uniform(1.2, 1.5, (views, height, width)) + 0.3 * (rng.random((views, height, width)) < 0.1)
    depths[rng.random(depths.shape) < 0.1] = cpu.EMPTY
    depths[rng.random(depths.shape) < 0.1] = cpu.UNKNOWN
    slants = rng.uniform(0.1, 1, depths.shape) * (rng.random(depths.shape) < 0.9)
    parts = (turns, shifts - turns @ np.full(3, 0.4), lenses, rng.uniform(0.5, 1, views), depths, slants)
    return tuple(np.ascontiguousarray(part, f) for part in parts)


def fused(blocks, size, reach, parts):
    distances, weights = (np.full((len(blocks), cpu.VOXELS), 7, np.float32) for _ in range(2))
    fusion.fuse(np.asarray(blocks, np.int32), size, reach, *parts, distances, weights)
    return distances, weights


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_reference(seed):
    parts = scene(seed)
    blocks = np.argwhere(np.ones((2, 2, 2)))
    distances, weights = fused(blocks, 0.05, 0.2, parts)
    others = reference.fuse(torch.from_numpy(blocks), 0.05, 0.2, *(torch.from_numpy(part).double() for part in parts))
    # A place on the edge between two pixels may fall to either side.
    same = np.isclose(distances, others[0].numpy(), atol=1e-4) & np.isclose(weights, others[1].numpy(), atol=1e-4)
    assert same.mean() > 0.998 and (weights > 0).any() and (weights <= 0).any()


def test_a_plane_is_found_where_it_is():
    f = np.float32
    depths, slants = np.full((1, 40, 40), 2, f), np.ones((1, 40, 40), f)
    parts = (np.eye(3, dtype=f)[None], np.zeros((1, 3), f), np.array([[40, 40, 20, 20]], f), np.ones(1, f), depths, slants)
    distances, _ = fused([[0, 0, 4]], 0.05, 0.2, parts)
    heights = (32 + np.arange(8)) * 0.05
    found = distances.reshape(8, 8, 8)[0, 0]
    near = np.abs(heights - 2) < 0.19
    np.testing.assert_allclose(found[near], (2 - heights[near]) / 0.2, atol=1e-5)
    assert (found[heights < 1.79] == 1).all()
    far, weight = fused([[0, 0, 6], [0, 0, -1]], 0.05, 0.2, parts)
    assert (far == 0).all() and (weight[0] == -1).all() and (weight[1] == 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-60, 60))
def test_the_unit_of_lengths_does_not_matter(seed, exponent):
    """Powers of two round nothing, so that all comes out alike to the last bit. Some cameras stand in the middle of the blocks."""
    turns, shifts, lenses, strengths, depths, slants = scene(seed)
    shifts[::2, 2] -= np.float32(1.4)
    blocks, unit = np.argwhere(np.ones((2, 2, 2))), np.float32(2.0**exponent)
    scaled = np.where(depths > 0, depths * unit, depths)
    expected = fused(blocks, 0.05, 0.2, (turns, shifts, lenses, strengths, depths, slants))
    found = fused(blocks, 0.05 * unit, 0.2 * unit, (turns, shifts * unit, lenses, strengths, scaled, slants))
    assert (expected[1] > 0).any()
    np.testing.assert_array_equal(found, expected)


def test_nothing_known_is_no_weight():
    parts = list(scene(0))
    for number, value in ((4, cpu.UNKNOWN), (4, np.nan), (5, 0.0), (5, np.nan)):
        changed = list(parts)
        changed[number] = np.full_like(parts[number], value)
        if number == 5:
            changed[4] = np.abs(parts[4]) + 0.1
        distances, weights = fused([[0, 0, 0], [-3, 5, 1]], 0.05, 0.2, changed)
        assert (weights <= 0).all() and (distances == 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(range(6)), st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9, 1e-40]))
def test_numbers_of_any_kind_read_nothing_outside_the_pictures(seed, number, value):
    """Of what is read from there distances are made, which lie between -1 and 1."""
    rng = np.random.default_rng(seed)
    parts = scene(seed)
    parts[number][rng.random(parts[number].shape) < 0.2] = value
    blocks = [[0, 0, 0], [1, 0, 1], [-(2**31), 2**31 - 1, 0], [2**30, -5, 3]]
    with np.errstate(all="ignore"):
        distances, weights = fused(blocks, 0.05, 0.2, parts)
    known = np.isfinite(distances) & (weights > 0) & np.isfinite(weights)
    assert (np.abs(distances[known]) <= 1 + 1e-5).all()


def test_arrays_that_do_not_fit_are_refused():
    parts = scene(0)
    distances, weights = (np.zeros((1, cpu.VOXELS), np.float32) for _ in range(2))
    blocks = np.zeros((1, 3), np.int32)
    for number in range(6):
        changed = list(parts)
        changed[number] = parts[number][:-1]
        with pytest.raises(ValueError, match="has to be"):
            fusion.fuse(blocks, 0.05, 0.2, *changed, distances, weights)
    with pytest.raises(ValueError, match="weights"):
        fusion.fuse(blocks, 0.05, 0.2, *parts, distances, weights[:, 1:])
    with pytest.raises(ValueError, match="distances"):
        fusion.fuse(np.zeros((2, 3), np.int32), 0.05, 0.2, *parts, distances, weights)
