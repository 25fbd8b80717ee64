# SPDX-License-Identifier: GPL-3.0-or-later
"""What furniture stands on."""

from __future__ import annotations

import numpy as np

from . import parts
from .piece import Dice, Piece

FRAME = ("wood", "wood", "metal", "paint")


def stand(piece: Piece, width: float, depth: float, height: float, styles: tuple[str, ...], thick: float) -> None:
    """Adds legs below a plate about the origin.

    Args:
        width, depth: of the plate. height: of its underside.
        styles: those that fit, see the functions below. thick: of a leg, about.
    """
    frame = piece.material("frame", FRAME)
    style = piece.dice.pick(styles)
    make = {
        "straight": _straight,
        "splayed": _splayed,
        "turned": _turned,
        "sled": _sled,
        "panels": _panels,
        "pedestal": _pedestal,
        "trestle": _trestle,
        "crossed": _crossed,
        "hairpin": _hairpin,
        "plinth": _plinth,
        "star": _star,
    }[style]
    make(piece, frame, width, depth, height, thick)


def _corners(dice: Dice, width: float, depth: float, thick: float) -> tuple[float, float]:
    inset = thick / 2 + dice.between(0, 0.06) * min(width, depth)
    return width / 2 - inset, depth / 2 - inset


def _straight(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    dice = piece.dice
    x, y = _corners(dice, width, depth, thick)
    sides, foot = dice.pick([4, 4, 12]), thick / 2 * dice.pick([1.0, dice.between(0.5, 0.9)])
    for side in (-1, 1):
        piece.both(frame, parts.rod((x, side * y, 0), (x, side * y, height), foot, thick / 2, sides))
    if dice.chance(0.4) and height > 0.3:
        rail = dice.between(0.06, 0.14) * min(1.0, height / 0.45)
        for side in (-1, 1):
            piece.add(frame, parts.box((-x, side * y - thick / 3, height - rail), (x, side * y + thick / 3, height)))
            piece.add(frame, parts.box((side * x - thick / 3, -y, height - rail), (side * x + thick / 3, y, height)))
    _stretchers(piece, frame, x, y, height, thick)


def _stretchers(piece: Piece, frame: str, x: float, y: float, height: float, thick: float) -> None:
    dice = piece.dice
    kind = dice.pick(["none", "h", "box", "x"], [5, 2, 2, 1])
    level, half = height * dice.between(0.15, 0.5), thick * 0.35
    if kind in ("h", "box"):
        for side in (-1, 1):
            piece.add(frame, parts.rod((side * x, -y, level), (side * x, y, level), half, sides=8))
    if kind == "h":
        piece.add(frame, parts.rod((-x, 0, level), (x, 0, level), half, sides=8))
    if kind == "box":
        level = min(level * dice.between(0.7, 1.4), height * 0.8)
        for side in (-1, 1):
            piece.add(frame, parts.rod((-x, side * y, level), (x, side * y, level), half, sides=8))
    if kind == "x":
        piece.add(frame, parts.rod((-x, -y, level), (x, y, level), half, sides=8), parts.rod((-x, y, level), (x, -y, level), half, sides=8))


def _splayed(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    dice = piece.dice
    x, y = _corners(dice, width, depth, thick)
    top, out = dice.between(0.55, 0.85), dice.between(0.0, 0.12)
    foot, sides = thick / 2 * dice.between(0.45, 0.9), dice.pick([4, 12])
    for side in (-1, 1):
        piece.both(frame, parts.rod(((1 + out) * x, (1 + out) * side * y, 0), (top * x, top * side * y, height), foot, thick / 2, sides))
    if dice.chance(0.3):
        share = dice.between(0.3, 0.5)
        at = (1 + out) * (1 - share) + top * share
        for side in (-1, 1):
            piece.add(
                frame, parts.rod((-at * x, side * at * y, share * height), (at * x, side * at * y, share * height), thick / 4, sides=8)
            )


def _turned(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    dice = piece.dice
    x, y = _corners(dice, width, depth, thick)
    levels = np.linspace(0, height, dice.whole(5, 9))
    profile = [(thick / 2 * dice.between(0.45, 1.1), level) for level in levels]
    profile[-1] = (thick / 2, height)
    leg = parts.turned(profile, 12)
    for side in (-1, 1):
        piece.both(frame, parts.moved(leg, x, side * y))


def _sled(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    x, y = _corners(piece.dice, width, depth, thick)
    half = thick * 0.4
    level = height - half if piece.dice.chance(0.5) else height
    path = [(x, -y, level), (x, -y, half), (x, y, half), (x, y, level)]
    for start, end in zip(path, path[1:], strict=False):
        piece.both(frame, parts.rod(start, end, half, sides=piece.dice.pick([4, 10])))


def _panels(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    dice = piece.dice
    x, y = width / 2 - thick / 2 - dice.between(0, 0.15) * width, depth / 2 * dice.between(0.7, 1.0)
    bottom = y * dice.pick([1.0, dice.between(0.6, 1.0)])
    piece.both(frame, parts.panel([(-bottom, 0), (bottom, 0), (y, height), (-y, height)], "x", x - thick / 2, x + thick / 2))
    if dice.chance(0.5):
        back = dice.between(-0.2, 0.9) * y
        piece.add(frame, parts.box((-x, back - thick / 4, height * dice.between(0, 0.5)), (x, back + thick / 4, height)))


def _pedestal(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    dice = piece.dice
    size, neck = min(width, depth), thick * dice.between(0.6, 1.6)
    foot, low = size * dice.between(0.28, 0.45), dice.between(0.02, 0.05)
    kind = dice.pick(["disc", "cone", "tulip", "cross", "block"])
    if kind == "disc":
        piece.add(frame, parts.turned([(foot, 0), (foot, low), (neck, low * 1.6), (neck, height)]))
    elif kind == "cone":
        piece.add(frame, parts.turned([(foot, 0), (neck, height)]))
    elif kind == "tulip":
        rise = np.linspace(0, 1, 9)
        waist = neck * 0.5 + (foot - neck * 0.5) * np.abs(2 * rise - 0.9) ** 2.5 / 1.5
        piece.add(frame, parts.turned([(max(r, 0.012), z) for r, z in zip(waist, rise * height, strict=True)]))
    elif kind == "cross":
        piece.add(frame, parts.rod((0, 0, low), (0, 0, height), neck / 2))
        piece.add(
            frame,
            parts.box((-foot, -neck / 2, 0), (foot, neck / 2, low * 1.5)),
            parts.box((-neck / 2, -foot, 0), (neck / 2, foot, low * 1.5)),
        )
    else:
        piece.add(frame, parts.box((-foot * 0.7, -foot * 0.7, 0), (foot * 0.7, foot * 0.7, height)))


def _trestle(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    dice = piece.dice
    x, y = width / 2 * dice.between(0.6, 0.85), depth / 2 * dice.between(0.75, 0.95)
    top = y * dice.between(0.1, 0.9)
    if dice.chance(0.5):
        for side in (-1, 1):
            piece.both(frame, parts.rod((x, side * y, 0), (x, side * top, height), thick * 0.45, sides=4))
    else:
        piece.both(frame, parts.box((x - thick, -thick, 0), (x + thick, thick, height)))
        piece.both(frame, parts.box((x - thick, -y, 0), (x + thick, y, thick * 1.2)))
    level = height * dice.between(0.15, 0.7)
    piece.add(frame, parts.box((-x, -thick / 2, level), (x, thick / 2, level + thick * dice.between(0.8, 2.0))))


def _crossed(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    x, y = _corners(piece.dice, width, depth, thick)
    half = thick * 0.45
    if piece.dice.chance(0.5):
        for side in (-1, 1):
            piece.add(
                frame,
                parts.rod((-x, side * y, 0), (x, side * y, height), half, sides=4),
                parts.rod((x, side * y, 0), (-x, side * y, height), half, sides=4),
            )
    else:
        piece.both(frame, parts.rod((x, -y, 0), (x, y, height), half, sides=4), parts.rod((x, y, 0), (x, -y, height), half, sides=4))
        piece.add(frame, parts.rod((-x, 0, height / 2), (x, 0, height / 2), half * 0.8, sides=8))


def _hairpin(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    x, y = _corners(piece.dice, width, depth, thick)
    half, apart = max(0.006, thick * 0.16), height * piece.dice.between(0.1, 0.2)
    for side in (-1, 1):
        foot = (x, side * y, 0)
        piece.both(
            frame,
            parts.rod(foot, (x - apart, side * y, height), half, sides=8),
            parts.rod(foot, (x, side * (y - apart), height), half, sides=8),
        )


def _plinth(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    inset = piece.dice.between(0, 0.08) * min(width, depth)
    piece.add(frame, parts.box((inset - width / 2, inset - depth / 2, 0), (width / 2 - inset, depth / 2 - inset, height)))


def _star(piece: Piece, frame: str, width: float, depth: float, height: float, thick: float) -> None:
    dice = piece.dice
    arms, reach = dice.pick([4, 5, 5]), min(width, depth) / 2 * dice.between(0.95, 1.25)
    wheel = dice.pick([0.0, dice.between(0.02, 0.03)])
    hub = wheel * 2 + dice.between(0.03, 0.08)
    turn = dice.between(0, 360)
    for index in range(arms):
        angle = np.radians(turn + 360 * index / arms)
        x, y = reach * np.cos(angle), reach * np.sin(angle)
        piece.add(frame, parts.rod((0, 0, hub), (x, y, wheel * 2 + 0.015), thick * 0.6, thick * 0.35, 8))
        if wheel:
            piece.add(frame, parts.cushion((x - wheel, y - wheel, 0), (x + wheel, y + wheel, 2 * wheel), 0.9, cuts=4))
    piece.add(frame, parts.rod((0, 0, hub - 0.02), (0, 0, height), thick * dice.between(0.5, 0.9)))
