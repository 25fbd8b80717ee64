# SPDX-License-Identifier: GPL-3.0-or-later
"""The field of instant-ngp (Müller et al. 2022): a hash grid and two small networks, with their optimizer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..data.checkpoint_arrays import saved_array
from ..kernels import radiance
from ..kernels.hashgrid import Layout
from ..kernels.hashgrid.reference import BETA1, BETA2, EPSILON
from ..kernels.marching import Samples, Walk

# The averages follow the parameters by this a step; looked after once in so many steps, since they touch all memory.
_FOLLOW, _AVERAGE_EVERY = 0.95, 16


class NgpField:
    """Density and color in the cube [-half, half]^3.

    ``table``: [rows, features] float32. ``weights``: flat. Of them see kernels/radiance. Pictures are made of averages of both over the
    last steps.
    """

    def __init__(self, layout: Layout, half: float, rng: np.random.Generator, device: str = "cpu"):
        self.layout, self.half = layout, half
        self.table = torch.from_numpy(rng.uniform(-1e-4, 1e-4, (layout.rows, layout.features)).astype(np.float32)).to(device)
        parts = []
        for rows, columns in radiance.shapes(layout.width):
            # The first hidden layer of the color has two matrices, one for its directions and one for its geometry.
            inputs = 2 * rows if (rows, columns) == (16, 64) else rows
            reach = (6 / (inputs + columns)) ** 0.5
            parts.append(rng.uniform(-reach, reach, (rows, columns)))
        parts[-1][:, 3:] = 0
        self.weights = torch.from_numpy(np.concatenate([part.reshape(-1) for part in parts]).astype(np.float32)).to(device)
        self._moments = [torch.zeros_like(self.table), torch.zeros_like(self.table)]
        self._weight_moments = [torch.zeros_like(self.weights), torch.zeros_like(self.weights)]
        self.mean_table, self.mean_weights = self.table.clone(), self.weights.clone()

    def density(self, places: Tensor) -> Tensor:
        """Densities [P] at places [P, 3], as they are learnt now."""
        return radiance.density(places, self.table, self.weights, self.layout, self.half)

    def mean_density(self, places: Tensor) -> Tensor:
        """Densities [P] at places [P, 3], as pictures show them."""
        return radiance.density(places, self.mean_table, self.mean_weights, self.layout, self.half)

    def render(self, samples: Samples, directions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See kernels/radiance."""
        return radiance.render(samples, directions, self.mean_table, self.mean_weights, self.layout, self.half)

    def step(
        self,
        learner: radiance.Learner,
        walk: Walk,
        target: Tensor,
        background: Tensor,
        linear: bool,
        *,
        expected: int,
        rate: float,
        decay: float,
        time: int,
    ) -> tuple[float, int, int]:
        """A step of Adam on the loss of rays; rows of the table that no sample touched stay as they are.

        Args:
            learner: the same one in each step. walk … expected: see there. rate: learning rate. decay: of the networks' weights.
            time: counts from 1.

        Returns:
            The loss, of how many samples it is, and how many were learnt from.
        """
        given = (walk, self.table, self.weights, self.layout, self.half, target, background, linear, expected, time)
        loss, v_weights, used = learner(*given)
        learner.step(self.table, *self._moments, rate, time)
        gradient = v_weights + decay * self.weights
        one, two = self._weight_moments
        one.lerp_(gradient, 1 - BETA1)
        two.lerp_(gradient * gradient, 1 - BETA2)
        self.weights -= rate / (1 - BETA1**time) * one / ((two / (1 - BETA2**time)).sqrt() + EPSILON)
        if time % _AVERAGE_EVERY == 0:
            share = 1 - _FOLLOW**_AVERAGE_EVERY if time > _AVERAGE_EVERY else 1.0
            self.mean_table.lerp_(self.table, share)
            self.mean_weights.lerp_(self.weights, share)
        return loss, learner.seen, used

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps."""
        return {name: part.cpu().numpy() for name, part in self._parts().items()}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what :meth:`state` gave.

        Raises:
            UserError: an array is missing or does not fit.
        """
        held = {name: saved_array(arrays, name, part.shape) for name, part in self._parts().items()}
        for name, part in self._parts().items():
            part.copy_(torch.from_numpy(held[name]))

    def _parts(self) -> dict[str, Tensor]:
        return {
            "table": self.table,
            "weights": self.weights,
            "table_first": self._moments[0],
            "table_second": self._moments[1],
            "weights_first": self._weight_moments[0],
            "weights_second": self._weight_moments[1],
            "mean_table": self.mean_table,
            "mean_weights": self.mean_weights,
        }
