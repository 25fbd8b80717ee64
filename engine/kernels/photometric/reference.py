# SPDX-License-Identifier: GPL-3.0-or-later
"""L1 and SSIM in plain torch: the definition that the fast kernel is checked against, and the score."""

from __future__ import annotations

import torch
from torch import Tensor


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), 11×11 window, sigma 1.5, zeros outside.

    Args:
        a, b: [3, H, W], 0 to 1.

    Returns:
        [3, H, W], 1 where they are the same.
    """
    x = torch.arange(11, dtype=a.dtype, device=a.device) - 5
    window = torch.exp(-(x**2) / (2 * 1.5**2))
    window = window / window.sum()

    def blur(image: Tensor) -> Tensor:
        image = torch.nn.functional.conv2d(image[:, None], window[None, None, :, None], padding=(5, 0))
        return torch.nn.functional.conv2d(image, window[None, None, None, :], padding=(0, 5))[:, 0]

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))


def photometric(display: Tensor, target: Tensor, weight: float) -> Tensor:
    """(1 - weight) L1 + weight (1 - SSIM) of two [3, H, W] pictures."""
    return (1 - weight) * (display - target).abs().mean() + weight * (1 - ssim(display, target).mean())


def srgb_encode(linear: Tensor) -> Tensor:
    """Scene-linear to sRGB code values (IEC 61966-2-1); negative light counts as none, above 1 the curve goes on."""
    linear = linear.clamp_min(0)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def srgb_decode(code: Tensor) -> Tensor:
    """sRGB code values to scene-linear."""
    return torch.where(code <= 0.04045, code / 12.92, ((code.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
