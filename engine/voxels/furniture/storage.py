# SPDX-License-Identifier: GPL-3.0-or-later
"""Cabinets, which have fronts, and shelves, which are open."""

from __future__ import annotations

import numpy as np

from . import parts
from .legs import stand
from .piece import Dice, Piece

_BODIES = ("wood", "wood", "paint", "paint")
# Width, depth and height of the kinds.
_CABINETS = {
    "wardrobe": ((0.8, 2.0), (0.5, 0.65), (1.7, 2.3)),
    "dresser": ((0.7, 1.5), (0.4, 0.55), (0.7, 1.1)),
    "sideboard": ((1.2, 2.0), (0.38, 0.5), (0.6, 0.9)),
    "nightstand": ((0.35, 0.55), (0.3, 0.45), (0.4, 0.65)),
    "television": ((1.2, 2.0), (0.35, 0.48), (0.35, 0.55)),
    "tall": ((0.35, 0.6), (0.35, 0.5), (1.2, 2.1)),
    "kitchen": ((0.4, 1.0), (0.55, 0.62), (0.82, 0.92)),
    "vitrine": ((0.6, 1.1), (0.35, 0.45), (1.5, 2.1)),
    "trunk": ((0.7, 1.2), (0.4, 0.55), (0.4, 0.55)),
}


def cabinet(dice: Dice) -> Piece:
    """A closed body with doors and drawers, some of it perhaps open."""
    piece = Piece(dice)
    kind = dice.pick(list(_CABINETS), [4, 4, 4, 3, 3, 2, 3, 2, 1])
    width, depth, height = (dice.between(*span) for span in _CABINETS[kind])
    body, foot = piece.material("body", _BODIES), dice.pick([0.0, dice.between(0.04, 0.1), dice.between(0.1, 0.28)])
    foot = min(foot, height * 0.45)
    if foot:
        styles = ("plinth", "straight") if foot < 0.1 else ("straight", "splayed", "turned", "hairpin", "sled", "panels", "straight")
        stand(piece, width * 0.97, depth * 0.97, foot, styles, dice.between(0.025, 0.06))
    board = dice.between(0.015, 0.035)
    open_ = (width - 2 * board, depth - 2 * board, height - foot - 2 * board)
    if kind == "trunk":
        piece.add(body, parts.box((-width / 2, -depth / 2, foot), (width / 2, depth / 2, height - 0.12)))
        lid = parts.cushion((-width / 2, -depth / 2, height - 0.16), (width / 2, depth / 2, height), dice.between(0.05, 1.0))
        piece.add(body, lid)
        return piece
    columns, rows = _divided(dice, *open_[::2], kind)
    edges_x = np.linspace(-width / 2 + board, width / 2 - board, columns + 1)
    edges_z = np.linspace(foot + board, height - board, rows + 1)
    if rows > 1 and dice.chance(0.4):
        edges_z[1:-1] += dice.between(-0.3, 0.3) * (edges_z[1] - edges_z[0])
    holes = np.zeros((columns, rows), bool)
    share = {"television": 0.45, "vitrine": 0.3, "sideboard": 0.15}.get(kind, 0.08)
    for cell in np.ndindex(columns, rows):
        holes[cell] = dice.chance(share)
    if holes.all():
        holes[0, 0] = False
    _carcass(piece, body, width, depth, foot, height, board, edges_x, edges_z, holes)
    front = piece.material("front", ("wood", "paint", "paint", "glass") if kind == "vitrine" else _BODIES) if dice.chance(0.5) else body
    handle = dice.pick(["knob", "bar", "none"])
    proud = dice.pick([0.0, dice.between(0.008, 0.025)])
    for i, j in np.ndindex(columns, rows):
        if holes[i, j]:
            continue
        low, high = (edges_x[i], edges_z[j]), (edges_x[i + 1], edges_z[j + 1])
        if proud:
            panel = parts.box(
                (low[0] - board * 0.35, -depth / 2 - proud, low[1] - board * 0.35),
                (high[0] + board * 0.35, -depth / 2, high[1] + board * 0.35),
            )
            piece.add(front, panel)
        _handle(piece, handle, low, high, -depth / 2 - proud)
    _top(piece, width, depth, height, kind)
    return piece


