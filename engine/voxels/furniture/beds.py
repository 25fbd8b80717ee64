# SPDX-License-Identifier: GPL-3.0-or-later
"""Beds, the head at the far end."""

from __future__ import annotations

import numpy as np

from . import parts
from .legs import stand
from .piece import Dice, Piece

_BOARDS = ("wood", "wood", "paint", "fabric", "metal", "leather")


def bed(dice: Dice) -> Piece:
    """Single, double, bunk, day bed or cot."""
    piece = Piece(dice)
    kind = dice.pick(["bed", "bunk", "canopy", "day", "cot"], [12, 2, 2, 2, 1])
    width = dice.between(0.8, 1.0) if kind in ("bunk", "day") or dice.chance(0.35) else dice.between(1.2, 1.9)
    length = dice.between(1.85, 2.15)
    if kind == "cot":
        width, length = dice.between(0.6, 0.75), dice.between(1.2, 1.4)
    under, frame, thick = dice.between(0.04, 0.32), dice.between(0.06, 0.25), dice.between(0.12, 0.3)
    board = piece.material("frame", _BOARDS)
    stand(
        piece,
        width * 0.96,
        length * 0.96,
        under,
        ("straight", "straight", "turned", "plinth", "splayed", "panels"),
        dice.between(0.05, 0.1),
    )
    piece.add(board, parts.box((-width / 2, -length / 2, under), (width / 2, length / 2, under + frame)))
    level = under + frame * dice.between(0.4, 1.0)
    _bedding(piece, width - 0.04, length - 0.04, level, thick)
    top = level + thick
    if kind == "bunk":
        _bunk(piece, width, length, top, frame, thick)
    elif kind == "day":
        height = top + dice.between(0.2, 0.5)
        for end in (-1, 1):
            low, high = sorted((end * length / 2, end * (length / 2 + 0.05)))
            piece.add(board, parts.box((-width / 2, low, under * 0.5), (width / 2, high, height)))
        piece.add(board, parts.box((width / 2 - 0.02, -length / 2, under), (width / 2 + 0.05, length / 2, height)))
    elif kind == "cot":
        height, half = top + dice.between(0.25, 0.5), dice.between(0.008, 0.014)
        for x in (-width / 2, width / 2):
            for y in np.linspace(-length / 2, length / 2, dice.whole(8, 13)):
                piece.add(board, parts.rod((x, y, under), (x, y, height), half, sides=6))
            piece.add(board, parts.box((x - 0.02, -length / 2, height - 0.04), (x + 0.02, length / 2, height)))
        for y in (-length / 2, length / 2):
            piece.add(board, parts.box((-width / 2, y - 0.02, under), (width / 2, y + 0.02, height)))
    else:
        _head(piece, width, length, under, top)
        if dice.chance(0.45):
            foot = top + dice.between(-0.15, 0.3)
            piece.add(board, parts.box((-width / 2, -length / 2 - 0.05, under * dice.pick([0, 1])), (width / 2, -length / 2, foot)))
    if kind == "canopy":
        height, half = dice.between(1.6, 2.1), dice.between(0.02, 0.045)
        for side in (-1, 1):
            y = side * length / 2
            piece.both(board, parts.rod((width / 2, y, 0), (width / 2, y, height), half, sides=dice.pick([4, 10])))
            piece.add(board, parts.box((-width / 2, y - half, height - 2 * half), (width / 2, y + half, height)))
        piece.both(board, parts.box((width / 2 - half, -length / 2, height - 2 * half), (width / 2 + half, length / 2, height)))
        if dice.chance(0.4):
            piece.add(
                piece.material("cloth", ("fabric",)), parts.box((-width / 2, -length / 2, height), (width / 2, length / 2, height + 0.03))
            )
    return piece


