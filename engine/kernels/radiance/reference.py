# SPDX-License-Identifier: GPL-3.0-or-later
"""Instant-ngp's field along rays in plain torch: the definition that the fast kernel is checked against.

Müller et al. 2022, section 5.4: a network of one hidden layer makes 16 numbers of the features, the first the logarithm of the density;
another, of two hidden layers, makes the colour of these and of 16 spherical harmonics of the direction. No biases.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import hashgrid, volume
from ..hashgrid import reference as hashing
from ..marching import Samples
from ..photometric.reference import srgb_encode
from ..project.reference import sh_basis

HIDDEN, GEOMETRY, DIRECTIONS = 64, 16, 16
# Outputs of the last matrix, of which three are colours: sixteen fill a vector.
RAW = 16
# A larger logarithm of a density makes no difference to a picture, and overflows.
MOST = 15.0
# Where the loss goes over from squares to magnitudes.
HUBER = 0.1
# Distances whose logarithm is taken are at least so long.
NEAREST = 1e-6


def shapes(inputs: int) -> tuple[tuple[int, int], ...]:
    """Of the matrices in the flat weights: two of the density; of the colour what directions and what the geometry give to its first
    hidden layer, and two more."""
    return ((inputs, HIDDEN), (HIDDEN, GEOMETRY), (DIRECTIONS, HIDDEN), (GEOMETRY, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, RAW))


def matrices(weights: Tensor, inputs: int) -> list[Tensor]:
    """The flat weights as matrices [inputs, outputs]."""
    sizes = [rows * columns for rows, columns in shapes(inputs)]
    return [part.view(shape) for part, shape in zip(weights.split(sizes), shapes(inputs), strict=True)]


def density(positions: Tensor, table: Tensor, weights: Tensor, layout: hashgrid.Layout, half: float) -> tuple[Tensor, Tensor]:
    """Density [S] and geometry [S, 16] at places [S, 3] of the cube [-half, half]^3."""
    features = hashing.encode(positions / (2 * half) + 0.5, table, layout)
    first, second, *_ = matrices(weights, features.shape[1])
    geometry = (features @ first).relu() @ second
    return geometry[:, 0].clamp(max=MOST).exp(), geometry


def shade(rays: Tensor, positions: Tensor, directions: Tensor, table: Tensor, weights: Tensor, layout: hashgrid.Layout, half: float):
    """Density [S] and colour [S, 3] of samples; ``rays`` [S] says which of the directions [R, 3] each has."""
    solid, geometry = density(positions, table, weights, layout, half)
    *_, turned, given, across, last = matrices(weights, layout.width)
    hidden = (sh_basis(3, directions) @ turned)[rays] + geometry @ given
    return solid, (hidden.relu() @ across).relu().matmul(last)[:, :3].sigmoid()


def huber(color: Tensor, alpha: Tensor, target: Tensor, background: Tensor, linear: bool) -> Tensor:
    """The mean loss of rays over a background [R, 3] in the light of blending, against displayed codes [R, 3]."""
    made = color + (1 - alpha)[:, None] * background
    error = (srgb_encode(made) if linear else made) - target
    size = error.abs()
    return torch.where(size < HUBER, 0.5 / HUBER * error * error, size - 0.5 * HUBER).mean()


def distortion(density: Tensor, samples: Samples) -> Tensor:
    """How far apart the samples at which a ray's light stops are, the mean of rays.

    Barron et al. 2022 (mip-NeRF 360, arXiv 2111.12077), equation 15, of samples of density [S]: the sum of w_i w_j |s_i - s_j| and a third
    of the sum of w_i² times a sample's length. Distances s are the logarithms of those along the ray, so that it is the same to be a tenth
    too far near by and far off. It keeps haze from standing before cameras, where few views tell that there is none.
    """
    weight, _ = volume.reference.weights(density, samples.dt, samples.starts)
    far = volume.reference.padded(samples.t, samples.starts).clamp(min=NEAREST)
    depth, length = far.log(), volume.reference.padded(samples.dt, samples.starts) / far
    before = depth * (weight.cumsum(1) - weight) - ((weight * depth).cumsum(1) - weight * depth)
    return (2 * weight * before + weight * weight * length / 3).sum(1).mean()


def render(samples, directions, table, weights, layout, half):
    """Colour [R, 3], depth [R], alpha [R] and the number of samples that count [R], differentiable."""
    made = shade(samples.rays, samples.positions, directions, table, weights, layout, half)
    return volume.reference.composite(*made, samples.t, samples.dt, samples.starts)