def _divided(dice: Dice, width: float, height: float, kind: str) -> tuple[int, int]:
    """How many columns and rows a front has."""
    if kind == "wardrobe":
        return max(1, round(width / dice.between(0.4, 0.6))), dice.pick([1, 1, 2])
    if kind in ("dresser", "nightstand"):
        return (1 if width < 0.9 else dice.whole(1, 2)), max(1, round(height / dice.between(0.16, 0.3)))
    if kind in ("tall", "vitrine"):
        return (1 if width < 0.6 else 2), dice.whole(1, 4)
    return max(1, round(width / dice.between(0.35, 0.65))), dice.whole(1, 2)


def _carcass(piece, body, width, depth, foot, height, board, edges_x, edges_z, holes) -> None:
    """The body: full, but for holes that open to the front."""
    for i, j in np.ndindex(*holes.shape):
        low, high = (edges_x[i], edges_z[j]), (edges_x[i + 1], edges_z[j + 1])
        if not holes[i, j]:
            piece.add(body, parts.box((low[0], -depth / 2, low[1]), (high[0], depth / 2, high[1])))
        else:
            piece.add(body, parts.box((low[0], depth / 2 - board, low[1]), (high[0], depth / 2, high[1])))
    for x in edges_x:
        piece.add(body, parts.box((x - board / 2, -depth / 2, foot), (x + board / 2, depth / 2, height)))
    for z in edges_z:
        piece.add(body, parts.box((-width / 2, -depth / 2, z - board / 2), (width / 2, depth / 2, z + board / 2)))
    piece.both(body, parts.box((width / 2 - board, -depth / 2, foot), (width / 2, depth / 2, height)))
    for low, high in ((foot, foot + board), (height - board, height)):
        piece.add(body, parts.box((-width / 2, -depth / 2, low), (width / 2, depth / 2, high)))


def _handle(piece: Piece, kind: str, low, high, front: float) -> None:
    if kind == "none":
        return
    metal = piece.material("handle", ("metal", "wood"))
    wide, tall = high[0] - low[0], high[1] - low[1]
    x, z = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
    if tall > 1.2 * wide:
        x = high[0] - 0.12 * wide
    if kind == "knob":
        piece.add(metal, parts.cushion((x - 0.014, front - 0.03, z - 0.014), (x + 0.014, front, z + 0.014), 0.9, cuts=4))
    else:
        half = min(0.08, 0.3 * max(wide, tall))
        size = (0.008, half) if tall > 1.2 * wide else (half, 0.008)
        piece.add(metal, parts.box((x - size[0], front - 0.03, z - size[1]), (x + size[0], front - 0.01, z + size[1])))


def _top(piece: Piece, width: float, depth: float, height: float, kind: str) -> None:
    """A plate that stands out, a crown, something at the back."""
    dice = piece.dice
    if dice.chance(0.4) or kind == "kitchen":
        out, thick = dice.between(0, 0.04), dice.between(0.015, 0.05)
        plate = piece.material("top", ("wood", "earth", "paint"))
        piece.add(plate, parts.box((-width / 2 - out, -depth / 2 - out, height - 0.005), (width / 2 + out, depth / 2, height + thick)))
    if kind in ("wardrobe", "tall", "vitrine") and dice.chance(0.25):
        body = piece.material("body", _BODIES)
        rise = dice.between(0.05, 0.18)
        piece.add(body, parts.panel([(-width / 2, height), (width / 2, height), (0, height + rise)], "y", -depth / 2, -depth / 2 + 0.04))
    if kind in ("dresser", "sideboard") and dice.chance(0.2):
        glass = piece.material("mirror", ("glass",))
        rise, wide = dice.between(0.4, 0.8), width * dice.between(0.35, 0.48)
        outline = parts.rounded(2 * wide, rise, dice.between(0.01, 0.3)) + (0, height + rise / 2)
        piece.add(glass, parts.panel(outline, "y", depth / 2 - 0.05, depth / 2 - 0.01))


def shelf(dice: Dice) -> Piece:
    """Boards in a frame: bookcases, ladders, racks, stairs of boxes, coat stands."""
    piece = Piece(dice)
    kind = dice.pick(["case", "case", "case", "ladder", "posts", "cubes", "coats"])
    {"case": _case, "ladder": _ladder, "posts": _posts, "cubes": _cubes, "coats": _coats}[kind](piece)
    return piece


