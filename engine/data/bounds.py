# SPDX-License-Identifier: GPL-3.0-or-later
"""Between which depths a camera's rays meet what a capture shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..cameras import Camera, project, ray_matrix
from ..contract.capture import Capture
from .views import View

# Half the diagonal of a side of the scene's box, in half sides: a thing that fills its pictures fits into this ball.
_BALL = 2**0.5
# Where nothing is known of an opaque scene: from a share of the distance to its middle, to a multiple.
_NEAREST, _FARTHEST = 0.05, 8.0
# How much deeper than where a scene begins that lies which is looked at most.
_DEEP = 3.0
# What lies before and behind all but the outermost hundredth of the known depths.
_MARGIN = 0.8


@dataclass(frozen=True)
class Bounds:
    """``near`` and ``far``: planar depths for all cameras; where they are None, everything lies in the ball of ``radius`` about ``center``.
    All in the world's unit.
    """

    center: tuple[float, float, float]
    radius: float
    near: float | None = None
    far: float | None = None

    def of(self, camera: Camera) -> tuple[float, float]:
        """Planar depth at which a camera's rays begin and end; 0 < near < far."""
        if self.near is not None and self.far is not None:
            return self.near, self.far
        middle = float((np.array(self.center) - camera.position) @ camera.direction)
        near = max(middle - self.radius, 0.02 * self.radius)
        return near, max(middle + self.radius, 2 * near)


def find_bounds(capture: Capture, views: Sequence[View], points: np.ndarray | None, center: np.ndarray, radius: float) -> Bounds:
    """The bounds of a capture, from the best that is known of them: what its file says; the depth pictures; for things on nothing the
    box that the cameras look at; the seed points; and else a range that reaches from close by to far behind the middle.

    Args:
        capture, views: all, and those that are trained on.
        points: [N, 3] seed points where there are any.
        center, radius: of the scene's box.
    """
    ball = Bounds(tuple(center.tolist()), _BALL * radius)
    stated = [(frame.near, frame.far) for frame in capture.frames if frame.near is not None and frame.far is not None]
    if stated:
        # As published for such captures.
        return Bounds(ball.center, ball.radius, 0.9 * min(near for near, _ in stated), max(far for _, far in stated))
    depths = [view.depth[::4, ::4][view.depth[::4, ::4] > 0] for view in views if view.depth is not None]
    if not any(len(some) for some in depths):
        if any(view.image.shape[2] == 4 for view in views):
            return ball
        depths = _point_depths(points, views)
    known = np.concatenate(depths) if depths else np.zeros(0)
    if len(known) >= 8:
        low, high = np.percentile(known, (1, 99))
        return Bounds(ball.center, ball.radius, float(low) * _MARGIN, float(high) / _MARGIN)
    away = max(float(np.median([np.linalg.norm(view.camera.position - center) for view in views])), radius)
    return Bounds(ball.center, ball.radius, _NEAREST * away, _FARTHEST * away)


def facing_points(capture: Capture, views: Sequence[View]) -> np.ndarray | None:
    """Places [N, 3] about what views show whose file says how deep it begins: the corners of their pictures at that depth and at most
    _DEEP times as far. None where it does not say.

    Cameras that all look one way do not meet in what they show, so that nothing else tells where it is.
    """
    stated = [(frame.near, frame.far) for frame in capture.frames if frame.near is not None and frame.far is not None]
    if not stated:
        return None
    near = min(near for near, _ in stated)
    far = min(max(far for _, far in stated), _DEEP * near)
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
    found = []
    for camera in (view.camera for view in views):
        directions = (corners * (camera.width, camera.height, 1)) @ ray_matrix(camera).T
        found += [camera.position + depth * directions for depth in (near, far)]
    return np.concatenate(found)


def _point_depths(points: np.ndarray | None, views: Sequence[View]) -> list[np.ndarray]:
    """The depths of points in the views that see them."""
    if points is None:
        return []
    found = []
    for view in views:
        pixels, depth = project(view.camera, points)
        with np.errstate(invalid="ignore"):
            seen = (depth > 0) & (pixels >= 0).all(axis=1) & (pixels < (view.camera.width, view.camera.height)).all(axis=1)
        found.append(depth[seen])
    return found
