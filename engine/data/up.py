# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way is up in a capture's world."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cameras import Camera

# Sources whose worlds are Z up by definition. All others come from structure from motion or from programs that keep its world:
# ns-process-data, for one, writes COLMAP's, in which nothing is level.
_Z_UP = ("blender", "nerf_synthetic")
# Least mean square of the right axes along the second direction: below, all cameras look along almost one line.
_SPREAD = 0.05
# Right axes may rise out of the level plane by this share of what they spread in it (mean squares), upright axes must agree this well.
_LEVEL, _AGREEMENT = 0.2, 0.3


def up_of_capture(source: str, cameras: Sequence[Camera]) -> np.ndarray:
    """The direction, unit [3], that is up in a capture's world: Z where that is known or where the cameras do not tell."""
    up = None if source in _Z_UP else up_of_cameras(cameras)
    return np.array([0.0, 0.0, 1.0]) if up is None else up


def up_of_cameras(cameras: Sequence[Camera]) -> np.ndarray | None:
    """The direction, unit [3], that photographers took for up: square to the rows of their images, which they keep level.

    Args:
        cameras: at least one.

    Returns:
        The direction; None where images are rolled every way.
    """
    poses = np.stack([camera.camera_to_world[:3, :3] for camera in cameras])
    rights, upright, direction = poses[:, :, 0], poses[:, :, 1].mean(axis=0), -poses[:, :, 2].mean(axis=0)
    values, vectors = np.linalg.eigh(rights.T @ rights / len(rights))
    if values[1] <= _SPREAD:
        length = float(np.linalg.norm(upright))
        return upright / length if length > _AGREEMENT else None
    if values[0] > _LEVEL * values[1]:
        return None
    up = vectors[:, 0]
    # Seen from straight above, images are upright every way; but nobody looks up from below.
    side = up @ upright if abs(up @ upright) > _AGREEMENT else -up @ direction
    return up if side >= 0 else -up
