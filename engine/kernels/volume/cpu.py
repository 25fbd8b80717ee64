# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing of packed samples on the processor: one ray after the other, chunks of rays side by side."""

from __future__ import annotations

import numba as nb
import numpy as np

from ..math import OPTIONS, exp
from .reference import MIN_TRANSMITTANCE

LEAST = np.float32(MIN_TRANSMITTANCE)
_CHUNK = 64
_0, _1 = np.float32(0.0), np.float32(1.0)


@nb.njit(inline="always", **OPTIONS)
def opacity(thickness):
    """1 - e^-x, with all digits where x is small."""
    if thickness < np.float32(0.03):
        return thickness * (_1 - thickness * (np.float32(1 / 2) - thickness * np.float32(1 / 6)))
    return _1 - exp(-thickness)


@nb.njit(parallel=True, **OPTIONS)
def forward(density, color, t, dt, starts):
    """See :func:`engine.kernels.volume.forward`."""
    rays = starts.size - 1
    colors, depth, alpha = np.empty((rays, 3), np.float32), np.empty(rays, np.float32), np.empty(rays, np.float32)
    used = np.empty(rays, np.int64)
    for chunk in nb.prange((rays + _CHUNK - 1) // _CHUNK):
        for ray in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, rays)):
            through, red, green, blue, far = _1, _0, _0, _0, _0
            k, last = starts[ray], starts[ray + 1]
            while k < last and through >= LEAST:
                weight = through * opacity(density[k] * dt[k])
                red += weight * color[k, 0]
                green += weight * color[k, 1]
                blue += weight * color[k, 2]
                far += weight * t[k]
                through -= weight
                k += 1
            colors[ray, 0], colors[ray, 1], colors[ray, 2] = red, green, blue
            depth[ray], alpha[ray], used[ray] = far, _1 - through, k - starts[ray]
    return colors, depth, alpha, used


@nb.njit(parallel=True, **OPTIONS)
def backward(density, color, t, dt, starts, v_color, v_depth, v_alpha):
    """See :func:`engine.kernels.volume.backward`."""
    rays = starts.size - 1
    v_density, v_colors = np.zeros(density.size, np.float32), np.zeros((density.size, 3), np.float32)
    for chunk in nb.prange((rays + _CHUNK - 1) // _CHUNK):
        for ray in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, rays)):
            first, last = starts[ray], starts[ray + 1]
            red, green, blue, far, full = v_color[ray, 0], v_color[ray, 1], v_color[ray, 2], v_depth[ray], v_alpha[ray]
            # Forth for the weights, back for what lies behind each sample: a sum of differences would lose its last digits to rounding.
            through = _1
            k = first
            while k < last and through >= LEAST:
                weight = through * opacity(density[k] * dt[k])
                v_colors[k, 0], v_colors[k, 1], v_colors[k, 2] = weight * red, weight * green, weight * blue
                v_density[k] = weight
                through -= weight
                k += 1
            behind = _0
            for m in range(k - 1, first - 1, -1):
                weight = v_density[m]
                gain = red * color[m, 0] + green * color[m, 1] + blue * color[m, 2] + far * t[m] + full
                # dw/ddensity = dt T', with T' the transmittance after the sample; each weight behind it falls by dt w.
                v_density[m] = dt[m] * (through * gain - behind)
                behind += weight * gain
                through += weight
    return v_density, v_colors
