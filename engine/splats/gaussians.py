# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as training holds them: parameters and their optimiser's moments, row by row."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import cKDTree

from ..formats.splats import Splats

# Of the harmonics' constant: colour = 0.5 + C0 * sh0.
C0 = 0.28209479177387814
_INITIAL_OPACITY = 0.1


class Gaussians:
    """N gaussians. ``values``, ``first`` and ``second`` hold a float32 array for each of NAMES: the parameter and Adam's two moments.

    Means are relative to ``center``, because float32 has no millimetres left kilometres from the origin.
    """

    NAMES = ("means", "log_scales", "quats", "opacity_logits", "sh0", "shn")

    def __init__(self, values: dict[str, np.ndarray], center: np.ndarray):
        self.values = values
        self.center = center
        self.first = {name: np.zeros_like(array) for name, array in values.items()}
        self.second = {name: np.zeros_like(array) for name, array in values.items()}

    def __len__(self) -> int:
        return len(self.values["means"])

    @classmethod
    def from_points(cls, positions: np.ndarray, colors: np.ndarray, center: np.ndarray, radius: float, degree: int) -> Gaussians:
        """One gaussian a point, as large as the mean distance to its three nearest neighbours (Kerbl et al. 2023, section 5.1).

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
            "sh0": ((colors - 0.5) / C0).astype(np.float32),
            "shn": np.zeros((count, (degree + 1) ** 2 - 1, 3), np.float32),
        }
        return cls(values, np.asarray(center, np.float64))

    def keep(self, index: np.ndarray) -> None:
        """Keeps the rows of an index or mask, with their moments."""
        for table in (self.values, self.first, self.second):
            for name in self.NAMES:
                table[name] = np.ascontiguousarray(table[name][index])

    def append(self, rows: dict[str, np.ndarray]) -> None:
        """Adds rows, whose moments start at zero."""
        for name in self.NAMES:
            fresh = rows[name].astype(np.float32)
            self.values[name] = np.concatenate([self.values[name], fresh])
            for table in (self.first, self.second):
                table[name] = np.concatenate([table[name], np.zeros_like(fresh)])

    def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Copies of the parameters of some rows."""
        return {name: self.values[name][index].copy() for name in self.NAMES}

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
