# SPDX-License-Identifier: GPL-3.0-or-later
"""The sRGB transfer function (IEC 61966-2-1), extended below 0 by its linear segment and above 1 by its power segment."""

from __future__ import annotations

import numpy as np


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    """Decodes sRGB values to scene-linear ones, any shape, float64; 1 is white in both."""
    values = np.asarray(values, np.float64)
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
    """Encodes scene-linear values as sRGB, any shape, float64; the inverse of :func:`srgb_to_linear`."""
    values = np.asarray(values, np.float64)
    threshold = 0.04045 / 12.92
    return np.where(values <= threshold, values * 12.92, 1.055 * np.maximum(values, threshold) ** (1 / 2.4) - 0.055)
