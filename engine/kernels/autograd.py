# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs of forward and backward for torch's autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from . import pooling, volume


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


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, leak):
        made, places = pooling.forward(x, leak)
        ctx.save_for_backward(places)
        ctx.leak, ctx.size = leak, x.shape[2:]
        return made

    @staticmethod
    def backward(ctx, v_made):
        return pooling.backward(v_made, *ctx.saved_tensors, ctx.leak, *ctx.size), None


def pool(x: Tensor, leak: float) -> Tensor:
    """:func:`engine.kernels.pooling.reference.pool`, by its kernel where there is one."""
    known = x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)
    return _Pool.apply(x, leak) if known else pooling.reference.pool(x, leak)
