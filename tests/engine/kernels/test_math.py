# SPDX-License-Identifier: GPL-3.0-or-later
"""Elementary functions against NumPy's in double precision."""

import numba as nb
import numpy as np

from engine.kernels import math
from engine.kernels.photometric.cpu import _LINEAR_OF_CODE


@nb.njit
def _apply(function, values):
    result = np.empty_like(values)
    for i in range(values.size):
        result[i] = function(values[i])
    return result


def test_exp_is_close_and_never_subnormal():
    x = np.linspace(-69, 20, 10_001, dtype=np.float32)
    np.testing.assert_allclose(_apply(math.exp, x), np.exp(x.astype(np.float64)), rtol=1e-5)
    far = _apply(math.exp, np.array([-1e4, -200.0], np.float32))
    assert (far > np.finfo(np.float32).tiny).all() and (far < 1e-29).all()


def test_log2_over_the_whole_range():
    x = np.geomspace(1e-30, 1e30, 10_001).astype(np.float32)
    np.testing.assert_allclose(_apply(math.log2, x), np.log2(x.astype(np.float64)), rtol=2e-6, atol=2e-6)


def test_srgb_curve_meets_the_standard_and_its_slope_is_its_derivative():
    codes = np.arange(256)
    np.testing.assert_allclose(_apply(math.srgb_encode, _LINEAR_OF_CODE) * 255, codes, atol=2e-3)
    assert _apply(math.srgb_encode, np.array([-1.0], np.float32))[0] == 0
    x = np.concatenate([np.linspace(1e-4, 3e-3, 50), np.linspace(4e-3, 2, 200)]).astype(np.float32)
    step = x.astype(np.float64) * 1e-2
    rise = _apply(math.srgb_encode, (x + step).astype(np.float32)).astype(np.float64) - _apply(
        math.srgb_encode, (x - step).astype(np.float32)
    )
    np.testing.assert_allclose(_apply(math.srgb_encode_slope, x), rise / (2 * step), rtol=1e-3)
