# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields in INT8, and what accelerations bring them on this machine."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..acceleration import NAMES, UNUSABLE, lacking, quantised, unusable, with_ipex
from .cost import measured_rate, multiply_adds
from .nerf import NerfField

# Samples that a quantised network takes at a time: compiled code of torch 2.8 knows one number only. Small, so that few are wasted.
_ROWS = 2048
# So many times as many samples tell its ranges.
_CALIBRATED = 32
# Samples that are looked through at once while measuring; about as many as renderers take.
_MEASURED = 16_384


class Quantised(nn.Module):
    """A trained network for pictures only, its products in INT8. The first layer, which sees the encoding, and the last ones, which give
    density and colour, stay float32. The network that it is made of stays as it is.

    Args:
        network: has ``PRECISE``, the names of the layers that stay.
        positions, directions: [S, 3], samples as the network will see them; they tell the ranges.
    """

    def __init__(self, network: nn.Module, positions: Tensor, directions: Tensor):
        super().__init__()
        chosen = torch.randperm(max(len(positions), _ROWS), generator=torch.Generator().manual_seed(0)) % len(positions)
        parts = [(positions[some], directions[some]) for some in chosen.split(_ROWS)[:_CALIBRATED] if len(some) == _ROWS]
        self._compiled = quantised(network, parts, network.PRECISE)

    def forward(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`engine.fields.nerf.NerfField.forward`; without gradients."""
        count = positions[..., 0].numel()
        given = (pad(one.reshape(-1, 3), (0, 0, 0, -count % _ROWS)).split(_ROWS) for one in (positions, directions))
        with torch.no_grad():
            parts = [self._compiled(*part) for part in zip(*given, strict=True)]
        raw, colors = (torch.cat(part)[:count] for part in zip(*parts, strict=True))
        return raw.view(positions.shape[:-1]), colors.view(positions.shape)


def measure(device: str, names: Sequence[str] = NAMES, bfloat16: bool = False) -> tuple[dict[str, float], dict[str, str]]:
    """Multiply-adds a second of the published network by those of the accelerations that can be used here, in one run.

    A second for float32 and bfloat16; half a minute where INT8 is compiled.

    Args:
        device: where. names: some of NAMES. bfloat16: whether IPEX takes it.

    Returns:
        The rates by name, and why others of the names have none.
    """
    network = NerfField().to(device).eval()
    per_sample = multiply_adds(network)
    places = (2 * torch.rand((_MEASURED, 3), generator=torch.Generator().manual_seed(0), device="cpu") - 1).to(device)
    rates: dict[str, float] = {}
    missing: dict[str, str] = {}
    for name in (name for name in NAMES if name in names):
        looked, reason = network, lacking(name, device)
        try:
            if name == "int8" and not reason:
                looked = Quantised(network, places, places)
            elif name == "ipex" and not reason:
                looked = copy.deepcopy(network)
                with_ipex(looked, torch.optim.Adam(looked.parameters()), bfloat16)
        except UNUSABLE as error:
            reason = unusable(name, error)
        if reason:
            missing[name] = reason
            continue
        narrow = name == "bfloat16" or (name == "ipex" and bfloat16)

        def look(*given: Tensor, looked: nn.Module = looked, narrow: bool = narrow) -> object:
            with torch.autocast(device, dtype=torch.bfloat16, enabled=narrow):
                return looked(*given)

        rates[name] = measured_rate(look, per_sample, _MEASURED, device)
    return rates, missing