def _filling(piece: Piece, low: tuple[float, float, float], high: tuple[float, float, float]) -> None:
    """Books or boxes on a board; the space is that between two corners, open at y low."""
    dice = piece.dice
    kind = dice.pick(["none", "books", "boxes"], [6, 3, 1])
    room = high[2] - low[2]
    if kind == "books":
        x, end = low[0] + 0.01, low[0] + (high[0] - low[0]) * dice.between(0.3, 1.0)
        while x < end - 0.03:
            thick = dice.between(0.03, 0.09)
            material = piece.material(f"book {dice.whole(0, 3)}", ("fabric", "leather"))
            deep, tall = min(0.22, (high[1] - low[1]) * 0.9), room * dice.between(0.55, 0.92)
            piece.add(material, parts.box((x, high[1] - deep, low[2]), (min(x + thick, end), high[1] - 0.01, low[2] + tall)))
            x += thick
    elif kind == "boxes":
        material = piece.material("box", ("fabric", "wood", "plastic"))
        size = 0.92 * (high[0] - low[0])
        x = (low[0] + high[0] - size) / 2
        piece.add(material, parts.box((x, low[1] + 0.02, low[2]), (x + size, high[1] - 0.01, low[2] + room * dice.between(0.5, 0.9))))


def _case(piece: Piece) -> None:
    dice = piece.dice
    width, depth, height = dice.between(0.4, 1.8), dice.between(0.22, 0.4), dice.between(0.6, 2.2)
    body, board = piece.material("body", _BODIES), dice.between(0.015, 0.04)
    foot = dice.pick([0.0, 0.0, dice.between(0.04, 0.2)])
    if foot:
        stand(piece, width * 0.97, depth * 0.95, foot, ("plinth", "straight", "splayed", "hairpin"), 0.04)
    columns, rows = max(1, round(width / dice.between(0.35, 0.9))), max(2, round((height - foot) / dice.between(0.25, 0.45)))
    edges_x = np.linspace(-width / 2 + board / 2, width / 2 - board / 2, columns + 1)
    edges_z = np.linspace(foot + board / 2, height - board / 2, rows + 1)
    if dice.chance(0.4):
        edges_z[1:-1] += dice.rng.uniform(-0.25, 0.25, rows - 1) * (edges_z[1] - edges_z[0])
    for x in edges_x if dice.chance(0.8) else edges_x[[0, -1]]:
        piece.add(body, parts.box((x - board / 2, -depth / 2, foot), (x + board / 2, depth / 2, height)))
    for z in edges_z:
        piece.add(body, parts.box((-width / 2, -depth / 2, z - board / 2), (width / 2, depth / 2, z + board / 2)))
    if dice.chance(0.65):
        piece.add(body, parts.box((-width / 2, depth / 2 - 0.012, foot), (width / 2, depth / 2, height)))
    closed = dice.pick([0, 0, 0, 1, 2])
    for i, j in np.ndindex(columns, rows):
        low, high = (
            (edges_x[i] + board / 2, -depth / 2, edges_z[j] + board / 2),
            (edges_x[i + 1] - board / 2, depth / 2, edges_z[j + 1] - board / 2),
        )
        if j < closed and rows > closed + 1:
            piece.add(piece.material("front", _BODIES), parts.box(low, high))
        else:
            _filling(piece, low, high)


def _ladder(piece: Piece) -> None:
    """Boards between two leaning sides, deeper towards the floor."""
    dice = piece.dice
    width, height, reach = dice.between(0.4, 0.8), dice.between(1.2, 2.0), dice.between(0.3, 0.5)
    frame, board, half = piece.material("frame", ("wood", "metal")), piece.material("body", _BODIES), dice.between(0.012, 0.022)
    piece.both(frame, parts.rod((width / 2, -reach, 0), (width / 2, 0, height), half, sides=4))
    if dice.chance(0.6):
        piece.both(frame, parts.rod((width / 2, 0, 0), (width / 2, 0, height), half, sides=4))
    for share in np.linspace(0.08, 0.95, dice.whole(3, 6)):
        piece.add(board, parts.box((-width / 2, -reach * (1 - share) - 0.05, share * height), (width / 2, 0, share * height + 0.022)))


