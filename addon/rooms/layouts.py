# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things stand: extents that stray points do not move, and the way to a place in a room. Pure module: no bpy. Metres, Z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...engine.contract.errors import UserError

_BINS = 256
# A slice is solid when it holds this share of what an average slice holds: legs of a chair do, stray points do not.
_SOLID_SHARE = 0.05
_EYE_HEIGHT = 1.5


@dataclass(frozen=True, eq=False)
class Extent:
    """The solid part of a cloud: two corners, each [3] float64."""

    low: np.ndarray
    high: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """Width, depth and height, [3]."""
        return self.high - self.low

    @property
    def middle(self) -> np.ndarray:
        """The middle, [3]."""
        return (self.low + self.high) / 2

    @property
    def foot(self) -> np.ndarray:
        """The middle of the footprint at the height of the lowest solid part, [3]."""
        return np.array([*self.middle[:2], self.low[2]])


def measure(positions: np.ndarray, weights: np.ndarray) -> Extent:
    """The extent of what is solid in a cloud.

    Args:
        positions: [N, 3], at least one.
        weights: [N] how much each counts, e.g. opacities.
    """
    positions = np.asarray(positions, dtype=np.float64)
    weights = np.asarray(weights, dtype=np.float64)
    if not weights.sum() > 0:
        weights = np.ones(len(positions))
    ranges = [_solid_range(positions[:, axis], weights) for axis in range(3)]
    return Extent(np.array([low for low, _ in ranges]), np.array([high for _, high in ranges]))


def _solid_range(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Lowest and highest solid place on an axis.

    Slices are counted, what lies outside the solid ones is dropped, and the rest is sliced more finely, until nothing is dropped any more.
    """
    low, high = float(values.min()), float(values.max())
    for _ in range(8):
        if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):
            break
        counts, edges = np.histogram(values, bins=_BINS, range=(low, high), weights=weights)
        solid = np.flatnonzero(counts >= _SOLID_SHARE * counts.sum() / _BINS)
        narrower = float(edges[solid[0]]), float(edges[solid[-1] + 1])
        if narrower == (low, high):
            break
        low, high = narrower
    inside = (values >= low) & (values <= high)
    return _edge(values[inside], weights[inside], low, high), -_edge(-values[inside], weights[inside], -high, -low)


def _edge(values: np.ndarray, weights: np.ndarray, low: float, high: float) -> float:
    """The lower end within the first two slices: where a twentieth of their weight is passed, so that one stray point decides nothing."""
    near = values <= low + 2 * (high - low) / _BINS
    if not near.any():
        return low
    order = np.argsort(values[near])
    passed = np.cumsum(weights[near][order])
    return float(values[near][order][np.searchsorted(passed, 0.05 * passed[-1])])


def placement(
    extent: Extent,
    pose: np.ndarray,
    location: tuple[float, float, float] | None,
    rotation: float | None,
    on_floor: bool,
    known_length: float = 0.0,
) -> np.ndarray:
    """The pose of a thing at its place. What is not asked for stays as it is, so placing twice is placing once.

    Args:
        extent: its solid part in its own axes.
        pose: [4, 4], how it stands now, from its own axes to the world.
        location: where the middle of its footprint goes, at the height of its lowest solid part; None keeps it.
        rotation: how far it is turned about the vertical axis through that middle, degrees; None keeps it.
        on_floor: put the lowest solid part at height 0, whatever ``location`` says.
        known_length: real length of the longest side; 0 keeps the scale.

    Returns:
        [4, 4], the new pose.

    Raises:
        UserError: the thing has no size that a known length could be compared to.
    """
    longest = float(extent.size.max())
    if known_length > 0 and longest <= 0:
        raise UserError("The result has no size, so a known length says nothing about its scale.", "Set the known length to 0.")
    axes = pose[:3, :3]
    if known_length > 0:
        axes = axes * (known_length / longest / np.cbrt(abs(np.linalg.det(axes))))
    if rotation is not None:
        angle = np.radians(rotation) - np.arctan2(axes[1, 0], axes[0, 0])
        axes = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]]) @ axes
    target = _turned(extent, pose[:3, :3]).foot + pose[:3, 3] if location is None else np.array(location, dtype=np.float64)
    if on_floor:
        target = np.array([target[0], target[1], 0.0])
    made = np.eye(4)
    made[:3, :3] = axes
    made[:3, 3] = target - _turned(extent, axes).foot
    return made


def _turned(extent: Extent, axes: np.ndarray) -> Extent:
    """The extent of a box that is turned and scaled by ``axes`` [3, 3]."""
    middle, half = axes @ extent.middle, np.abs(axes) @ extent.size / 2
    return Extent(middle - half, middle + half)


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
        distance = 1.6 * max(float(np.linalg.norm(size)), 0.1)
        return extent.middle + away / np.linalg.norm(away) * distance, extent.middle
    height = extent.low[2] + min(_EYE_HEIGHT, 0.6 * size[2])
    near = (np.abs(positions[:, 2] - height) < 0.5) & (np.asarray(weights) > 0.3)
    grid = [np.linspace(extent.low[axis] + 0.12 * size[axis], extent.high[axis] - 0.12 * size[axis], 15) for axis in range(2)]
    places = np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 2)
    clear = _clearance(places, positions[near, :2])
    # Half a metre of air is enough; beyond that, what counts is how much of the room lies in front.
    score = np.linalg.norm(places - extent.middle[:2], axis=1) + 10 * np.minimum(clear, 0.5)
    eye = np.array([*places[np.argmax(score)], height])
    return eye, np.array([*extent.middle[:2], height - 0.12 * np.linalg.norm(eye[:2] - extent.middle[:2])])


def _clearance(places: np.ndarray, obstacles: np.ndarray) -> np.ndarray:
    """Distance from each place [M, 2] to the nearest tenth-of-a-metre cell that holds obstacles [K, 2]."""
    if not len(obstacles):
        return np.full(len(places), np.inf)
    cells, counts = np.unique(np.round(obstacles * 10).astype(np.int64), axis=0, return_counts=True)
    cells = cells[counts >= max(1.0, 0.1 * np.median(counts))] / 10.0
    return np.linalg.norm(places[:, None] - cells[None], axis=2).min(axis=1)
