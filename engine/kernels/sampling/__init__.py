# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours of places on a surface, from pictures of it."""

from __future__ import annotations

import numpy as np

from ..arrays import check, given


def gather(
    places: np.ndarray,
    normals: np.ndarray,
    turn: np.ndarray,
    shift: np.ndarray,
    lens: np.ndarray,
    depth: np.ndarray,
    tolerance: float,
    picture: np.ndarray,
    trust: np.ndarray,
    unit: float,
    sharpness: float,
    totals: np.ndarray,
) -> None:
    """Adds what a picture shows of places, the more the squarer and the larger it shows them; nothing for places that are not finite.

    Args:
        places, normals: [P, 3] float32, unit normals.
        turn, shift: [3, 3] and [3] float32, to the camera's axes, x right, y down, z forward. lens: [4] float32, fx, fy, cx, cy.
        depth: [H, W] float32, planar z of the nearest surface, 0 where there is none. tolerance: what a place may lie behind it.
        picture: [H, W, C] float32. trust: [H, W] float32, 0 to 1, what a pixel counts.
        unit: pixels on a length of 1 that make a weight of 1 when seen squarely.
        sharpness: power of the weights; the higher, the more the best picture prevails.
        totals: [P, C + 1] float32, the sums of weighted colours and of weights.

    Raises:
        ValueError: an array has another shape or type.
    """
    from . import cpu

    places, picture = given("places", places, (None, 3)), given("picture", picture, (None, None, None))
    height, width, channels = picture.shape
    check("totals", totals, (len(places), channels + 1))
    view = (given("turn", turn, (3, 3)), given("shift", shift, (3,)), given("lens", lens, (4,)), given("depth", depth, (height, width)))
    counts = (given("trust", trust, (height, width)), unit, sharpness)
    cpu.gather(places, given("normals", normals, places.shape), *view, tolerance, picture, *counts, totals)
