# SPDX-License-Identifier: GPL-3.0-or-later
"""Furniture that is made up: thousands of different pieces, each from a number."""

from __future__ import annotations

import zlib

import numpy as np

from ..shapes import Shape
from .beds import bed
from .decor import lamp, plant
from .piece import Dice
from .seating import chair, sofa
from .storage import cabinet, shelf
from .tables import table

_MAKERS = {"chair": chair, "table": table, "sofa": sofa, "bed": bed, "cabinet": cabinet, "shelf": shelf, "lamp": lamp, "plant": plant}
CATEGORIES = tuple(_MAKERS)


def furniture(category: str, seed: int) -> Shape:
    """One piece, the same for the same category and seed: meters, Z up, its front looking along -Y, standing about the origin."""
    # Not hash(): it differs from process to process.
    dice = Dice(np.random.default_rng([zlib.crc32(category.encode()), seed]))
    return _MAKERS[category](dice).shape()
