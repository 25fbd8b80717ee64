# SPDX-License-Identifier: GPL-3.0-or-later
"""Learning rates of Adam, one for each number of a gaussian."""

from __future__ import annotations

import numpy as np

from ..contract.methods.splat import SplatSettings

# Share of the run from which all rates fall.
_FALL_FROM = 0.4


def rates(settings: SplatSettings, radius: float, progress: float, rows: int) -> np.ndarray:
    """Learning rates at a share of the run.

    Args:
        settings: the rates at the start. radius: of the scene, world units. progress: 0 to 1. rows: of the gaussians' table.

    Returns:
        [rows] float32, in the table's order.
    """
    means = settings.means_rate * radius * 0.01**progress
    others = [settings.scales_rate] * 3 + [settings.quats_rate] * 4 + [settings.opacities_rate] + [settings.sh_rate] * 3
    others += [settings.sh_rate / 20] * (rows - 3 - len(others))
    # Large steps find the shapes; the small ones at the end settle what those leave trembling.
    fall = settings.rates_fall ** max(0.0, (progress - _FALL_FROM) / (1 - _FALL_FROM))
    return np.array([means] * 3 + [rate * fall for rate in others], np.float32)
