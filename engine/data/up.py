# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way is up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cameras import Camera

# Cameras that look along almost one line have right sides that do not say what is upright.
_SPREAD = 0.05


def up_of_capture(source: str, cameras: Sequence[Camera]) -> np.ndarray:
    """The direction, unit [3], that is up in a capture's world. Structure from motion knows none."""
    return up_of_cameras(cameras) if source in ("colmap", "llff") else np.array([0.0, 0.0, 1.0])


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
