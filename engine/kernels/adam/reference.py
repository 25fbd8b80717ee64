# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam in plain torch: the definition that the fast kernel is checked against."""

from __future__ import annotations

from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15


def step(values: Tensor, gradients: Tensor, first: Tensor, second: Tensor, rate: float, time: int) -> None:
    """Updates a parameter [N, D] and its moments in place (Kingma and Ba 2015, algorithm 1). ``time`` counts from 1."""
    first.mul_(BETA1).add_(gradients, alpha=1 - BETA1)
    second.mul_(BETA2).add_(gradients * gradients, alpha=1 - BETA2)
    values -= rate * (first / (1 - BETA1**time)) / ((second / (1 - BETA2**time)).sqrt() + EPSILON)
