# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things stand: extents that stray points do not move, and the way to a place in a room. Pure module: no bpy. Meters, Z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mathutils.kdtree import KDTree

# Points that are measured, at most; more do not change the outcome, and take longer.
_SAMPLES = 8000
_NEIGHBORS = 8
_LEAST_CLUSTER = 0.01
_TRIM = 0.0005
# Measured and known bounds that differ by less than this share of the size are the same.
_SAME = 0.03
_HEAVIEST = 10.0
EYE_HEIGHT = 1.5


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

    def turned(self, axes: np.ndarray) -> Extent:
        """The box about this one turned and scaled by ``axes`` [3, 3]."""
        middle, half = axes @ self.middle, np.abs(axes) @ self.size / 2
        return Extent(middle - half, middle + half)

    def moved(self, offset: np.ndarray) -> Extent:
        """The box somewhere else."""
        return Extent(self.low + offset, self.high + offset)

    def scaled(self, factor: float) -> Extent:
        """The box in other units, its distance from the origin included."""
        return Extent(self.low * factor, self.high * factor)

    def holds(self, positions: np.ndarray) -> np.ndarray:
        """Which positions [N, 3] lie inside, or outside by no more than rounding, [N] bool."""
        rounding = 1e-5 * self.size.max()
        return ((positions >= self.low - rounding) & (positions <= self.high + rounding)).all(axis=1)


def measure(positions: np.ndarray, weights: np.ndarray | None = None, bounds: Extent | None = None) -> Extent:
    """The extent of what is solid in a cloud or a surface.

    Args:
        positions: [N, 3], at least one.
        weights: [N] how much each point of a cloud counts, e.g. opacity times area; None for the vertices of a surface, which has no
            strays.
        bounds: what the cameras of a capture saw. Reflections in a floor lie below it. It limits the extent, and is the extent where
            the two are nearly the same; ignored where most lies outside.
    """
    positions = np.asarray(positions, dtype=np.float64)
    known = np.isfinite(positions).all(axis=1)
    if weights is not None:
        weights = np.where(known, np.nan_to_num(np.asarray(weights, dtype=np.float64)), 0.0)
        weights = weights if (weights > 0).any() else known.astype(np.float64)
        known &= weights > 0
    if bounds is not None:
        margin = _SAME * bounds.size
        inside = known & Extent(bounds.low - margin, bounds.high + margin).holds(positions)
        shares = known.astype(np.float64) if weights is None else weights
        if 2 * shares[inside].sum() >= shares[known].sum() > 0:
            found = _box(positions[known]) if weights is None else _solid_box(positions[inside], weights[inside])
            low, high = (np.clip(end, bounds.low, bounds.high) for end in (found.low, found.high))
            low = np.where(low - bounds.low <= margin, bounds.low, low)
            return Extent(low, np.where(bounds.high - high <= margin, bounds.high, high))
    if not known.any():
        return Extent(np.zeros(3), np.zeros(3))
    return _box(positions[known]) if weights is None else _solid_box(positions[known], weights[known])


def _box(positions: np.ndarray) -> Extent:
    return Extent(positions.min(axis=0), positions.max(axis=0))


def _solid_box(positions: np.ndarray, weights: np.ndarray) -> Extent:
    """The box of the points [N, 3] that are no strays, with weights [N] above 0.

    Strays are points without near neighbors and clusters that hold less than a hundredth of all weight. Of the rest, a two-thousandth is
    left out on each side.
    """
    # A few huge gaussians must not outweigh all others.
    weights = np.minimum(weights, _HEAVIEST * np.median(weights))
    if len(positions) > _SAMPLES:
        # Weighted sampling without replacement (Efraimidis and Spirakis 2006); after it all samples weigh the same.
        keys = np.random.default_rng(0).exponential(size=len(positions)) / weights
        positions = positions[np.argpartition(keys, _SAMPLES)[:_SAMPLES]]
        weights = np.ones(_SAMPLES)
    solid = _connected(positions, weights)
    positions, weights = positions[solid], weights[solid]
    low, high = (np.array([way * _quantile(way * column, weights, _TRIM) for column in positions.T]) for way in (1.0, -1.0))
    return Extent(low, high)


def _connected(positions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which points belong to clusters that hold at least a hundredth of all weight, [N] bool."""
    count = len(positions)
    neighbors = min(_NEIGHBORS, (count - 1) // 4)
    if neighbors < 1:
        return np.ones(count, dtype=bool)
    tree = KDTree(count)
    # It computes with 32 bits, which are few far from the origin.
    positions = positions - np.median(positions, axis=0)
    for index, position in enumerate(positions.tolist()):
        tree.insert(position, index)
    tree.balance()
    # The point itself comes first.
    found = [tree.find_n(position, neighbors + 1)[1:] for position in positions.tolist()]
    others = np.array([[index for _, index, _ in row] for row in found])
    distances = np.array([[distance for _, _, distance in row] for row in found])
    # In four fifths of the cloud neighbors are near: strays are fewer than the rest, whose density may differ from part to part.
    reach = max(4 * _quantile(distances[:, -1], weights, 0.5), 2 * _quantile(distances[:, -1], weights, 0.8))
    near = distances <= reach
    first, second = np.repeat(np.arange(count), neighbors)[near.ravel()], others[near]
    labels = np.arange(count)
    while True:
        lowest = labels.copy()
        np.minimum.at(lowest, first, labels[second])
        np.minimum.at(lowest, second, labels[first])
        lowest = lowest[lowest]
        if np.array_equal(lowest, labels):
            break
        labels = lowest
    shares = np.bincount(labels, weights, minlength=count)
    return (shares >= min(_LEAST_CLUSTER * shares.sum(), shares.max()))[labels]


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The smallest value below or at which a share of all weight lies."""
    order = np.argsort(values)
    passed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(passed, share * passed[-1])])


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
