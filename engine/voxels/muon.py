# SPDX-License-Identifier: GPL-3.0-or-later
"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): steps of momentum in which every direction is equally long.

torch's own (2.13) takes matrices alone, and computes in bfloat16, which most processors must imitate.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
# The published quintic: its rounds bring all singular values between 0.01 and 1 near 1.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 4
# Root mean square of a step's values per rate. Steps of 0.2, as long as Adam's, would learn slower here (Liu et al. 2025,
# arXiv 2502.16982, have 0.2 for networks with normalised layers).
_LENGTH = 0.8


class Muon(torch.optim.Optimizer):
    """For kernels of convolutions: each is a matrix, of outputs by all that an output is summed from."""

    def __init__(self, kernels: Iterable[Tensor], rate: float, weight_decay: float, transposed: Iterable[Tensor] = ()):
        """``transposed``: those of ``kernels`` whose outputs are their second axis, as transposed convolutions have it."""
        super().__init__(kernels, {"lr": rate, "weight_decay": weight_decay})
        self._transposed = set(transposed)

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is None:
                    continue
                state = self.state[kernel]
                if not state:
                    state["momentum"] = torch.zeros_like(kernel)
                momentum = state["momentum"].mul_(_MOMENTUM).add_(kernel.grad)
                ahead = kernel.grad.add(momentum, alpha=_MOMENTUM)
                if kernel in self._transposed:
                    ahead = ahead.transpose(0, 1)
                matrix = ahead.flatten(1)
                step = orthogonal(matrix).view(ahead.shape) * (_LENGTH * max(matrix.shape) ** 0.5)
                if kernel in self._transposed:
                    step = step.transpose(0, 1)
                kernel.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-group["lr"])


def kernels(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The kernels of a network's convolutions that Muon is for: all but the one that sees colours and the one that gives voxels.
    Returns those of plain convolutions and those of transposed ones.
    """
    plain, transposed = [], []
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose3d) and layer.out_channels > 2:
            transposed.append(layer.weight)
        elif isinstance(layer, (nn.Conv2d, nn.Conv3d)) and layer.in_channels > 3 and layer.out_channels > 2:
            plain.append(layer.weight)
    return plain, transposed


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix [M, N] with its singular values brought to about 1 (0.7 to 1.2), its directions kept. Nothing stays nothing."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / wide.norm().clamp(min=1e-30)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * (square @ square)) @ x
    return x if wide is matrix else x.T
