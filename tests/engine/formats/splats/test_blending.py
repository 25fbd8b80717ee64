# SPDX-License-Identifier: GPL-3.0-or-later
"""Colors refitted between linear and sRGB compositing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.color import linear_to_srgb, srgb_to_linear
from engine.formats.splats.blending import to_blend
from engine.harmonics import SH_C0, harmonics

relaxed = settings(max_examples=30, deadline=None)


def colors_of(splats, directions):
    """What each gaussian shows toward some directions, [N, D, 3]."""
    return 0.5 + harmonics(splats.degree, directions) @ splats.sh.astype(np.float64)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["linear", "srgb"]))
@relaxed
def test_a_constant_color_is_exact_and_converts_back(random_splats, seed, blend):
    splats = random_splats(seed, 40, 0, blend=blend)
    other = {"linear": "srgb", "srgb": "linear"}[blend]
    converted = to_blend(splats, other)
    curve = srgb_to_linear if other == "linear" else linear_to_srgb
    np.testing.assert_allclose(0.5 + SH_C0 * converted.sh, curve(0.5 + SH_C0 * splats.sh.astype(np.float64)), atol=1e-5)
    assert converted.blend == other
    np.testing.assert_allclose(to_blend(converted, blend).sh, splats.sh, atol=1e-4)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
@relaxed
def test_colors_stay_the_same_toward_every_direction(random_splats, seed, degree):
    """To second order in the harmonics, which is what a trained splat varies by."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    splats = random_splats(seed, 30, degree, blend="linear")
    splats.sh[:, 0] = rng.uniform(-0.9, 1.7, (30, 3))
    splats.sh[:, 1:] *= 0.02
    shown = colors_of(to_blend(splats, "srgb"), directions)
    assert np.abs(shown - linear_to_srgb(np.maximum(colors_of(splats, directions), 0))).max() < 0.03


def test_the_same_color_space_changes_nothing(random_splats):
    splats = random_splats(0, 5, 2, blend="srgb")
    np.testing.assert_array_equal(to_blend(splats, "srgb").sh, splats.sh)
    unknown = to_blend(replace(splats, blend=None), "srgb")
    assert unknown.blend == "srgb"
    np.testing.assert_array_equal(unknown.sh, splats.sh)


@pytest.mark.parametrize("degree", [0, 3])
@pytest.mark.parametrize("count", [0, 1])
def test_few_and_extreme_splats_stay_finite(random_splats, count, degree):
    splats = random_splats(1, count, degree, blend="linear")
    splats.sh[:] = -1e6
    assert np.isfinite(to_blend(splats, "srgb").sh).all() and len(to_blend(splats, "srgb")) == count


def test_the_transfer_function_is_its_own_inverse_beyond_0_and_1():
    values = np.linspace(-1, 4, 2001)
    np.testing.assert_allclose(srgb_to_linear(linear_to_srgb(values)), values, atol=1e-12)
    # IEC 61966-2-1: mid-gray, and the knee.
    np.testing.assert_allclose(srgb_to_linear([0.5, 0.04045, 1.0]), [0.21404114, 0.0031308049, 1.0], atol=1e-8)