def _bedding(piece: Piece, width: float, length: float, level: float, thick: float) -> None:
    dice = piece.dice
    sheet, cover = piece.material("sheet", ("shade",)), piece.material("cover", ("fabric",))
    piece.add(sheet, parts.cushion((-width / 2, -length / 2, level), (width / 2, length / 2, level + thick), dice.between(0.1, 0.5)))
    if dice.chance(0.8):
        hang, end, side = dice.between(0.0, thick), dice.between(0.1, 0.35) * length, dice.between(0.0, 0.03)
        low = (-width / 2 - side, -length / 2 - side, level + thick - max(hang, 0.03))
        piece.add(cover, parts.cushion(low, (width / 2 + side, end, level + thick + dice.between(0.02, 0.06)), 0.4))
    count = 1 if width < 1.1 else 2
    deep, high = dice.between(0.3, 0.45), dice.between(0.08, 0.16)
    for index in range(count):
        x0, x1 = (-width / 2 + width * (index + spot) / count for spot in (0.06, 0.94))
        pillow = parts.cushion(
            (x0, length / 2 - deep - 0.03, level + thick - 0.02), (x1, length / 2 - 0.03, level + thick + high), 0.9, 0.2
        )
        piece.add(sheet, parts.tilted(pillow, "x", -dice.pick([0, 0, dice.between(5, 40)]), (0, length / 2 - 0.1, level + thick)))


def _head(piece: Piece, width: float, length: float, under: float, top: float) -> None:
    dice = piece.dice
    board = piece.material("head", _BOARDS)
    style = dice.pick(["none", "panel", "soft", "bars", "arch", "shelf"], [1, 4, 4, 2, 2, 1])
    height, y, thick = top + dice.between(0.2, 0.8), length / 2, dice.between(0.03, 0.08)
    wide = width / 2 + dice.pick([0.0, 0.0, dice.between(0.02, 0.25)])
    low = dice.pick([0.0, under])
    if style == "panel":
        piece.add(board, parts.box((-wide, y, low), (wide, y + thick, height)))
    elif style == "soft":
        count = dice.pick([1, 2, 3, 4])
        edges = np.linspace(-wide, wide, count + 1)
        for a, b in zip(edges, edges[1:], strict=False):
            piece.add(board, parts.cushion((a, y - 0.02, low), (b, y + thick * 1.5, height), 0.6, 0.2))
    elif style == "bars":
        half = dice.between(0.01, 0.025)
        piece.both(board, parts.rod((wide, y, 0), (wide, y, height), half * 1.6))
        piece.add(board, parts.rod((-wide, y, height - half), (wide, y, height - half), half * 1.3))
        for x in np.linspace(-wide, wide, dice.whole(5, 11))[1:-1]:
            piece.add(board, parts.rod((x, y, under), (x, y, height - half), half, sides=6))
    elif style == "arch":
        angle = np.linspace(0, np.pi, 13)
        crown = np.stack([wide * np.cos(angle), height - 0.3 * wide + 0.5 * wide * np.sin(angle)], axis=1)
        piece.add(board, parts.panel(np.concatenate([crown, [(-wide, low), (wide, low)]]), "y", y, y + thick))
    elif style == "shelf":
        piece.add(board, parts.box((-wide, y, 0), (wide, y + dice.between(0.18, 0.35), height * 0.85)))


def _bunk(piece: Piece, width: float, length: float, top: float, frame: float, thick: float) -> None:
    dice = piece.dice
    board = piece.material("frame", _BOARDS)
    upper, half = top + dice.between(0.75, 1.0), dice.between(0.025, 0.045)
    height = upper + frame + thick + dice.between(0.1, 0.3)
    for side in (-1, 1):
        piece.both(board, parts.rod((width / 2, side * length / 2, 0), (width / 2, side * length / 2, height), half, sides=4))
    piece.add(board, parts.box((-width / 2, -length / 2, upper), (width / 2, length / 2, upper + frame * 0.7)))
    _bedding(piece, width - 0.06, length - 0.06, upper + frame * 0.5, thick * 0.8)
    for level in np.linspace(upper + frame, height, dice.whole(2, 3)):
        for side in (-1, 1):
            piece.add(
                board, parts.box((-width / 2, side * length / 2 - 0.015, level - 0.05), (width / 2, side * length / 2 + 0.015, level))
            )
        piece.both(
            board, parts.box((width / 2 - 0.015, -length / 2 * dice.pick([0.3, 1.0]), level - 0.05), (width / 2 + 0.015, length / 2, level))
        )
    side, y = dice.pick([-1, 1]), -length / 2 * dice.between(0.5, 0.8)
    x = side * (width / 2 + 0.04)
    for edge in (-0.18, 0.18):
        piece.add(board, parts.rod((x, y + edge, 0), (x, y + edge, height), 0.02, sides=4))
    for level in np.arange(0.25, height, 0.28):
        piece.add(board, parts.rod((x, y - 0.18, level), (x, y + 0.18, level), 0.017, sides=6))
