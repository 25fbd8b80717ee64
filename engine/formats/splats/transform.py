# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigid transforms, mirroring and scaling of splats: means, scales, rotations and harmonics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...harmonics import band_rotation
from ...rotations import quaternions
from .gaussians import Splats, in_blocks, unit_quats


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
    quat = quaternions((rotation * np.sign(np.linalg.det(rotation)))[None])[0]
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


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The rotations ``right`` [N, 4], then the rotation ``left`` [4]."""
    w, x, y, z = left
    table = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return right @ table.T
