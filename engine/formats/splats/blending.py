# SPDX-License-Identifier: GPL-3.0-or-later
"""The color space that splats composite in: scene-linear (Blender) or sRGB-encoded (every other viewer).

The same coefficients differ by about 13 dB between the two, so a file in a format that cannot state its color space holds sRGB ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from ...color import linear_to_srgb, srgb_to_linear
from ...harmonics import harmonics
from .gaussians import Splats

Blend = Literal["linear", "srgb"]
# Directions that a color is refitted over: four for each of the 16 functions of degree 3.
_DIRECTIONS = 64
_CHUNK = 50_000


def to_blend(splats: Splats, blend: Blend) -> Splats:
    """Refits the colors for compositing in another color space.

    Each gaussian keeps the color that it shows toward every direction, to the least-squares error of its harmonics. A pixel that one
    opaque gaussian covers keeps its color; where several translucent ones mix, the mix differs, which no per-gaussian refit can undo.

    Args:
        splats: those without a ``blend`` are sRGB, as other trainers write them.
        blend: the color space that the result composites in.
    """
    if (splats.blend or "srgb") == blend:
        return replace(splats, blend=blend)
    curve = srgb_to_linear if blend == "linear" else linear_to_srgb
    functions = harmonics(splats.degree, _sphere(_DIRECTIONS))
    fit = np.linalg.pinv(functions)
    refitted = np.empty(splats.sh.shape, np.float32)
    for start in range(0, len(splats), _CHUNK):
        colors = 0.5 + functions @ splats.sh[start : start + _CHUNK].astype(np.float64)
        if splats.degree:
            # Renderers clamp there. A constant color is left as it is, so that it converts back exactly.
            colors = np.maximum(colors, 0.0)
        refitted[start : start + _CHUNK] = fit @ (curve(colors) - 0.5)
    return replace(splats, sh=refitted, blend=blend)


def _sphere(count: int) -> np.ndarray:
    """Unit directions spread evenly over the sphere along a Fibonacci spiral, [count, 3] float64."""
    index = np.arange(count)
    z = 1 - (2 * index + 1) / count
    radius, angle = np.sqrt(1 - z * z), index * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
