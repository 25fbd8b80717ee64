# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations as matrices and as unit quaternions wxyz."""

from __future__ import annotations

import numpy as np


def matrices(quats: np.ndarray) -> np.ndarray:
    """Rotation matrices [N, 3, 3] of quaternions wxyz [N, 4], of any length above 0."""
    w, x, y, z = (quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-30)).T
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """Unit quaternions wxyz [N, 4] of rotation matrices [N, 3, 3], the largest component positive. Of the four ways to find one (Shepperd
    1978), that which divides by the largest number.
    """
    m = np.asarray(rotations, dtype=np.float64).transpose(1, 2, 0)
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    ways = np.array(
        [
            [1 + trace, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], 1 + 2 * m[0, 0] - trace, m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], 1 + 2 * m[1, 1] - trace, m[1, 2] + m[2, 1]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], 1 + 2 * m[2, 2] - trace],
        ]
    )
    best = np.argmax(np.stack([ways[number, number] for number in range(4)]), axis=0)
    found = ways[best, :, np.arange(m.shape[2])]
    return found / np.linalg.norm(found, axis=1, keepdims=True)
