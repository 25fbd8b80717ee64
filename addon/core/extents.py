# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the solid part of a cloud or a surface is, whatever stray points there are. Meters, Z up."""

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
