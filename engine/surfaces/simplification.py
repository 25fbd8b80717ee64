# SPDX-License-Identifier: GPL-3.0-or-later
"""A fine mesh as one of few triangles, and its texture coordinates."""

from __future__ import annotations

import numpy as np

from .triangles import only

# How fast the error grows that a collapse may make: less is slower, and keeps shapes.
_HASTE = 3.0
# Pixels between two pieces of the texture: mipmaps and filters look beyond edges.
_PADDING = 4
_TRIES = 6
# Share of its extent that a thing may be stretched by.
_STRETCH = 0.01
# Steps in which texels are made denser until they no longer fit.
_DENSER = 1.07


def simplified(positions: np.ndarray, triangles: np.ndarray, faces: int) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with at most so many triangles, by quadric errors (Garland and Heckbert 1997).

    Args:
        positions: [V, 3] float64. triangles: [M, 3]. faces: the most triangles there may be.

    Returns:
        New positions and triangles.
    """
    from fast_simplification import simplify

    middle, size = positions.mean(axis=0), float(np.ptp(positions, axis=0).max())
    # Its thresholds are for things of size 1.
    made, kept = (positions - middle) / max(size, 1e-30), triangles.astype(np.int32)
    for _ in range(_TRIES):
        if len(kept) <= faces:
            break
        made, kept = simplify(made, kept, target_count=faces, agg=_HASTE)
        kept = _proper(made, kept)
    made, kept = only(np.ones(len(kept), bool), made, kept.astype(np.int64))
    return _stretched(made * size + middle, positions), kept


def _stretched(made: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The simplified positions with the extent of the fine ones: collapses cut off a little on all sides. Where more than a little is
    missing, something thin went, and they stay as they are.
    """
    if not len(made):
        return made
    low, extent = made.min(axis=0), np.ptp(made, axis=0)
    factor = np.ptp(positions, axis=0) / np.maximum(extent, 1e-30)
    factor = np.where(np.abs(factor - 1) < _STRETCH, factor, 1)
    start = np.where(factor == 1, low, positions.min(axis=0))
    return (made - low) * factor + start


def unwrapped(positions: np.ndarray, triangles: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts a mesh open so that it lies flat in a square texture.

    Args:
        positions: [V, 3]. triangles: [M, 3]. size: of the texture, px.

    Returns:
        [U] which vertex each new one was; the triangles with new numbers, [M, 3]; [U, 2] float32, its place, 0 to 1, v up.
    """
    import xatlas

    middle, length = positions.mean(axis=0), float(np.ptp(positions, axis=0).max())
    options = xatlas.PackOptions()
    options.resolution, options.padding, options.bilinear = size, _PADDING, True

    def pack(density: float) -> xatlas.Atlas:
        options.texels_per_unit = density
        atlas = xatlas.Atlas()
        atlas.add_mesh(((positions - middle) / length).astype(np.float32), triangles.astype(np.uint32))
        atlas.generate(pack_options=options)
        return atlas

    # How dense texels can be is only estimated, too low as a rule.
    best = atlas = pack(0.0)
    for _ in range(_TRIES):
        denser = atlas.atlas_count == 1
        if denser:
            best = atlas
        elif best.atlas_count == 1:
            break
        atlas = pack(atlas.texels_per_unit * (_DENSER if denser else 1 / _DENSER))
    if best.atlas_count > 1:
        best = atlas
    source, corners, places = best.get_mesh(0)
    places = np.clip(np.asarray(places, np.float32), 0, 1)
    return np.asarray(source, np.int64), np.asarray(corners, np.int64).reshape(-1, 3), np.stack([places[:, 0], 1 - places[:, 1]], axis=1)


def _proper(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The triangles with three corners and an area, each once."""
    a, b, c = (positions[triangles[:, corner]] for corner in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    longest = np.maximum(np.linalg.norm(b - a, axis=1), np.maximum(np.linalg.norm(c - b, axis=1), np.linalg.norm(a - c, axis=1)))
    triangles = triangles[area > 1e-6 * longest**2]
    _, first = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    return triangles[np.sort(first)]
