# SPDX-License-Identifier: GPL-3.0-or-later
"""Learning rates of Adam, one for each number of a gaussian."""

from __future__ import annotations

import numpy as np

from ..contract.settings import SplatSettings


def rates(settings: SplatSettings, radius: float, progress: float, rows: int) -> np.ndarray:
    """Learning rates at a share of the run.

    Args:
        settings: the rates at the start. radius: of the scene, world units. progress: 0 to 1. rows: of the gaussians' table.

    Returns:
        [rows] float32, in the table's order.
    """
    means = settings.means_rate * radius * 0.01**progress
    first = [means] * 3 + [settings.scales_rate] * 3 + [settings.quats_rate] * 4 + [settings.opacities_rate] + [settings.sh_rate] * 3
    return np.array(first + [settings.sh_rate / 20] * (rows - len(first)), np.float32)
