# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats turned, scaled and moved as a whole: means, sizes, rotations and the harmonics, whose colours keep to their side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .gaussians import Splats, unit_quats
from .harmonics import harmonics


def moved(splats: Splats, rotation: np.ndarray, scale: float = 1.0, translation: np.ndarray | None = None) -> Splats:
    """Turns splats about the origin, scales them from it, then moves them.

    Args:
        splats: the splats.
        rotation: [3, 3], orthonormal and right-handed.
        scale: above 0.
        translation: [3], in the unit of the result.

    Returns:
        The splats in their new place; unturned parts are passed on as they are.
    """
    rotation = np.asarray(rotation, dtype=np.float64)
    means = splats.means.astype(np.float64) @ rotation.T * scale
    if translation is not None:
        means += translation
    out = replace(splats, means=means.astype(np.float32), log_scales=(splats.log_scales + np.log(scale)).astype(np.float32))
    if np.array_equal(rotation, np.eye(3)):
        return out
    quats = _product(quaternion(rotation), unit_quats(splats.quats))
    sh = splats.sh.copy()
    for band in range(1, splats.degree + 1):
        first, last = band * band, (band + 1) ** 2
        sh[:, first:last] = np.einsum("ij,njc->nic", band_rotation(band, rotation), splats.sh[:, first:last].astype(np.float64))
    return replace(out, quats=quats.astype(np.float32), sh=sh)


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """The unit quaternion wxyz of a rotation [3, 3]. Bar-Itzhack 2000: the eigenvector of the largest eigenvalue, stable for all."""
    r = np.asarray(rotation, dtype=np.float64)
    matrix = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2]],
            [r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2]],
            [r[1, 0] - r[0, 1], r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    found = np.linalg.eigh(matrix)[1][:, -1]
    return found if found[np.argmax(np.abs(found))] > 0 else -found


def band_rotation(band: int, rotation: np.ndarray) -> np.ndarray:
    """What turns the coefficients of a band of harmonics: with it a turned splat shows to each side what it showed before.

    Args:
        band: 1 to 3.
        rotation: [3, 3].

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


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The rotations ``right`` [N, 4], then the rotation ``left`` [4]."""
    w, x, y, z = left
    table = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return right @ table.T
