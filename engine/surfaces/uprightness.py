# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way is up, and where a thing stands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cameras import Camera

# Cameras that look along almost one line have right sides that do not say what is upright.
_SPREAD = 0.05


def up_of_cameras(cameras: Sequence[Camera]) -> np.ndarray:
    """The direction, unit [3], that people who held cameras took for up: square to their pictures' rows, which they keep level."""
    poses = np.stack([camera.camera_to_world[:3, :3] for camera in cameras])
    mean = poses[:, :, 1].mean(axis=0)
    rights = poses[:, :, 0]
    values, vectors = np.linalg.eigh(rights.T @ rights / len(rights))
    up = vectors[:, 0] if values[1] > _SPREAD else mean
    if np.linalg.norm(up) < 1e-6:
        return np.array([0.0, 0.0, 1.0])
    up = up / np.linalg.norm(up)
    return up if up @ mean >= 0 else -up


def standing(positions: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sets a thing upright, the middle of its footprint at the origin and its lowest point at height 0.

    Args:
        positions: [V, 3] in the world. up: unit [3].

    Returns:
        The positions, and the rigid [4, 4] that takes them back into the world.
    """
    axis = np.array([0.0, 0.0, 1.0])
    cross, cosine = np.cross(axis, up), float(axis @ up)
    if cosine < -1 + 1e-12:
        turn = np.diag([1.0, -1.0, -1.0])
    else:
        skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
        turn = np.eye(3) + skew + skew @ skew / (1 + cosine)
    upright = positions @ turn
    low, high = upright.min(axis=0), upright.max(axis=0)
    foot = np.array([*(low[:2] + high[:2]) / 2, low[2]])
    placement = np.eye(4)
    placement[:3, :3], placement[:3, 3] = turn, turn @ foot
    return upright - foot, placement
