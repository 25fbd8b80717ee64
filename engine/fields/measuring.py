# SPDX-License-Identifier: GPL-3.0-or-later
"""What accelerations bring fields on this machine."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..precision import NAMES, UNUSABLE, lacking, unusable, with_ipex
from .cost import measured_rate, multiply_adds
from .nerf import NerfField
from .quantized import Quantized

# Samples that are looked through at once while measuring; about as many as renderers take.
_MEASURED = 16_384


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
                looked = Quantized(network, places, places)
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
