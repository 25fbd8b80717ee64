# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields in INT8."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..precision import quantized

# Samples that a quantized network takes at a time: compiled code of torch 2.8 knows one number only. Small, so that few are wasted.
_ROWS = 2048
# So many times as many samples tell its ranges.
_CALIBRATED = 32


class Quantized(nn.Module):
    """A trained network for pictures only, its products in INT8. The first layer, which sees the encoding, and the last ones, which give
    density and color, stay float32. The network that it is made of stays as it is.

    Args:
        network: has ``PRECISE``, the names of the layers that stay.
        positions, directions: [S, 3], samples as the network will see them; they tell the ranges.
    """

    def __init__(self, network: nn.Module, positions: Tensor, directions: Tensor):
        super().__init__()
        chosen = torch.randperm(max(len(positions), _ROWS), generator=torch.Generator().manual_seed(0)) % len(positions)
        parts = [(positions[some], directions[some]) for some in chosen.split(_ROWS)[:_CALIBRATED] if len(some) == _ROWS]
        self._compiled = quantized(network, parts, network.PRECISE)

    def forward(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`engine.fields.nerf.NerfField.forward`; without gradients."""
        count = positions[..., 0].numel()
        given = (pad(one.reshape(-1, 3), (0, 0, 0, -count % _ROWS)).split(_ROWS) for one in (positions, directions))
        with torch.no_grad():
            parts = [self._compiled(*part) for part in zip(*given, strict=True)]
        raw, colors = (torch.cat(part)[:count] for part in zip(*parts, strict=True))
        return raw.view(positions.shape[:-1]), colors.view(positions.shape)
