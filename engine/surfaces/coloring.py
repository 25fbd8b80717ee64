# SPDX-License-Identifier: GPL-3.0-or-later
"""Colors of a mesh's vertices, from pictures with depth."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ..kernels.sampling import gather
from .depths import DepthMaps

_SHARPNESS = 3.0


def vertex_colors(maps: DepthMaps, positions: np.ndarray, normals: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """What the pictures show at places of a surface.

    Args:
        maps: pictures with depth. positions: [V, 3] world. normals: [V, 3], unit. tolerance: what a place may lie behind the depth.

    Returns:
        [V, 3] uint8 sRGB, those of the nearest place that is seen where none sees it; [V] bool, whether one does.
    """
    middle = positions.mean(axis=0)
    places, normals = (positions - middle).astype(np.float32), normals.astype(np.float32)
    turns, shifts, lenses = maps.views(middle)
    unit = float(np.median(lenses[:, 0] / np.maximum(np.linalg.norm(shifts, axis=1), 1e-30)))
    totals = np.zeros((len(places), 4), np.float32)
    for number in range(len(maps.cameras)):
        depth, trust = np.maximum(maps.depths[number], 0), (maps.slants[number] > 0) * maps.strengths[number]
        picture = maps.colors[number].astype(np.float32)
        view = (turns[number], shifts[number], lenses[number], depth, tolerance, picture, trust.astype(np.float32))
        gather(places, normals, *view, unit, _SHARPNESS, totals)
    seen = totals[:, 3] > 0
    codes = np.full((len(places), 3), 128, np.uint8)
    codes[seen] = np.rint(totals[seen, :3] / totals[seen, 3:]).clip(0, 255)
    if seen.any() and not seen.all():
        _, nearest = cKDTree(positions[seen]).query(positions[~seen])
        codes[~seen] = codes[seen][nearest]
    return codes, seen
