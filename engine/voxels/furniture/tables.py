# SPDX-License-Identifier: GPL-3.0-or-later
"""Dining tables, desks, coffee tables, side tables, consoles."""

from __future__ import annotations

import numpy as np

from . import parts
from .legs import stand
from .piece import Dice, Piece

_TOPS = ("wood", "wood", "wood", "paint", "glass", "earth")
_LEGS = ("straight", "straight", "straight", "splayed", "turned", "sled", "panels", "pedestal", "trestle", "crossed", "hairpin")
# Width, depth and height of the kinds.
_SIZES = {
    "dining": ((1.0, 2.2), (0.7, 1.1), (0.71, 0.78)),
    "square": ((0.7, 1.1), (0.7, 1.1), (0.68, 0.78)),
    "coffee": ((0.7, 1.4), (0.45, 0.8), (0.3, 0.48)),
    "side": ((0.32, 0.6), (0.32, 0.55), (0.4, 0.68)),
    "desk": ((0.9, 1.7), (0.5, 0.8), (0.7, 0.78)),
    "console": ((0.8, 1.5), (0.28, 0.42), (0.72, 0.9)),
    "bar": ((0.5, 1.3), (0.45, 0.7), (0.95, 1.12)),
}


def table(dice: Dice) -> Piece:
    """A plate at some height, and what goes with it."""
    piece = Piece(dice)
    kind = dice.pick(list(_SIZES), [4, 3, 4, 3, 4, 2, 1])
    width, depth, height = (dice.between(*span) for span in _SIZES[kind])
    if kind in ("square", "side") and dice.chance(0.5):
        depth = width
    thick = dice.between(0.015, 0.06)
    top = piece.material("top", _TOPS)
    outline = _outline(dice, width, depth, kind)
    piece.add(top, parts.prism(outline, height - thick, height))
    if dice.chance(0.1):
        # A cloth that hangs down.
        cloth = piece.material("cloth", ("fabric",))
        piece.add(cloth, parts.prism(outline * 1.02, height - dice.between(0.1, 0.9) * height, height + 0.006))
    leg = dice.between(0.03, 0.09) * (0.7 if kind in ("side", "coffee") else 1.0)
    reach = 0.72 if len(outline) > 8 and kind != "desk" else 0.96
    styles = tuple(style for style in _LEGS if style != "pedestal" or max(width, depth) < 1.5 * min(width, depth))
    stand(piece, width * reach, depth * reach, height - thick, styles, leg)
    {"desk": _desk, "coffee": _shelf, "side": _shelf, "console": _drawers}.get(kind, _nothing)(
        piece, width * reach, depth * reach, height - thick
    )
    return piece


def _outline(dice: Dice, width: float, depth: float, kind: str) -> np.ndarray:
    style = dice.pick(["plain", "soft", "round", "oval", "cut", "boat"], [8, 4, 2, 4 if kind != "desk" else 0, 1, 1])
    if style == "oval":
        return parts.oval(width, depth, 28)
    if style == "cut":
        c = 0.25 * min(width, depth)
        x, y = width / 2, depth / 2
        return np.array([(x, -y + c), (x, y - c), (x - c, y), (-x + c, y), (-x, y - c), (-x, -y + c), (-x + c, -y), (x - c, -y)])
    if style == "boat":
        along = np.linspace(-1, 1, 9)
        edge = np.stack([along * width / 2, depth / 2 * (1 - 0.25 * along**2)], axis=1)
        return np.concatenate([edge[::-1], edge * (1, -1)])
    return parts.rounded(width, depth, {"plain": 0.002, "soft": dice.between(0.02, 0.08), "round": dice.between(0.1, 0.4)}[style])


def _nothing(piece: Piece, width: float, depth: float, height: float) -> None:
    """Only the plate and its legs."""


def _shelf(piece: Piece, width: float, depth: float, height: float) -> None:
    """A second plate, or a drawer."""
    dice = piece.dice
    kind = dice.pick(["none", "plate", "drawer", "box"], [4, 3, 2, 1])
    body = piece.material("body", ("wood", "paint", "glass"))
    if kind == "plate":
        level = height * dice.between(0.2, 0.6)
        piece.add(body, parts.box((-width * 0.44, -depth * 0.44, level), (width * 0.44, depth * 0.44, level + 0.02)))
    elif kind == "drawer":
        low = height - dice.between(0.1, 0.22) * (1 if height > 0.3 else 0.5)
        piece.add(body, parts.box((-width * 0.46, -depth * 0.46, low), (width * 0.46, depth * 0.46, height)))
    elif kind == "box":
        piece.add(body, parts.box((-width * 0.45, -depth * 0.45, height * dice.between(0.05, 0.3)), (width * 0.45, depth * 0.45, height)))


def _desk(piece: Piece, width: float, depth: float, height: float) -> None:
    """Drawers below one or both ends, a wall between, a rack above."""
    dice = piece.dice
    body = piece.material("body", ("wood", "paint"))
    wide = dice.between(0.22, 0.32) * width
    for side in dice.pick([(), (-1,), (1,), (-1, 1)], [3, 2, 2, 2]):
        low = dice.pick([0.03, height * dice.between(0.4, 0.75)])
        outer = side * width / 2
        piece.add(body, parts.box((outer, -depth / 2, low), (outer - side * wide, depth / 2, height)))
        front = piece.material("front", ("wood", "paint"))
        count = max(1, round((height - low) / 0.18))
        edges = np.linspace(low, height, count + 1)
        for a, b in zip(edges, edges[1:], strict=False):
            piece.add(
                front,
                parts.box((outer - side * 0.01, -depth / 2 - 0.012, a + 0.008), (outer - side * (wide - 0.01), -depth / 2, b - 0.008)),
            )
    if dice.chance(0.35):
        piece.add(body, parts.box((-width / 2, depth / 2 - 0.03, height * dice.between(0.2, 0.7)), (width / 2, depth / 2 - 0.012, height)))
    if dice.chance(0.2):
        rise, back = dice.between(0.15, 0.5), depth / 2
        piece.both(body, parts.box((width / 2 - 0.02, back - 0.2, height), (width / 2, back, height + rise)))
        piece.add(body, parts.box((-width / 2, back - 0.2, height + rise - 0.02), (width / 2, back, height + rise)))


def _drawers(piece: Piece, width: float, depth: float, height: float) -> None:
    """A row of drawers below the plate, a plate near the floor."""
    dice = piece.dice
    body = piece.material("body", ("wood", "paint"))
    if dice.chance(0.5):
        piece.add(body, parts.box((-width / 2, -depth / 2, height - dice.between(0.1, 0.25)), (width / 2, depth / 2, height)))
    if dice.chance(0.5):
        level = height * dice.between(0.08, 0.4)
        piece.add(body, parts.box((-width / 2, -depth * 0.45, level), (width / 2, depth * 0.45, level + 0.025)))
