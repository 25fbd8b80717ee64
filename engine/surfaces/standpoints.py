# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras between those of a capture, all around what they look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cameras import Camera

# Nearer to a camera of the capture than this there is nothing new to see; farther away nobody has looked, and nothing was learnt.
_NEAREST, _FARTHEST = np.radians(8), np.radians(25)
_TRIED = 2000


def between(cameras: Sequence[Camera], center: np.ndarray, count: int) -> list[Camera]:
    """Up to ``count`` cameras that look at a thing from where the capture's do not, but have others on all sides.

    Args:
        cameras: the capture's, around the thing. center: [3], its middle.

    Returns:
        Those farthest from all others, spread; few or none where the capture is dense.
    """
    offsets = np.stack([camera.position for camera in cameras]) - center
    distances = np.linalg.norm(offsets, axis=1)
    directions = offsets / distances[:, None]
    tried = _sphere(_TRIED)
    angles = np.arccos(np.clip(tried @ directions.T, -1, 1))
    nearest = angles.min(axis=1)
    # Around a place that has others on all sides, directions to the nearest ones cancel out.
    near = np.exp(-((angles / _FARTHEST) ** 2))
    lean = np.linalg.norm((near[..., None] * (directions[None] - tried[:, None])).sum(axis=1), axis=1) / near.sum(axis=1)
    usable = (nearest > _NEAREST) & (nearest < _FARTHEST) & (lean < 0.5 * _FARTHEST)
    tried, nearest, angles = tried[usable], nearest[usable], angles[usable]
    made: list[Camera] = []
    for _ in range(count):
        if not len(tried) or nearest.max() < _NEAREST:
            break
        best = int(nearest.argmax())
        close = np.argsort(angles[best])[:3]
        like = cameras[int(close[0])]
        made.append(_looking(like, center + tried[best] * float(distances[close].mean()), center))
        nearest = np.minimum(nearest, np.arccos(np.clip(tried @ tried[best], -1, 1)))
    return made


def _looking(like: Camera, position: np.ndarray, target: np.ndarray) -> Camera:
    """A camera as another one, but at a place and with a target in its middle."""
    back = (position - target) / np.linalg.norm(position - target)
    up = like.camera_to_world[:3, 1]
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.stack([right, np.cross(back, right), back], axis=1), position
    return Camera(like.width, like.height, like.fx, like.fy, like.width / 2, like.height / 2, pose)


def _sphere(count: int) -> np.ndarray:
    """Unit directions spread evenly over the sphere, [count, 3] (a Fibonacci spiral)."""
    heights = np.linspace(1 - 1 / count, -1 + 1 / count, count)
    angles = np.arange(count) * (np.pi * (3 - 5**0.5))
    flat = np.sqrt(1 - heights**2)
    return np.stack([flat * np.cos(angles), flat * np.sin(angles), heights], axis=1)
