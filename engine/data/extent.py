# SPDX-License-Identifier: GPL-3.0-or-later
"""The box of what a capture shows, from its own depth: what training adds, such as reflections below a floor, is not in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cameras import ray_matrix
from ..contract.capture import Capture
from .scene import seed_positions
from .views import View

# Points that are looked at, over all views.
_POINTS = 1_000_000
# Fewer do not tell an extent.
_LEAST = 100
# Share of the points that are left out at either end of an axis: depth is exact, but a renderer's edges are not.
_STRAY = 1e-4
# A room's walls are in nearly every slice of it. Where so many slices in a row, of _SLICES over the middle nine tenths of the points, each
# hold less than this share of the mean, the room ends; what lies beyond is seen through a window or a door.
_SLICES, _GAP, _SPARSE = 256, 3, 0.02


Box = tuple[tuple[float, float, float], tuple[float, float, float]]


def captured_extent(capture: Capture, views: Sequence[View]) -> Box | None:
    """Low and high corner [3], world units, of what views with depth show, or else the seed points of a Blender capture.

    Args:
        capture: the capture. views: some or all of its views.

    Returns:
        The corners; None if the capture has neither.
    """
    points = _depth_points(views)
    if points is None and capture.source == "blender":
        points = seed_positions(capture)
    if points is None or len(points) < _LEAST:
        return None
    # Something that stands alone in transparent views ends where it ends.
    if views[0].image.shape[2] == 3:
        for axis in range(3):
            points = points[_inside(points[:, axis])]
    low, high = np.quantile(points, (_STRAY, 1 - _STRAY), axis=0)
    return tuple(low.tolist()), tuple(high.tolist())


def _depth_points(views: Sequence[View]) -> np.ndarray | None:
    """What the pixels of views show, [N, 3]; None if no view has depth."""
    deep = [view for view in views if view.depth is not None]
    pixels = sum(view.depth.size for view in deep)
    every = max(1, round((pixels / _POINTS) ** 0.5))
    found = []
    for view in deep:
        known = view.depth > 0
        if view.image.shape[2] == 4:
            known &= view.image[..., 3] > 127
        if view.mask is not None:
            known &= view.mask > 0
        row, column = np.nonzero(known[every // 2 :: every, every // 2 :: every])
        row, column = (index * every + every // 2 for index in (row, column))
        directions = np.stack([column + 0.5, row + 0.5, np.ones(len(row))], axis=1) @ ray_matrix(view.camera).T
        found.append(view.camera.position + directions * view.depth[row, column, None])
    return np.concatenate(found) if found else None


def _inside(values: np.ndarray) -> np.ndarray:
    """Which coordinates [N] of one axis lie in the room, [N] bool."""
    low, high = np.quantile(values, (0.05, 0.95))
    if not high > low:
        return np.ones(len(values), bool)
    # What lies far outside shares one slice at either end.
    slices = np.clip((values - low) / (high - low) * _SLICES, -_SLICES, 2 * _SLICES).astype(np.int64) + _SLICES
    full = np.flatnonzero(np.bincount(slices) >= _SPARSE * 0.9 * len(values) / _SLICES)
    # Runs of full slices; the one about the median is the room.
    starts = np.flatnonzero(np.diff(full, prepend=-_SLICES) > _GAP)
    run = max(np.searchsorted(full[starts], np.median(slices), side="right") - 1, 0)
    ends = np.append(starts[1:], len(full)) - 1
    return (slices >= full[starts[run]]) & (slices <= full[ends[run]])
