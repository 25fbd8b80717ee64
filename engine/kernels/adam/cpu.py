# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam (Kingma and Ba 2015) on sixteen numbers at a time."""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import simd
from ..math import ORDERED

BETA1 = np.float32(0.9)
BETA2 = np.float32(0.999)
EPSILON = np.float32(1e-15)

_1 = np.float32(1.0)


def corrected(rates: np.ndarray, time: int) -> tuple[np.ndarray, np.float32]:
    """What the moments' start at zero makes of learning rates [D] at a step, which counts from 1.

    Returns:
        Paces, rates / (1 - BETA1^time), [D] float32, and 1 / (1 - BETA2^time).
    """
    return (rates / (1 - float(BETA1) ** time)).astype(np.float32), np.float32(1 / (1 - float(BETA2) ** time))


@nb.njit(**ORDERED)
def adam(value, gradient, first, second, pace, correction2):
    """One step.

    Args:
        value, gradient, first, second: lanes, the parameter, its gradient and the two moments.
        pace, correction2: see :func:`corrected`, of one parameter.

    Returns:
        The parameter and the two moments.
    """
    first = BETA1 * first + (_1 - BETA1) * gradient
    second = BETA2 * second + (_1 - BETA2) * gradient * gradient
    return value - pace * first / (simd.sqrt(second * correction2) + EPSILON), first, second