def _posts(piece: Piece) -> None:
    """Boards on four posts."""
    dice = piece.dice
    width, depth, height = dice.between(0.4, 1.4), dice.between(0.25, 0.5), dice.between(0.6, 2.0)
    frame, board, half = piece.material("frame", ("metal", "wood")), piece.material("body", _BODIES), dice.between(0.008, 0.022)
    for side in (-1, 1):
        piece.both(
            frame,
            parts.rod(
                (width / 2 - half, side * (depth / 2 - half), 0), (width / 2 - half, side * (depth / 2 - half), height), half, sides=4
            ),
        )
    levels = np.linspace(dice.between(0.03, 0.2), height - dice.pick([0.0, 0.1]) - 0.02, dice.whole(3, 6))
    for level in levels:
        piece.add(board, parts.box((-width / 2, -depth / 2, level), (width / 2, depth / 2, level + 0.02)))
    for low, high in zip(levels, levels[1:], strict=False):
        _filling(piece, (-width / 2 + 0.03, -depth / 2, low + 0.02), (width / 2 - 0.03, depth / 2, high))
    if dice.chance(0.3):
        piece.add(frame, parts.rod((-width / 2, depth / 2 - half, 0.05), (width / 2, depth / 2 - half, height - 0.05), half * 0.6, sides=6))
        piece.add(frame, parts.rod((width / 2, depth / 2 - half, 0.05), (-width / 2, depth / 2 - half, height - 0.05), half * 0.6, sides=6))


def _cubes(piece: Piece) -> None:
    """Open boxes that form a stair or a tower."""
    dice = piece.dice
    size, depth, board = dice.between(0.3, 0.42), dice.between(0.28, 0.4), dice.between(0.015, 0.03)
    body = piece.material("body", _BODIES)
    heights = [dice.whole(1, 4) for _ in range(dice.whole(2, 4))]
    if dice.chance(0.5):
        heights.sort(reverse=dice.chance(0.5))
    back = dice.chance(0.4)
    for i, count in enumerate(heights):
        for j in range(count):
            x, z = size * (i - len(heights) / 2), size * j
            for low, high in (
                ((x, z), (x + size, z + board)),
                ((x, z + size - board), (x + size, z + size)),
                ((x, z), (x + board, z + size)),
                ((x + size - board, z), (x + size, z + size)),
            ):
                piece.add(body, parts.box((low[0], -depth / 2, low[1]), (high[0], depth / 2, high[1])))
            if back:
                piece.add(body, parts.box((x, depth / 2 - 0.012, z), (x + size, depth / 2, z + size)))
            _filling(piece, (x + board, -depth / 2, z + board), (x + size - board, depth / 2, z + size - board))


def _coats(piece: Piece) -> None:
    """A stand for coats: a post with hooks, or a bar on two posts."""
    dice = piece.dice
    frame, half, height = piece.material("frame", ("wood", "metal", "paint")), dice.between(0.014, 0.03), dice.between(1.4, 1.9)
    if dice.chance(0.5):
        foot = dice.between(0.18, 0.28)
        piece.add(frame, parts.rod((0, 0, 0), (0, 0, height), half))
        if dice.chance(0.5):
            piece.add(frame, parts.turned([(foot, 0), (foot, 0.03), (half, 0.05)]))
        else:
            for angle in np.arange(dice.whole(3, 4)) * 2 * np.pi / 4:
                piece.add(frame, parts.rod((foot * np.cos(angle), foot * np.sin(angle), 0.015), (0, 0, 0.2), half * 0.7, sides=8))
        for level in (height - 0.05, height - 0.4)[: dice.whole(1, 2)]:
            turn, count = dice.between(0, 6), dice.whole(3, 6)
            for index in range(count):
                angle = turn + 2 * np.pi * index / count
                x, y = 0.16 * np.cos(angle), 0.16 * np.sin(angle)
                piece.add(frame, parts.rod((0, 0, level - 0.08), (x, y, level + 0.05), half * 0.5, sides=6))
    else:
        width, depth = dice.between(0.7, 1.3), dice.between(0.35, 0.5)
        piece.both(
            frame,
            parts.rod((width / 2, 0, 0), (width / 2, 0, height), half),
            parts.rod((width / 2, -depth / 2, half), (width / 2, depth / 2, half), half),
        )
        piece.add(frame, parts.rod((-width / 2, 0, height), (width / 2, 0, height), half))
        if dice.chance(0.6):
            piece.add(piece.material("body", _BODIES), parts.box((-width / 2, -depth / 2.3, 0.12), (width / 2, depth / 2.3, 0.145)))
