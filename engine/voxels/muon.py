# SPDX-License-Identifier: GPL-3.0-or-later
"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): steps of momentum in which every direction is equally long.

torch's own (2.13) takes matrices alone, and computes in bfloat16, which most processors must imitate.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .shapes import SIDE

_MOMENTUM = 0.95
# The published quintic: its rounds bring all singular values between 0.01 and 1 near 1.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 4
# Root mean square of a step's values per rate. Steps of 0.2, as long as Adam's, would learn slower here (Liu et al. 2025,
# arXiv 2502.16982, have 0.2 for networks with normalized layers).
_LENGTH = 0.8


class Muon(torch.optim.Optimizer):
    """For kernels of convolutions and dense layers: each is a matrix, of outputs by all that an output is summed from."""

    def __init__(self, weights: Iterable[Tensor], rate: float, weight_decay: float, transposed: Iterable[Tensor] = ()):
        """``transposed``: those of ``weights`` whose outputs are their second axis, as transposed convolutions have it."""
        super().__init__(weights, {"lr": rate, "weight_decay": weight_decay})
        self._transposed = set(transposed)

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = torch.add(weight.grad, state["momentum"], alpha=_MOMENTUM, out=state["momentum"])
                # In the gradient's own place: on processors fresh memory of 25 MB takes as long as the sum.
                ahead = weight.grad.add_(momentum, alpha=_MOMENTUM)
                turned = weight in self._transposed
                if turned:
                    ahead = ahead.transpose(0, 1)
                matrix = ahead.flatten(1)
                left, right = orthogonal(matrix)
                keeps, length = 1 - group["lr"] * group["weight_decay"], -group["lr"] * _LENGTH * max(matrix.shape) ** 0.5
                if weight.ndim == 2:
                    # The large ones: no memory for the step either.
                    weight.addmm_(left, right, beta=keeps, alpha=length)
                else:
                    step = (left @ right).view(ahead.shape)
                    weight.mul_(keeps).add_(step.transpose(0, 1) if turned else step, alpha=length)


def matrices(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The weights of a network that Muon is for: kernels of convolutions and dense layers, but not those that see colors or give voxels.
    Returns those whose outputs are their first axis, and those of transposed convolutions, whose outputs are their second.
    """
    plain, transposed = [], []
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose3d):
            if layer.out_channels > 2:
                transposed.append(layer.weight)
        elif isinstance(layer, (nn.Conv2d, nn.Conv3d)):
            if layer.in_channels > 3 and layer.out_channels > 2:
                plain.append(layer.weight)
        elif isinstance(layer, nn.Linear) and layer.out_features < SIDE**3:
            plain.append(layer.weight)
    return plain, transposed


def orthogonal(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix [M, N] with its singular values brought to about 1 (0.7 to 1.2), its directions kept, as the product of two: itself, and a
    small one before or after it. Nothing stays nothing.

    Rounds multiply X by a polynomial of X Xᵀ, or of Xᵀ X where X is tall. All of them are therefore found as one small matrix, and the
    large one is multiplied twice in all instead of twice a round. It is never transposed, so that it stays as it lies in memory.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    square = matrix.T @ matrix if tall else matrix @ matrix.T
    # The sum of all values' squares, so no singular value is above 1 then.
    size = square.trace().clamp(min=1e-36)
    square /= size
    a, b, c = _QUINTIC
    product = torch.eye(len(square), dtype=matrix.dtype, device=matrix.device)
    for rounds_left in reversed(range(_ROUNDS)):
        factor = torch.addmm(square, square, square, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor @ product
        if rounds_left:
            square = factor @ square @ factor
    product *= size.rsqrt()
    return (matrix, product) if tall else (product, matrix)
