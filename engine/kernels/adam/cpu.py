# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam (Kingma and Ba 2015) on sixteen numbers at a time."""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import simd
from ..math import OPTIONS

BETA1 = np.float32(0.9)
BETA2 = np.float32(0.999)
EPSILON = np.float32(1e-15)

_1 = np.float32(1.0)


@nb.njit(**OPTIONS)
def adam(value, gradient, first, second, rate, correction2):
    """One step.

    Args:
        value, gradient, first, second: lanes, the parameter, its gradient and the two moments.
        rate: learning rate over 1 - BETA1^t. correction2: 1 / (1 - BETA2^t).

    Returns:
        The parameter and the two moments.
    """
    first = BETA1 * first + (_1 - BETA1) * gradient
    second = BETA2 * second + (_1 - BETA2) * gradient * gradient
    return value - rate * first / (simd.sqrt(second * correction2) + EPSILON), first, second
