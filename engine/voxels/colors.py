# SPDX-License-Identifier: GPL-3.0-or-later
"""The colors of an object in a picture, by height."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def color_bands(picture: np.ndarray) -> np.ndarray:
    """The mean colors [B, 3] uint8 of an object from top to bottom.

    Args:
        picture: [H, W, 4] uint8, the object cut out.
    """
    weight = picture[..., 3].astype(float)
    rows = np.flatnonzero(weight.sum(axis=1) > 0)
    rows = slice(rows[0], rows[-1] + 1)
    sums = ndimage.uniform_filter1d((picture[..., :3] * weight[..., None]).sum(axis=1)[rows], 5, axis=0)
    weights = ndimage.uniform_filter1d(weight.sum(axis=1)[rows], 5)
    return np.rint(np.clip(sums / np.maximum(weights, 1e-6)[:, None], 0, 255)).astype(np.uint8)
