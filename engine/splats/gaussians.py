# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as training holds them: parameters and their optimizer's moments, row by row."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import cKDTree

from ..formats.splats import Splats
from ..harmonics import SH_C0
from ..kernels import simd
from ..kernels.adam import deferred
from ..kernels.adam.cpu import corrected
from ..kernels.math import aligned
from ..kernels.project import cpu as project

_INITIAL_OPACITY = 0.1


def _shapes(coefficients: int) -> dict[str, tuple[int, ...]]:
    """Rows of the table that each parameter takes, from its first: how the numbers of one gaussian are arranged."""
    return {"means": (3,), "log_scales": (3,), "quats": (4,), "opacity_logits": (), "sh0": (3,), "shn": (coefficients - 1, 3)}


def _named(table: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Views of the table's parameters, the gaussian's index first."""
    views, row = {}, 0
    for name, shape in _shapes((len(table) - project.ROWS) // 3 + 1).items():
        rows = math.prod(shape)
        views[name] = np.moveaxis(table[row : row + rows, :count].reshape(*shape, count), -1, 0)
        row += rows
    return views


def _table(values: dict[str, np.ndarray]) -> np.ndarray:
    """A table of some gaussians' parameters, [rows, N]."""
    count, shapes = len(values["means"]), _shapes(values["shn"].shape[1] + 1)
    parts = [np.moveaxis(values[name], 0, -1).reshape(math.prod(shape), count) for name, shape in shapes.items()]
    return np.concatenate(parts).astype(np.float32)


def _filled(array: np.ndarray) -> np.ndarray:
    """The array with zeros up to a whole number of vectors, on a cache line's edge."""
    rows, count = array.shape
    columns = -(-max(count, 1) // simd.WIDTH) * simd.WIDTH
    filled = aligned(rows * columns).reshape(rows, columns)
    filled[:, :count], filled[:, count:] = array, 0
    return filled


class Gaussians:
    """N gaussians with Adam's two moments.

    ``table``, ``first`` and ``second`` [rows, C] hold a row for each number, as the kernels take it (kernels/project); ``values`` names
    parts of the table, the gaussian's index first: writing to them writes to the table. Gaussians out of view may owe steps of the
    optimizer (kernels/adam/deferred): then the tables are behind until :meth:`settle`, which all else here does by itself.
    Means are relative to ``center``, because float32 has no millimeters left kilometers from the origin.
    """

    NAMES = ("means", "log_scales", "quats", "opacity_logits", "sh0", "shn")

    def __init__(self, values: dict[str, np.ndarray], center: np.ndarray):
        self.center = center
        table = _table(values)
        self.time = 0
        self._paces = np.zeros((deferred.LIMIT, len(table)), np.float32)
        self._corrections = np.zeros(deferred.LIMIT, np.float32)
        self._set(table, np.zeros_like(table), np.zeros_like(table))

    def _set(self, table: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        """Takes over [rows, N] arrays, filled up to whole vectors with gaussians that are never seen."""
        self.count = table.shape[1]
        self.table, self.first, self.second = (_filled(array) for array in (table, first, second))
        self.table[project.LOGITS, self.count :] = -100.0
        self._values = _named(self.table, self.count)
        self.done = np.full(self.table.shape[1] // simd.WIDTH, self.time, np.int32)
        self._settled = self.time

    @property
    def values(self) -> dict[str, np.ndarray]:
        """The parameters by name, up to date."""
        self.settle()
        return self._values

    def __len__(self) -> int:
        return self.count

    @classmethod
    def from_points(cls, positions: np.ndarray, colors: np.ndarray, center: np.ndarray, radius: float, degree: int) -> Gaussians:
        """One gaussian a point, as large as the mean distance to its three nearest neighbors (Kerbl et al. 2023, section 5.1).

        Args:
            positions: [N, 3] world. colors: [N, 3] float, 0 to 1, in the light of blending.
            center: [3], the new origin. radius: of the scene, bounds the sizes of lonely points.
            degree: of the harmonics to make room for.
        """
        means = (positions - center).astype(np.float32)
        count = len(means)
        if count > 1:
            distances, _ = cKDTree(means).query(means, k=min(4, count), workers=1)
            size = np.sqrt((distances[:, 1:] ** 2).mean(axis=1))
        else:
            size = np.full(count, 0.01 * radius)
        log_scales = np.log(np.clip(size, 1e-5 * radius, 0.2 * radius)).astype(np.float32)
        values = {
            "means": means,
            "log_scales": np.repeat(log_scales[:, None], 3, axis=1),
            "quats": np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
            "opacity_logits": np.full(count, math.log(_INITIAL_OPACITY / (1 - _INITIAL_OPACITY)), np.float32),
            "sh0": ((colors - 0.5) / SH_C0).astype(np.float32),
            "shn": np.zeros((count, (degree + 1) ** 2 - 1, 3), np.float32),
        }
        return cls(values, np.asarray(center, np.float64))

    def begin_step(self, rates: np.ndarray, time: int) -> tuple[np.ndarray, np.float32]:
        """Notes learning rates [rows] of a step of the optimizer, for those who will owe it. Returns what kernels/adam makes of them."""
        if time - self._settled >= deferred.LIMIT:
            self.settle()
        self.time = time
        slot = time % deferred.LIMIT
        self._paces[slot], self._corrections[slot] = corrected(rates, time)
        return self._paces[slot], self._corrections[slot]

    def settle(self, view: tuple | None = None, near: float = 0.0) -> None:
        """Makes the steps of the optimizer that gaussians owe: all, or those that a view (kernels/project) might show."""
        if self._settled == self.time:
            return
        reach = deferred.REACH * self._paces.max(axis=0)
        everywhere = (np.eye(4, dtype=np.float32), np.zeros(3, np.float32), np.ones(4, np.float32), 1, 1)
        owed = (self.done, self.time, self._paces, self._corrections, reach.astype(np.float32), view is None)
        deferred.catch_up(self.table, self.first, self.second, *owed, *(view or everywhere), np.float32(near))
        if view is None:
            self._settled = self.time

    def keep(self, index: np.ndarray) -> None:
        """Keeps the gaussians of an index or mask, in its order, with their moments."""
        self.settle()
        n = self.count
        self._set(self.table[:, :n][:, index], self.first[:, :n][:, index], self.second[:, :n][:, index])

    def sort(self) -> None:
        """Orders the gaussians along a Morton curve: what lies together in space lies together in memory, and leaves the view together."""
        means = self.values["means"]
        finite = np.isfinite(means).all(axis=1)
        low, high = (np.percentile(means[finite], share, axis=0) if finite.any() else np.zeros(3) for share in (1, 99))
        with np.errstate(invalid="ignore"):
            cells = np.nan_to_num(np.clip((means - low) / np.where(high > low, high - low, 1) * 1023, 0, 1023)).astype(np.uint32)
        code = np.zeros(len(cells), np.uint32)
        for bit in range(10):
            for axis in range(3):
                code |= (cells[:, axis] >> bit & 1) << (3 * bit + axis)
        self.keep(np.argsort(code, kind="stable"))

    def append(self, values: dict[str, np.ndarray]) -> None:
        """Adds gaussians, whose moments start at zero."""
        self.settle()
        n, fresh = self.count, _table(values)
        nothing = np.zeros_like(fresh)
        pairs = ((self.table, fresh), (self.first, nothing), (self.second, nothing))
        self._set(*(np.concatenate([array[:, :n], new], axis=1) for array, new in pairs))

    def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Copies of the parameters of some gaussians."""
        return {name: self.values[name][index].copy() for name in self.NAMES}

    def forget(self, name: str, index: np.ndarray | slice = slice(None)) -> None:
        """Sets a parameter's moments to zero."""
        self.settle()
        for table in (self.first, self.second):
            _named(table, self.count)[name][index] = 0

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps: arrays [rows, N]."""
        self.settle()
        return {"values": self.table[:, : self.count], "first": self.first[:, : self.count], "second": self.second[:, : self.count]}

    def load_state(self, arrays: dict[str, np.ndarray], time: int) -> None:
        """Takes back what :meth:`state` gave after a step's number."""
        self.time = time
        self._set(arrays["values"], arrays["first"], arrays["second"])

    def splats(self, blend: str, antialias: bool) -> Splats:
        """What is written to a file: world coordinates, unit quaternions. Rows that hold a number that is not finite are left out."""
        values = self.values
        quats = values["quats"] / np.maximum(np.linalg.norm(values["quats"], axis=1, keepdims=True), 1e-12)
        sh = np.concatenate([values["sh0"][:, None], values["shn"]], axis=1)
        finite = np.all([np.isfinite(array.reshape(len(self), -1)).all(axis=1) for array in values.values()], axis=0)
        return Splats(
            (values["means"][finite] + self.center).astype(np.float32),
            values["log_scales"][finite],
            quats[finite].astype(np.float32),
            values["opacity_logits"][finite],
            sh[finite],
            blend,
            antialias,
        )

    @classmethod
    def from_splats(cls, splats: Splats) -> Gaussians:
        """Gaussians to render a file's splats with."""
        center = splats.means.astype(np.float64).mean(axis=0) if len(splats) else np.zeros(3)
        values = {
            "means": (splats.means - center).astype(np.float32),
            "log_scales": splats.log_scales.astype(np.float32),
            "quats": splats.quats.astype(np.float32),
            "opacity_logits": splats.opacity_logits.astype(np.float32),
            "sh0": np.ascontiguousarray(splats.sh[:, 0], np.float32),
            "shn": np.ascontiguousarray(splats.sh[:, 1:], np.float32),
        }
        return cls(values, center)
