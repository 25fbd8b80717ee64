# SPDX-License-Identifier: GPL-3.0-or-later
"""Clouds that several tests measure."""

import numpy as np
import pytest


@pytest.fixture
def chair():
    """Makes the points of a chair."""

    def chair(count, rng):
        """A seat on four thin legs and a back, standing on height 0, 0.5 × 0.5 × 0.9 m."""
        seat = rng.uniform([-0.25, -0.25, 0.4], [0.25, 0.25, 0.45], (count, 3))
        back = rng.uniform([-0.25, 0.22, 0.45], [0.25, 0.25, 0.9], (count, 3))
        legs = rng.uniform([-0.02, -0.02, 0.0], [0.02, 0.02, 0.4], (count // 4, 3))
        legs[:, :2] += rng.choice([-0.23, 0.23], (len(legs), 2))
        return np.concatenate([seat, back, legs])

    return chair
