# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of triangles: a depth buffer, lamps without shadows, and what nearby matter takes of the light from all round.

Light is scene-linear; pictures are sRGB codes with straight alpha, each pixel the mean of 2×2 samples. Cameras are OpenCV's and look at
things from outside: a triangle of which a corner is not in front is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import check_indices, given

SAMPLES = 2
NEAR = 1e-3

# Columns of the table of finishes: the pattern's kind (see PATTERNS), how often it repeats in a unit of length, how far it darkens, the
# axis that it runs along; how much of a lamp is mirrored, and how sharply.
KIND, OFTEN, DARKENS, AXIS, MIRRORS, SHARP = range(6)
PATTERNS = ("plain", "grain", "stripes", "speckles")


@dataclass(frozen=True, eq=False)
class Surface:
    """What is drawn, in any unit.

    ``triangles``: [M, 3, 3]. ``normals``: [M, 3, 3], of each corner, unit; which side is the front does not matter. ``colors``: [M, 3, 3]
    scene-linear, of each corner. ``finishes``: [M], rows of ``table`` [K, 6]. ``crowded``: [n, n, n], how much of a place's surroundings
    is filled, 0 to 1, on a grid over the cube from -1/2 to 1/2. All float32, ``finishes`` int32.
    """

    triangles: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    finishes: np.ndarray
    table: np.ndarray
    crowded: np.ndarray


@dataclass(frozen=True, eq=False)
class Views:
    """From where, and in which light. All float32.

    ``viewmats``: [V, 3, 4] world to camera. ``lenses``: [V, 4] focal lengths and principal point in pixels. ``sky``, ``ground``: [V, 3]
    light from above and below. ``lamps``: [V, L, 6] directions towards far lamps, unit, and their light.
    """

    viewmats: np.ndarray
    lenses: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    lamps: np.ndarray


def draw(surface: Surface, views: Views, size: int) -> np.ndarray:
    """Draws a surface.

    Args:
        surface, views: see there. size: side of the square pictures in pixels.

    Returns:
        [V, size, size, 4] uint8.

    Raises:
        ValueError: an array has another shape or type, or a finish is not in the table.
    """
    from . import cpu

    count, seen, side = len(surface.triangles), len(views.viewmats), len(surface.crowded)
    check_indices("finishes", surface.finishes, len(surface.table))
    return cpu.draw(
        *(given(name, getattr(surface, name), (count, 3, 3)) for name in ("triangles", "normals", "colors")),
        given("finishes", surface.finishes, (count,), np.int32),
        given("table", surface.table, (None, SHARP + 1)),
        # A place is looked up between two cells.
        given("crowded", surface.crowded, (max(side, 2),) * 3),
        given("viewmats", views.viewmats, (seen, 3, 4)),
        given("lenses", views.lenses, (seen, 4)),
        given("sky", views.sky, (seen, 3)),
        given("ground", views.ground, (seen, 3)),
        given("lamps", views.lamps, (seen, None, 6)),
        size,
    )
