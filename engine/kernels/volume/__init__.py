# SPDX-License-Identifier: GPL-3.0-or-later
"""Emission and absorption along rays (Max 1995, as in Mildenhall et al. 2020), on packed samples.

A sample's weight is w = T (1 - exp(-density dt)), T the transmittance of those before it. A ray ends where T falls below MIN_TRANSMITTANCE.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import reference


def forward(density: Tensor, color: Tensor, t: Tensor, dt: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Composites front to back, over nothing.

    Args:
        density: [S] float32, not negative, of the inverse unit of ``dt``. color: [S, 3]. t, dt: [S], see marching.Samples.
        starts: [R + 1] int64, see marching.Samples.

    Returns:
        color [R, 3], the sum of w color; depth [R], the sum of w t; alpha [R], the sum of w; and how many samples of each ray count [R].
    """
    if density.device.type != "cpu":
        return reference.composite(density, color, t, dt, starts)
    from . import cpu

    _check(density, color, t, dt, starts)
    made = cpu.forward(*_arrays(density, color, t, dt, starts))
    return tuple(torch.from_numpy(part) for part in made)


def backward(
    density: Tensor, color: Tensor, t: Tensor, dt: Tensor, starts: Tensor, v_color: Tensor, v_depth: Tensor, v_alpha: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`forward`.

    Args:
        density, color, t, dt, starts: as for forward. v_color: [R, 3], v_depth: [R], v_alpha: [R], cotangents.

    Returns:
        Cotangents of density [S] and color [S, 3].
    """
    if density.device.type != "cpu":
        with torch.enable_grad():
            leaves = (density.detach().requires_grad_(), color.detach().requires_grad_())
            made = reference.composite(*leaves, t, dt, starts)[:3]
            return torch.autograd.grad(made, leaves, (v_color, v_depth, v_alpha))
    from . import cpu

    _check(density, color, t, dt, starts)
    made = cpu.backward(*_arrays(density, color, t, dt, starts), *_arrays(v_color, v_depth, v_alpha))
    return tuple(torch.from_numpy(part) for part in made)


def _check(density: Tensor, color: Tensor, t: Tensor, dt: Tensor, starts: Tensor) -> None:
    count = len(density)
    if not (len(color) == len(t) == len(dt) == count):
        raise ValueError(f"{count} densities, {len(color)} colors, {len(t)} distances and {len(dt)} lengths are not of the same samples.")
    check_starts(starts, count)


def check_starts(starts: Tensor, count: int) -> None:
    """Raises ValueError unless ``starts`` [R + 1] divide ``count`` samples among rays."""
    if not (starts[0] >= 0 and starts[-1] <= count and (starts.diff() >= 0).all()):
        raise ValueError(f"The rays' starts do not divide {count} samples.")


def _arrays(*tensors: Tensor):
    return (tensor.detach().contiguous().numpy() for tensor in tensors)
