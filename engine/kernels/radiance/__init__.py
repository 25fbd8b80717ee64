# SPDX-License-Identifier: GPL-3.0-or-later
"""Instant-ngp's field (hash grid and two small networks) along rays: rendering, and loss with gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..hashgrid import FEATURES, Layout
from ..marching import Samples
from ..project.reference import sh_basis
from . import reference
from .reference import shapes


def density(positions: Tensor, table: Tensor, weights: Tensor, layout: Layout, half: float) -> Tensor:
    """Density at places of the field's space.

    Args:
        positions: [P, 3] float32 in [-half, half]. table: [layout.rows, 2]. weights: flat, matrices of :func:`shapes` one after the other.

    Returns:
        [P] float32, of the inverse unit of the positions.
    """
    if positions.device.type != "cpu":
        return reference.density(positions, table, weights, layout, half)[0]
    from . import cpu

    arrays = (part.contiguous().numpy() for part in (positions, table.view(-1), weights))
    places, flat, packed = arrays
    return torch.from_numpy(cpu.density(places, flat, layout.table, packed, 0.5 / half))


def render(
    samples: Samples, directions: Tensor, table: Tensor, weights: Tensor, layout: Layout, half: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Looks along rays.

    Args:
        samples: of the rays. directions: [R, 3], unit. The others: see :func:`density`.

    Returns:
        As volume.forward: colour [R, 3] over nothing, depth [R], alpha [R], samples that count [R].
    """
    if directions.device.type != "cpu":
        return reference.render(samples, directions, table, weights, layout, half)
    from . import cpu

    made = cpu.render(*_given(samples, directions, table, weights, layout, half))
    return tuple(torch.from_numpy(part) for part in made)


def _given(samples: Samples, directions: Tensor, table: Tensor, weights: Tensor, layout: Layout, half: float) -> tuple:
    parts = (samples.starts, samples.t, samples.dt, samples.positions, sh_basis(3, directions), table.view(-1))
    return *(part.contiguous().numpy() for part in parts), layout.table, weights.numpy(), 0.5 / half


class Learner:
    """Loss and gradients of batches of rays; keeps its buffers."""

    def __init__(self) -> None:
        self._places, self._v_features = np.empty((0, 3), np.float32), np.empty((0, 0), np.float32)

    def __call__(
        self,
        samples: Samples,
        directions: Tensor,
        table: Tensor,
        weights: Tensor,
        layout: Layout,
        half: float,
        target: Tensor,
        background: Tensor,
        linear: bool,
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Compares rays with what they should show, on the processor.

        Args:
            samples … half: as for :func:`render`. target: [R, 3] displayed codes. background: [R, 3] in the light of blending.
            linear: whether that light is linear.

        Returns:
            The loss; cotangents of the weights; and for the samples that count, which lie in segments [G, 2] of what follows: their
            positions in [0, 1] [N, 3] and cotangents of their features [N, levels * FEATURES], overwritten by the next call.
        """
        from . import cpu

        width = layout.levels * FEATURES
        needed = len(samples) + cpu.SLOTS * 64 + 64
        if len(self._places) < needed or self._v_features.shape[1] != width:
            self._places, self._v_features = np.empty((needed * 5 // 4, 3), np.float32), np.empty((needed * 5 // 4, width), np.float32)
        given = _given(samples, directions, table, weights, layout, half)
        wanted = (target.contiguous().numpy(), background.contiguous().numpy(), linear)
        loss, v_weights, segments = cpu.learn(*given, *wanted, self._places, self._v_features)
        return loss, v_weights, segments, self._places, self._v_features


__all__ = ["Learner", "density", "reference", "render", "shapes"]
