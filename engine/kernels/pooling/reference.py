# SPDX-License-Identifier: GPL-3.0-or-later
"""Pooling and rectifying in plain torch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def pool(x: Tensor, leak: float) -> Tensor:
    """The largest of each 2×2 pixels, the first of them beyond the edge, times ``leak`` where it is not positive.

    Args:
        x: [N, C, H, W].

    Returns:
        [N, C, H // 2 + 1, W // 2 + 1].
    """
    return F.leaky_relu(F.max_pool2d(x, 2, padding=1), leak)
