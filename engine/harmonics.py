# SPDX-License-Identifier: GPL-3.0-or-later
"""Real spherical harmonics, orthonormal, in the order and with the signs of INRIA's files."""

from __future__ import annotations

import math

import numpy as np

# The constant function: a color is 0.5 + SH_C0 * sh[0].
SH_C0 = 0.28209479177387814
_A, _B, _C, _D, _E = math.sqrt(3), math.sqrt(5 / 8), math.sqrt(15), math.sqrt(3 / 8), math.sqrt(15) / 2
# Bands 1 to 3 up to a factor of the band: each function as factors of the products of x, y and z that it is a sum of.
_BANDS = (
    ({"y": -1.0}, {"z": 1.0}, {"x": -1.0}),
    ({"xy": _A}, {"yz": -_A}, {"zz": 1.0, "xx": -0.5, "yy": -0.5}, {"xz": -_A}, {"xx": _A / 2, "yy": -_A / 2}),
    (
        {"xxy": -3 * _B, "yyy": _B},
        {"xyz": _C},
        {"yzz": -4 * _D, "xxy": _D, "yyy": _D},
        {"zzz": 1.0, "xxz": -1.5, "yyz": -1.5},
        {"xzz": -4 * _D, "xxx": _D, "xyy": _D},
        {"xxz": _E, "yyz": -_E},
        {"xxx": -_B, "xyy": 3 * _B},
    ),
)
# The functions 1 to 15 in full.
FUNCTIONS: tuple[dict[str, float], ...] = tuple(
    {product: factor * math.sqrt((2 * band + 1) / (4 * math.pi)) for product, factor in function.items()}
    for band, functions in enumerate(_BANDS, 1)
    for function in functions
)


def harmonics(degree: int, directions: np.ndarray) -> np.ndarray:
    """All functions up to a degree, 0 to 3, for unit directions [N, 3] away from the camera: [N, (degree + 1)²] float64."""
    axes = dict(zip("xyz", np.asarray(directions, dtype=np.float64).T, strict=True))
    columns = [np.full(len(directions), SH_C0)]
    for function in FUNCTIONS[: (degree + 1) ** 2 - 1]:
        columns.append(sum(factor * math.prod(axes[axis] for axis in product) for product, factor in function.items()))
    return np.stack(columns, axis=1)


def band_rotation(band: int, rotation: np.ndarray) -> np.ndarray:
    """Rotates the coefficients of a band: a rotated splat shows to each side what it showed before.

    Args:
        band: 1 to 3.
        rotation: [3, 3], orthonormal.

    Returns:
        [2 band + 1, 2 band + 1] float64, orthonormal.
    """
    # The band's functions seen from turned directions are combinations of themselves; the directions only have to tell them apart.
    count = np.arange(32)
    z = 1 - (2 * count + 1) / 32
    angle = count * np.pi * (3 - np.sqrt(5))
    around = np.sqrt(1 - z * z)
    directions = np.stack([around * np.cos(angle), around * np.sin(angle), z], axis=1)
    here, there = (harmonics(band, seen)[:, band * band :] for seen in (directions, directions @ np.asarray(rotation, dtype=np.float64)))
    return np.linalg.lstsq(here, there, rcond=None)[0]
