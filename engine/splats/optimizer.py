# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam over all parameters, each with a learning rate of its own."""

from __future__ import annotations

import numpy as np

from ..contract.settings import SplatSettings
from ..kernels.adam import cpu as adam
from .gaussians import Gaussians


def rates(settings: SplatSettings, radius: float, progress: float) -> dict[str, float]:
    """Learning rates at a share of the run.

    Args:
        settings: the rates at the start. radius: of the scene, world units. progress: 0 to 1.
    """
    return {
        "means": settings.means_rate * radius * 0.01**progress,
        "log_scales": settings.scales_rate,
        "quats": settings.quats_rate,
        "opacity_logits": settings.opacities_rate,
        "sh0": settings.sh_rate,
        "shn": settings.sh_rate / 20,
    }


def step(gaussians: Gaussians, gradients: dict[str, np.ndarray], visible: np.ndarray, rates: dict[str, float], time: int) -> None:
    """One step of Adam on every parameter; ``visible`` [N] tells whose gradients are meant, ``time`` counts from 1."""
    count = len(gaussians)
    for name in Gaussians.NAMES:
        if gaussians.values[name].size:
            tables = (gaussians.values[name], gradients[name], gaussians.first[name], gaussians.second[name])
            adam.step(*(table.reshape(count, -1) for table in tables), visible, rates[name], time)
