# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of rendered pictures."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import metrics
from engine.kernels.photometric import reference


def pictures(seed, height, width):
    rng = np.random.default_rng(seed)
    truth = np.rint(255 * rng.random((3, height, width))).astype(np.float32) / np.float32(255)
    return (truth + rng.normal(0, 0.3, truth.shape)).astype(np.float32), truth


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_ssim_is_that_of_the_reference(seed, height, width):
    display, truth = pictures(seed, height, width)
    expected = reference.ssim(torch.from_numpy(display.clip(0, 1)).double(), torch.from_numpy(truth).double()).mean()
    assert metrics.ssim(display, truth) == pytest.approx(float(expected), abs=2e-6)


def test_what_is_no_number_counts_as_black():
    display, truth = pictures(0, 30, 20)
    display[:, 3:9] = np.nan
    black = np.where(np.isnan(display), 0, display)
    assert metrics.ssim(display, truth) == metrics.ssim(black, truth) and metrics.psnr(display, truth) == metrics.psnr(black, truth)
    assert metrics.ssim(truth, truth) == pytest.approx(1, abs=1e-6) and metrics.psnr(truth, truth) == 100


def test_scores_cost_little_beside_the_picture():
    """Time budgets keep some for them: a view of twelve megapixels took fifteen seconds, and far more memory than its training."""
    display, truth = pictures(0, 500, 400)
    metrics.ssim(display, truth)
    begin = time.process_time()
    metrics.ssim(display, truth)
    metrics.psnr(display, truth)
    assert time.process_time() - begin < 1e-6 * 500 * 400
