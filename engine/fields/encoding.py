# SPDX-License-Identifier: GPL-3.0-or-later
"""Positional encoding (Mildenhall et al. 2020, equation 4)."""

from __future__ import annotations

import torch
from torch import Tensor


def encoded_size(frequencies: int) -> int:
    """How many numbers :func:`encode` makes of three."""
    return 3 + 6 * frequencies


def encode(values: Tensor, frequencies: int) -> Tensor:
    """The values themselves, then sine and cosine of them at each octave.

    The paper's formula has a factor of π and leaves the values out; its code, from which the published scores are, has it this way.

    Args:
        values: [..., 3], float32: half the digits of a narrower type would be gone at the highest octave.
        frequencies: octaves; the highest is 2^(frequencies - 1) radians a unit.

    Returns:
        [..., 3 + 6 * frequencies].
    """
    octaves = 2.0 ** torch.arange(frequencies, dtype=values.dtype, device=values.device)
    angles = values[..., None, :] * octaves[:, None]  # [..., frequencies, 3]
    waves = torch.stack([angles.sin(), angles.cos()], dim=-2)  # [..., frequencies, 2, 3]
    return torch.cat([values, waves.flatten(-3)], dim=-1)
