# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigid transforms, mirroring and scaling of splats: means, scales, rotations and harmonics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .gaussians import Splats, in_blocks, unit_quats
from .harmonics import harmonics


def moved(
    splats: Splats, rotation: np.ndarray, scale: float = 1.0, translation: np.ndarray | None = None, *, in_place: bool = False
) -> Splats:
    """Rotates splats about the origin, scales them from it, then translates them.

    Args:
        splats: the splats.
        rotation: [3, 3], orthonormal; a left-handed one mirrors.
        scale: above 0.
        translation: [3], in the unit of the result.
        in_place: whether arrays of ``splats``, all float32, may be overwritten, which takes half the memory.

    Returns:
        The transformed splats; unchanged parts are passed on as they are.
    """
    rotation = np.asarray(rotation, dtype=np.float64)
    turn = not np.array_equal(rotation, np.eye(3))
    # The covariance of a gaussian is the same after a point reflection, so a mirror's rotation is its opposite's.
    quat = quaternion(rotation * np.sign(np.linalg.det(rotation)))
    bands = [(slice(band * band, (band + 1) ** 2), band_rotation(band, rotation)) for band in range(1, splats.degree + 1)]

    def transform(part: slice) -> Splats:
        chosen = splats.select(part)
        # What is not finite, or becomes so, is found later.
        with np.errstate(over="ignore", invalid="ignore"):
            means = chosen.means.astype(np.float64) @ rotation.T * scale
            if translation is not None:
                means += translation
            scales = (chosen.log_scales + np.log(scale)).astype(np.float32)
            out = replace(chosen, means=means.astype(np.float32), log_scales=scales)
        if not turn:
            return out
        sh = chosen.sh.copy()
        for band, matrix in bands:
            sh[:, band] = np.einsum("ij,njc->nic", matrix, sh[:, band].astype(np.float64))
        return replace(out, quats=_product(quat, unit_quats(chosen.quats)).astype(np.float32), sh=sh)

    if turn:
        return in_blocks(len(splats), transform, splats if in_place else None)
    return transform(slice(None))


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


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The rotations ``right`` [N, 4], then the rotation ``left`` [4]."""
    w, x, y, z = left
    table = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return right @ table.T
