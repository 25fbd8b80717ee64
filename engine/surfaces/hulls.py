# SPDX-License-Identifier: GPL-3.0-or-later
"""Convex shapes that stand for a thing where it collides."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, QhullError

MOST_PIECES = 16
# Points that a hull is made of at most, and its corners.
_POINTS, _CORNERS = 3000, 32
# Where along an axis a piece may be cut, and the share of the whole hull's volume that a cut has to save.
_CUTS, _WORTH = 9, 0.02

Hull = tuple[np.ndarray, np.ndarray]


def box_hull(positions: np.ndarray) -> tuple[Hull, ...]:
    """The box about positions [V, 3], along the axes."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    corners = np.array(list(np.ndindex(2, 2, 2)), float) * (high - low) + low
    return (_hull(corners) or (corners, np.zeros((0, 3), np.int64)),)


def convex_pieces(points: np.ndarray) -> tuple[Hull, ...]:
    """Convex pieces that together lie closely about points of a surface: cut, while that saves volume, where it saves most.

    Args:
        points: [N, 3], dense on the surface.

    Returns:
        Corners [V, 3] and triangles [M, 3] of each piece, at most MOST_PIECES.
    """
    rng = np.random.default_rng(0)
    if len(points) > 20 * _POINTS:
        points = points[np.sort(rng.choice(len(points), 20 * _POINTS, replace=False))]
    whole = _volume(points)
    if whole <= 0:
        return box_hull(points)
    parts, cuts = [points], [_best_cut(points)]
    while len(parts) < MOST_PIECES:
        best = max(range(len(parts)), key=lambda index: cuts[index][0])
        saved, axis, at = cuts[best]
        if saved < _WORTH * whole:
            break
        part = parts.pop(best)
        cuts.pop(best)
        for half in (part[part[:, axis] <= at], part[part[:, axis] > at]):
            parts.append(half)
            cuts.append(_best_cut(half))
    made = (_hull(part) for part in parts)
    return tuple(hull for hull in made if hull is not None)


def _best_cut(points: np.ndarray) -> tuple[float, int, float]:
    """The volume that the best cut saves, its axis and place."""
    some = points[:: max(1, len(points) // _POINTS)]
    full, best = _volume(some), (0.0, 0, 0.0)
    low, high = some.min(axis=0), some.max(axis=0)
    for axis in range(3):
        for at in np.linspace(low[axis], high[axis], _CUTS + 2)[1:-1]:
            below = some[:, axis] <= at
            saved = full - _volume(some[below]) - _volume(some[~below])
            if saved > best[0]:
                best = (saved, axis, float(at))
    return best


def _volume(points: np.ndarray) -> float:
    if len(points) < 4:
        return 0.0
    try:
        return float(ConvexHull(points).volume)
    except QhullError:  # all in one plane
        return 0.0


def _hull(points: np.ndarray) -> Hull | None:
    """The convex hull of points, with few corners; None where they lie in a plane."""
    try:
        corners = points[ConvexHull(points).vertices]
        if len(corners) > _CORNERS:
            corners = corners[_far_apart(corners, _CORNERS)]
        hull = ConvexHull(corners)
    except (QhullError, ValueError):
        return None
    number = np.zeros(len(corners), np.int64)
    number[hull.vertices] = np.arange(len(hull.vertices))
    triangles = hull.simplices.copy()
    a, b, c = (corners[triangles[:, corner]] for corner in range(3))
    inward = (np.cross(b - a, c - a) * hull.equations[:, :3]).sum(axis=1) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return corners[hull.vertices], number[triangles]


def _far_apart(corners: np.ndarray, count: int) -> np.ndarray:
    """Indices of so many corners, each as far as may be from those before."""
    chosen = [int(((corners - corners.mean(axis=0)) ** 2).sum(axis=1).argmax())]
    away = np.full(len(corners), np.inf)
    for _ in range(count - 1):
        away = np.minimum(away, ((corners - corners[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(away.argmax()))
    return np.sort(chosen)
