# SPDX-License-Identifier: GPL-3.0-or-later
"""Which triangle is in front at each pixel."""

from __future__ import annotations

import numpy as np

from ..arrays import check_indices, given


def rasterize(points: np.ndarray, triangles: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds the nearest triangle at the middle of each pixel. Both sides count; of equal depths the first triangle's.

    Args:
        points: [V, 3], x and y in pixels, and planar depth. A triangle with a corner at no depth above 0, or at none, is left out.
        triangles: [F, 3] whole numbers of points. width, height: of the picture, px.

    Returns:
        [H, W] int32, the number of the triangle, -1 where there is none; [H, W] float32, its depth, 0 where there is none; and
        [H, W, 2] float32, what its second and third corner have of the place, the first one having the rest.

    Raises:
        ValueError: a triangle has a corner that is not there.
    """
    from . import cpu

    check_indices("triangles", triangles, len(points))
    points, triangles = given("points", points, (None, 3), np.float64), given("triangles", triangles, (None, 3), np.int32)
    faces, depth = np.empty((height, width), np.int32), np.empty((height, width), np.float32)
    shares = np.empty((height, width, 2), np.float32)
    cpu.rasterize(points, triangles, faces, depth, shares)
    return faces, depth, shares
