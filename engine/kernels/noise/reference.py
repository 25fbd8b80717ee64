# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise on places in plain torch: the definition that the fast kernel is checked against."""

from __future__ import annotations

import torch
from torch import Tensor

from ..project.reference import rotation_matrices

# How steeply the noise ends where a gaussian is opaque, and the opacity at which it is at half.
STEEPNESS, HALF_AT = 100.0, 0.005


def moves(log_scales: Tensor, quats: Tensor, opacity_logits: Tensor, normal: Tensor, strength: float) -> Tensor:
    """Covariance times noise (Kheradmand et al. 2024, equation 8). [N, 3], [N, 4], [N], [N, 3] -> [N, 3]."""
    axes = rotation_matrices(quats) * log_scales.exp()[:, None, :]
    covariance = axes @ axes.transpose(-1, -2)
    share = torch.sigmoid(-STEEPNESS * (opacity_logits.sigmoid() - HALF_AT))
    return (covariance @ normal[:, :, None])[:, :, 0] * share[:, None] * strength
