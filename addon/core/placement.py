# SPDX-License-Identifier: GPL-3.0-or-later
"""The pose of a result at its place in a room, and where to look at it from. Meters, Z up."""

from __future__ import annotations

import numpy as np

from .extents import Extent

EYE_HEIGHT = 1.5


def placement(
    extent: Extent,
    pose: np.ndarray,
    location: tuple[float, float, float] | None,
    rotation: float | None,
    on_floor: bool,
    scale: float = 1.0,
) -> np.ndarray:
    """The pose of a thing at its place. What is not asked for stays as it is, so placing twice is placing once.

    Args:
        extent: its solid part in its own axes.
        pose: [4, 4], how it stands now, from its own axes to the world.
        location: where the middle of its footprint goes, at the height of its lowest solid part; None keeps it.
        rotation: how far it is turned about the vertical axis through that middle, degrees; None keeps it.
        on_floor: put the lowest solid part at height 0, whatever ``location`` says.
        scale: how many times larger it becomes, about the middle of that footprint.

    Returns:
        [4, 4], the new pose.
    """
    axes = scale * pose[:3, :3]
    if rotation is not None:
        angle = np.radians(rotation) - np.arctan2(axes[1, 0], axes[0, 0])
        axes = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]]) @ axes
    target = extent.turned(pose[:3, :3]).foot + pose[:3, 3] if location is None else np.array(location, dtype=np.float64)
    if on_floor:
        target = np.array([target[0], target[1], 0.0])
    made = np.eye(4)
    made[:3, :3] = axes
    made[:3, 3] = target - extent.turned(axes).foot
    return made


def viewpoint(positions: np.ndarray, weights: np.ndarray, extent: Extent) -> tuple[np.ndarray, np.ndarray]:
    """From where to look at a thing.

    A thing as large as a room is looked at from inside, from the free place at eye height that is farthest from its middle; anything
    smaller from outside, a little above, at a distance that takes it all in.

    Args:
        positions: [N, 3].
        weights: [N], e.g. opacities.
        extent: of the solid part.

    Returns:
        The eye [3] and the point to look at [3].
    """
    size = extent.size
    if size[:2].min() < 2.5 or size[2] < 1.8:
        away = np.array([-0.6, -1.0, 0.45])
        distance = 1.6 * (float(np.linalg.norm(size)) or 1.0)
        return extent.middle + away / np.linalg.norm(away) * distance, extent.middle
    height = extent.low[2] + min(EYE_HEIGHT, 0.6 * size[2])
    near = (np.abs(positions[:, 2] - height) < 0.5) & (np.asarray(weights) > 0.3)
    grid = [np.linspace(extent.low[axis] + 0.12 * size[axis], extent.high[axis] - 0.12 * size[axis], 15) for axis in range(2)]
    places = np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 2)
    clear = _clearance(places, positions[near, :2])
    # Half a meter of air is enough; beyond that, what counts is how much of the room lies in front.
    score = np.linalg.norm(places - extent.middle[:2], axis=1) + 10 * np.minimum(clear, 0.5)
    eye = np.array([*places[np.argmax(score)], height])
    return eye, np.array([*extent.middle[:2], height - 0.12 * np.linalg.norm(eye[:2] - extent.middle[:2])])


def _clearance(places: np.ndarray, obstacles: np.ndarray) -> np.ndarray:
    """Distance from each place [M, 2] to the nearest tenth-of-a-meter cell that holds obstacles [K, 2]."""
    if not len(obstacles):
        return np.full(len(places), np.inf)
    cells, counts = np.unique(np.round(obstacles * 10).astype(np.int64), axis=0, return_counts=True)
    cells = cells[counts >= max(1.0, 0.1 * np.median(counts))] / 10.0
    return np.linalg.norm(places[:, None] - cells[None], axis=2).min(axis=1)
