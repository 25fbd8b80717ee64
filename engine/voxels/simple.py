# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest network from pictures to voxels, to read first: two convolutions, three dense layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SimpleNetwork(nn.Module):
    """Several views count by the mean of their features: there is no memory of what was seen before."""

    def __init__(self, width: int = 256):
        super().__init__()
        self.near = nn.Conv2d(3, 16, 5, stride=3)
        self.far = nn.Conv2d(16, 32, 5, stride=3)
        self.view = nn.Linear(32 * 13 * 13, width)
        self.mix = nn.Linear(width, width)
        self.out = nn.Linear(width, 32**3)

    def forward(self, views: Tensor) -> Tensor:
        """As RecurrentNetwork.forward: [B, V, 3, 127, 127] codes to [B, 2, 32, 32, 32] logits of empty and full."""
        return self.build(self.features(views.flatten(0, 1) - 0.5).view(*views.shape[:2], -1))

    def features(self, pictures: Tensor) -> Tensor:
        """As RecurrentNetwork.features."""
        x = F.relu(self.near(pictures))  # [N, 16, 41, 41]
        x = F.relu(self.far(x))  # [N, 32, 13, 13]
        return F.relu(self.view(x.flatten(1)))

    def build(self, features: Tensor) -> Tensor:
        """As RecurrentNetwork.build."""
        x = F.relu(self.mix(features.mean(dim=1)))
        full = self.out(x).view(-1, 32, 32, 32)
        return torch.stack([torch.zeros_like(full), full], dim=1)
