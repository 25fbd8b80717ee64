# SPDX-License-Identifier: GPL-3.0-or-later
"""Pooling and the rectifier after it, for networks that learn.

torch 2.13 writes an index of 8 bytes for each value that pooling gives, and spreads gradients over memory that it has filled with zeros
before; here the index and the sign are one byte, and each gradient is written once. Compiled where it is first used: few people train.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import reference as reference


def forward(x: Tensor, leak: float) -> tuple[Tensor, Tensor]:
    """See :func:`reference.pool`, which it equals to the last bit.

    Args:
        x: [N, C, H, W] float32 or bfloat16, on the processor.

    Returns:
        What is pooled, its channels side by side in memory, and for :func:`backward` from where, uint8 [N, H // 2 + 1, W // 2 + 1, C].
    """
    from . import cpu

    count, channels, high, wide = x.shape
    if not (high and wide):
        raise ValueError("Pictures need at least one pixel.")
    made = torch.empty((count, channels, high // 2 + 1, wide // 2 + 1), dtype=x.dtype, memory_format=torch.channels_last)
    places = torch.empty((count, *made.shape[2:], channels), dtype=torch.uint8)
    cpu.forward(_bits(x), leak, _bits(made), places.numpy())
    return made, places


def backward(v_made: Tensor, places: Tensor, leak: float, high: int, wide: int) -> Tensor:
    """The cotangent of pictures [N, C, high, wide] from that of what was pooled and the ``places`` of :func:`forward`."""
    from . import cpu

    count, channels = v_made.shape[:2]
    pooled = (high // 2 + 1, wide // 2 + 1)
    if v_made.shape[2:] != pooled or places.shape != (count, *pooled, channels):
        raise ValueError(f"Cotangents {tuple(v_made.shape)} are not of pictures of {high} by {wide} pixels.")
    v_x = torch.empty((count, channels, high, wide), dtype=v_made.dtype, memory_format=torch.channels_last)
    cpu.backward(_bits(v_made), places.numpy(), leak, _bits(v_x))
    return v_x


def _bits(x: Tensor):
    """[N, C, H, W] as an array [N, H, W, C] of unsigned numbers: NumPy has no bfloat16."""
    whole = torch.uint16 if x.dtype == torch.bfloat16 else torch.uint32
    return x.detach().permute(0, 2, 3, 1).contiguous().view(whole).numpy()
