# SPDX-License-Identifier: GPL-3.0-or-later
"""Instant-ngp's field (hash grid and two small networks) along rays: rendering, and loss with gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import volume
from ..hashgrid import Layout
from ..hashgrid import reference as hashing
from ..marching import Samples, Walk, march
from ..marching import check as check_rays
from ..project.reference import sh_basis
from . import reference
from .reference import shapes

# Samples that are marched for one that is expected to count, at most, where all of them are computed.
_MOST_MARCHED = 8


def density(positions: Tensor, table: Tensor, weights: Tensor, layout: Layout, half: float) -> Tensor:
    """Density at places of the field's space.

    Args:
        positions: [P, 3] float32 in [-half, half]. table: [layout.rows, layout.features].
        weights: flat, matrices of :func:`shapes` one after the other.

    Returns:
        [P] float32, of the inverse unit of the positions.
    """
    if positions.device.type != "cpu":
        return reference.density(positions, table, weights, layout, half)[0]
    from . import cpu

    _check(table, weights, layout)
    arrays = (part.contiguous().numpy() for part in (positions, table.view(-1), weights))
    places, flat, packed = arrays
    return torch.from_numpy(cpu.density(places, flat, layout.table, layout.like, packed, 0.5 / half))


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
    parts = (samples.starts, samples.t, samples.dt, samples.positions)
    volume.check_starts(samples.starts, min(len(part) for part in parts[1:]))
    if len(directions) != len(samples.starts) - 1:
        raise ValueError(f"There are {len(directions)} directions for {len(samples.starts) - 1} rays.")
    return *(part.contiguous().numpy() for part in parts), *_field(directions, table, weights, layout, half)


def _field(directions: Tensor, table: Tensor, weights: Tensor, layout: Layout, half: float) -> tuple:
    _check(table, weights, layout)
    harmonics = sh_basis(3, directions).contiguous().numpy()
    return harmonics, table.view(-1).numpy(), layout.table, layout.like, weights.numpy(), 0.5 / half


def _check(table: Tensor, weights: Tensor, layout: Layout) -> None:
    layout.check(table)
    count = sum(rows * columns for rows, columns in shapes(layout.width))
    if weights.numel() != count:
        raise ValueError(f"There are {weights.numel()} weights, and the networks have {count}.")


class Learner:
    """Loss and gradients of batches of rays, and the steps of the hash grid that follow from them; keeps its buffers.

    On the processor, of a ray's samples whose weight is below ``faint`` every fourth is learnt from, four times as much; which is the first
    is chance. Most samples lie before surfaces, where their gradients are small and their cost is not. ``narrow`` has the networks compute
    with bfloat16, for processors with amx. ``distortion`` is what a ray's distortion, see reference, counts in the loss, times the variance
    of what the rays should show: in the dark or before a plain wall errors of colours are small as well.
    """

    def __init__(self, faint: float = 0.0, narrow: bool = False, distortion: float = 0.0) -> None:
        self.faint, self.narrow, self.distortion = faint, narrow, distortion
        self._places, self._v_features = np.empty((0, 3), np.float32), np.empty((0, 0), np.float32)
        self._segments, self._layout = np.zeros((0, 2), np.int64), None
        self._gradients: Tensor | None = None
        # Samples that the last loss was of.
        self.seen = 0

    def __call__(
        self,
        walk: Walk,
        table: Tensor,
        weights: Tensor,
        layout: Layout,
        half: float,
        target: Tensor,
        background: Tensor,
        linear: bool,
        expected: int,
        seed: int = 0,
    ) -> tuple[float, Tensor, int]:
        """Compares rays with what they should show.

        Args:
            walk: the rays, with unit directions. table … half: as for :func:`render`. target: [R, 3] displayed codes.
            background: [R, 3] in the light of blending. linear: whether that light is linear.
            expected: samples that they will probably have; from about twice as many on, rays are left out. seed: of the chance.

        Returns:
            The loss, the cotangents of the weights, and how many samples were learnt from.
        """
        self._layout = layout
        distortion = self.distortion * target.var(dim=0, correction=0).mean().item()
        if self._gradients is None:
            self._gradients = torch.zeros_like(table)
        if table.device.type != "cpu":
            samples = march(**vars(walk))
            # All of them are computed, those behind surfaces too.
            rays = max(1, int(torch.searchsorted(samples.starts, _MOST_MARCHED * expected, right=True)) - 1)
            samples, target, background = samples.first(rays), target[:rays], background[:rays]
            with torch.enable_grad():
                leaves = (table.detach().requires_grad_(), weights.detach().requires_grad_())
                made = reference.shade(samples.rays, samples.positions, walk.directions[:rays], *leaves, layout, half)
                color, _, alpha, used = volume.reference.composite(*made, samples.t, samples.dt, samples.starts)
                loss = reference.huber(color, alpha, target, background, linear)
                loss = loss + distortion * reference.distortion(made[0], samples)
                self._gradients, v_weights = torch.autograd.grad(loss, leaves)
            self.seen = int(used.sum())
            return loss.item(), v_weights, self.seen
        from . import cpu

        check_rays(walk.origins, walk.directions, walk.bits, walk.begin, walk.jitter)
        if not (target.shape == background.shape == walk.origins.shape):
            raise ValueError(f"There are {len(target)} targets and {len(background)} backgrounds for {len(walk.origins)} rays.")
        needed = cpu.SLOTS * cpu.room(walk.most, expected // cpu.SLOTS)
        if len(self._places) < needed or self._v_features.shape[1] != layout.width:
            self._places, self._v_features = np.empty((needed, 3), np.float32), np.empty((needed, layout.width), np.float32)
        way = (part.contiguous().numpy() if isinstance(part, Tensor) else part for part in vars(walk).values())
        given = _field(walk.directions, table, weights, layout, half)
        chosen = (linear, distortion, self.faint, seed, self.narrow)
        wanted = (target.contiguous().numpy(), background.contiguous().numpy())
        room = (self._places[:needed], self._v_features[:needed])
        loss, v_weights, self._segments, self.seen = cpu.learn(*way, *given, *wanted, *chosen, *room)
        return loss, torch.from_numpy(v_weights), int((self._segments[:, 1] - self._segments[:, 0]).sum())

    def step(self, table: Tensor, first: Tensor, second: Tensor, rate: float, time: int) -> None:
        """A step of Adam after a call, on those rows of the table that a sample touched; others are left as they are, moments too.

        Args:
            table, first, second: parameters and moments, changed. rate: learning rate. time: counts from 1.
        """
        rate, correction2 = rate / (1 - hashing.BETA1**time), 1 / (1 - hashing.BETA2**time)
        if table.device.type != "cpu":
            gradient = self._gradients
            touched = gradient != 0
            one = torch.where(touched, first.lerp(gradient, 1 - hashing.BETA1), first)
            two = torch.where(touched, second.lerp(gradient * gradient, 1 - hashing.BETA2), second)
            table.sub_(touched * rate * one / ((two * correction2).sqrt() + hashing.EPSILON))
            first.copy_(one)
            second.copy_(two)
            return
        from ..hashgrid import cpu

        layout = self._layout
        given = (self._places, self._v_features, self._segments, layout.table, layout.like)
        arrays = (part.view(-1).numpy() for part in (table, first, second, self._gradients))
        cpu.backward_and_step(*given, *arrays, rate, correction2, torch.get_num_threads())


__all__ = ["Learner", "density", "reference", "render", "shapes"]
