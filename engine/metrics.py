# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of rendered pictures: clamped sRGB float against the 8-bit truth."""

from __future__ import annotations

import numpy as np
import torch

from .kernels.photometric.reference import ssim as ssim_map


def psnr(display: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two [3, H, W] pictures, 0 to 1; 100 where they are the same."""
    error = float(np.mean((np.clip(np.nan_to_num(display), 0, 1).astype(np.float64) - truth) ** 2))
    return min(-10 * np.log10(error), 100.0) if error > 0 else 100.0


def ssim(display: np.ndarray, truth: np.ndarray) -> float:
    """Mean structural similarity of two [3, H, W] pictures, 0 to 1: 11×11 window, sigma 1.5."""
    return float(ssim_map(torch.from_numpy(np.clip(np.nan_to_num(display), 0, 1)), torch.from_numpy(np.asarray(truth, np.float32))).mean())
