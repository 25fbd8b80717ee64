# SPDX-License-Identifier: GPL-3.0-or-later
"""The box about what a surface is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cameras import Camera
from ..data.scene import near_distance, scene_box
from .depths import DepthMaps

# Shares of the places seen, in percent, that are left out as strays at either end.
_STRAY = 0.001
_EVERY = 3


def object_box(maps: DepthMaps) -> tuple[np.ndarray, np.ndarray] | None:
    """Low and high corner [3] of what stands alone, by pictures in which nothing is around it; None where nothing is seen."""
    places = np.concatenate([maps.points(number, _EVERY) for number in range(len(maps.cameras))])
    places = places[maps.not_empty(places)]
    if not len(places):
        return None
    low, high = np.percentile(places, (_STRAY, 100 - _STRAY), axis=0)
    return low, high


def near_box(cameras: Sequence[Camera], points: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Low and high corner [3] of the cube in the middle of a scene that fills its pictures: what its cameras are about.

    Args:
        cameras: of the capture. points: [N, 3] seed points where there are any.
    """
    center, radius = scene_box(cameras, points)
    if points is not None:
        radius = min(radius, near_distance(cameras, points))
    return center - radius, center + radius
