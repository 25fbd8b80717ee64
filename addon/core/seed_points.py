# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed cloud: points on the surfaces that the views see, in their rendered colors, evenly spread. NumPy only."""

from __future__ import annotations

import numpy as np

from ...engine.cameras import Camera, unproject

# So many candidates for each point that is kept make the spread even; more only cost time.
_CANDIDATES = 24
# A surface's 1/z is linear across the picture. Where it bends by more than this share, two surfaces meet in the pixel.
_BEND = 0.02


class SeedPoints:
    """Gathers candidates view by view, and thins them at the end.

    Args:
        count: points wanted in the end.
        views: how many views will be added.
        seed: of the choice.
    """

    def __init__(self, count: int, views: int, seed: int):
        self._count, self._random = count, np.random.default_rng(seed)
        self._each = -(-count * _CANDIDATES // max(views, 1))
        self._positions: list[np.ndarray] = []
        self._colors: list[np.ndarray] = []

    def add(self, camera: Camera, picture: np.ndarray, depth: np.ndarray) -> None:
        """Takes candidates from a view.

        Args:
            camera: the view.
            picture: [H, W, 4] uint8, straight alpha.
            depth: [H, W] planar z in meters, 0 where nothing is.
        """
        chosen = np.flatnonzero(_smooth(depth) & (picture[..., 3] == 255))
        if len(chosen) > self._each:
            chosen = self._random.choice(chosen, self._each, replace=False)
        self._positions.append(unproject(camera, depth).reshape(-1, 3)[chosen])
        self._colors.append(picture[..., :3].reshape(-1, 3)[chosen])

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions [N, 3] float64 in meters and colors [N, 3] uint8; at most the count that was wanted."""
        if not self._positions:
            return np.empty((0, 3)), np.empty((0, 3), dtype=np.uint8)
        positions, colors = np.concatenate(self._positions), np.concatenate(self._colors)
        order = self._random.permutation(len(positions))
        positions, colors = positions[order], colors[order]
        kept = thin(positions, self._count)
        return positions[kept], colors[kept]


def thin(positions: np.ndarray, count: int) -> np.ndarray:
    """Chooses points evenly: the first in each cell of the finest cubic grid that leaves no more than ``count`` of them.

    Args:
        positions: [N, 3].
        count: the most that are kept.

    Returns:
        Indices, at most ``count`` and within some percent of it.
    """
    if len(positions) <= count:
        return np.arange(len(positions))
    if count == 0:
        return np.empty(0, dtype=int)
    low = positions.min(axis=0)
    coarse, fine = float((positions.max(axis=0) - low).max()) * 1.01 + 1e-9, 0.0
    best = np.zeros(1, dtype=int)
    for _ in range(20):
        size = (coarse + fine) / 2
        cells = np.floor((positions - low) / size).astype(np.int64)
        sides = cells.max(axis=0) + 1
        if np.prod(sides.astype(float)) > 2**62:
            fine = size
            continue
        first = np.unique((cells[:, 0] * sides[1] + cells[:, 1]) * sides[2] + cells[:, 2], return_index=True)[1]
        if len(first) > count:
            fine = size
        else:
            coarse, best = size, first
            if len(first) > 0.97 * count:
                break
    return best


def _smooth(depth: np.ndarray) -> np.ndarray:
    """Pixels that lie with their neighbors on one surface, [H, W] bool. Border pixels do not count as such."""
    near = np.where(depth > 0, 1.0 / np.maximum(depth, 1e-9), np.nan)
    smooth = np.zeros(depth.shape, dtype=bool)
    middle = near[1:-1, 1:-1]
    with np.errstate(invalid="ignore"):
        across = np.abs(near[1:-1, 2:] + near[1:-1, :-2] - 2 * middle)
        down = np.abs(near[2:, 1:-1] + near[:-2, 1:-1] - 2 * middle)
        smooth[1:-1, 1:-1] = (across < _BEND * middle) & (down < _BEND * middle)
    return smooth
