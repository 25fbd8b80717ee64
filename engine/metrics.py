# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of rendered pictures: clamped sRGB float against the 8-bit truth."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d

_WINDOW = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
_WINDOW /= _WINDOW.sum()
_C1, _C2 = 0.01**2, 0.03**2


def psnr(display: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two [3, H, W] pictures, 0 to 1; 100 where they are the same."""
    error = float(np.mean((np.clip(np.nan_to_num(display), 0, 1).astype(np.float64) - truth) ** 2))
    return min(-10 * np.log10(error), 100.0) if error > 0 else 100.0


def ssim(display: np.ndarray, truth: np.ndarray) -> float:
    """Mean structural similarity of two [3, H, W] pictures, 0 to 1: 11×11 window, sigma 1.5.

    The definition is kernels/photometric/reference.py, whose convolutions take eight times as long, and half a gigabyte for a megapixel.
    """
    display, truth = np.clip(np.nan_to_num(display), 0, 1), np.asarray(truth, np.float32)
    return float(np.mean([_similarity(*channels) for channels in zip(display, truth, strict=True)]))


def _similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Mean SSIM of a channel, [H, W] each."""
    mean_a, mean_b = _blurred(a), _blurred(b)
    variances = _blurred(a * a) - mean_a**2 + _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    similarity /= (mean_a**2 + mean_b**2 + _C1) * (variances + _C2)
    return float(similarity.mean(dtype=np.float64))


def _blurred(image: np.ndarray) -> np.ndarray:
    """The window's means, with zeros around the picture."""
    return correlate1d(correlate1d(image, _WINDOW, axis=0, mode="constant"), _WINDOW, axis=1, mode="constant")
