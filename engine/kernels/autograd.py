# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs of forward and backward for torch's autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from . import volume


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, density, color, t, dt, starts):
        ctx.save_for_backward(density, color, t, dt, starts)
        *made, used = volume.forward(density, color, t, dt, starts)
        ctx.mark_non_differentiable(used)
        return *made, used

    @staticmethod
    def backward(ctx, v_color, v_depth, v_alpha, _):
        return *volume.backward(*ctx.saved_tensors, v_color, v_depth, v_alpha), None, None, None


def composite(density: Tensor, color: Tensor, t: Tensor, dt: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`engine.kernels.volume.forward`, differentiable by density and color."""
    return _Composite.apply(density, color, t, dt, starts)
