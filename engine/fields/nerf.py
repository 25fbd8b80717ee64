# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of NeRF (Mildenhall et al. 2020): a place and a direction in, density and color out."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from .encoding import encode, encoded_size


class NerfField(nn.Module):
    """The published network: ``depth`` layers of ``width``, the place joining once more after the fifth; density from the last; color
    from its features and the direction, through one layer of half the width.

    Args:
        width, depth: of the layers before density.
        position_octaves, direction_octaves: of the positional encoding.
    """

    SKIP = 4
    # Layers that stay as they are where the others are quantized.
    PRECISE = ("layers.0", "density", "color")

    def __init__(self, width: int = 256, depth: int = 8, position_octaves: int = 10, direction_octaves: int = 4):
        super().__init__()
        self.position_octaves, self.direction_octaves = position_octaves, direction_octaves
        place, direction = encoded_size(position_octaves), encoded_size(direction_octaves)
        sizes = [place] + [width + place if index == self.SKIP else width for index in range(depth - 1)]
        self.layers = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.density = nn.Linear(width, 1)
        self.features = nn.Linear(width, width)
        self.view = nn.Linear(width + direction, width // 2)
        self.color = nn.Linear(width // 2, 3)

    def forward(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Looks places up.

        Args:
            positions: [..., 3], the scene about -1 to 1. directions: [..., 3] unit, of the rays.

        Returns:
            Raw densities [...], of which what is below 0 means empty, per unit of length; colors [..., 3], 0 to 1.
        """
        hidden, place = self._trunk(positions)
        features = self.features(hidden)
        view = relu(self.view(torch.cat([features, encode(directions, self.direction_octaves).to(features.dtype)], dim=-1)))
        return self.density(hidden)[..., 0], torch.sigmoid(self.color(view))

    def raw_density(self, positions: Tensor) -> Tensor:
        """The raw densities alone, [...]."""
        return self.density(self._trunk(positions)[0])[..., 0]

    def _trunk(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        place = encode(positions, self.position_octaves)
        hidden = place
        for index, layer in enumerate(self.layers):
            hidden = relu(layer(hidden))
            if index == self.SKIP and index + 1 < len(self.layers):
                hidden = torch.cat([place.to(hidden.dtype), hidden], dim=-1)
        return hidden, place


class SimpleField(nn.Module):
    """The smallest network that still is a NeRF, to read and to start from: two stacks of four layers, the place given to both, density
    as one more output of the second, and a color that sees the direction. Arguments and results as in :class:`NerfField`.
    """

    PRECISE = ("first.0", "second.6", "color.2")

    def __init__(self, width: int = 256, position_octaves: int = 10, direction_octaves: int = 4):
        super().__init__()
        self.position_octaves, self.direction_octaves = position_octaves, direction_octaves
        place, direction = encoded_size(position_octaves), encoded_size(direction_octaves)

        def stack(size: int) -> list[nn.Module]:
            sizes = (size, width, width, width)
            return [module for size in sizes for module in (nn.Linear(size, width), nn.ReLU())]

        self.first = nn.Sequential(*stack(place))
        # The last one's output is not cut at 0: one of its numbers is the density.
        self.second = nn.Sequential(*stack(width + place)[:-2], nn.Linear(width, width + 1))
        self.color = nn.Sequential(nn.Linear(width + direction, width // 2), nn.ReLU(), nn.Linear(width // 2, 3), nn.Sigmoid())

    def forward(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`NerfField.forward`."""
        both = self._stacks(positions)
        view = encode(directions, self.direction_octaves).to(both.dtype)
        return both[..., -1], self.color(torch.cat([both[..., :-1], view], dim=-1))

    def raw_density(self, positions: Tensor) -> Tensor:
        """See :meth:`NerfField.raw_density`."""
        return self._stacks(positions)[..., -1]

    def _stacks(self, positions: Tensor) -> Tensor:
        place = encode(positions, self.position_octaves)
        hidden = self.first(place)
        return self.second(torch.cat([hidden, place.to(hidden.dtype)], dim=-1))


def initialize(field: nn.Module, rng: np.random.Generator) -> None:
    """Draws the weights as the published code does (Glorot and Bengio 2010), biases 0. The field is on the processor.

    torch's own way leaves deep networks nearly constant at first, so that for half of all seeds the density is below 0 everywhere, and
    nothing is ever learnt.
    """
    with torch.no_grad():
        for layer in field.modules():
            if isinstance(layer, nn.Linear):
                bound = math.sqrt(6 / (layer.in_features + layer.out_features))
                layer.weight.copy_(torch.from_numpy(rng.uniform(-bound, bound, layer.weight.shape)))
                layer.bias.zero_()
