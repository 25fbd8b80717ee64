# SPDX-License-Identifier: GPL-3.0-or-later
"""Lamps and plants."""

from __future__ import annotations

import numpy as np

from . import parts
from .piece import Dice, Piece

_STANDS = ("metal", "metal", "wood", "paint", "earth")


def lamp(dice: Dice) -> Piece:
    """On a table, on the floor, or hanging from the ceiling."""
    piece = Piece(dice)
    kind = dice.pick(["table", "floor", "arc", "tripod", "desk", "hanging", "globe"], [4, 4, 2, 2, 3, 3, 1])
    {"table": _table, "floor": _floor, "arc": _arc, "tripod": _tripod, "desk": _desk, "hanging": _hanging, "globe": _globe}[kind](piece)
    return piece


def _shade(piece: Piece, low: float, radius: float, tall: float, x: float = 0.0, y: float = 0.0) -> None:
    """A shade above a level."""
    dice = piece.dice
    shade = piece.material("shade", ("shade", "shade", "metal", "paint"))
    style = dice.pick(["drum", "cone", "bell", "dome", "ball", "square"], [4, 4, 2, 2, 2, 2])
    top = radius * dice.between(0.35, 0.85)
    if style == "drum":
        body = parts.turned([(radius, 0), (radius, tall)])
    elif style == "cone":
        body = parts.turned([(radius, 0), (top, tall)])
    elif style == "bell":
        rise = np.linspace(0, 1, 7)
        body = parts.turned(np.stack([top + (radius - top) * (1 - rise) ** 2, rise * tall], axis=1))
    elif style == "dome":
        angle = np.linspace(0, np.pi / 2, 8)
        body = parts.turned(np.stack([radius * np.cos(angle) + 0.002, tall * np.sin(angle)], axis=1))
    elif style == "ball":
        angle = np.linspace(-np.pi / 2, np.pi / 2, 13)[1:-1]
        body = parts.turned(np.stack([radius * np.cos(angle), tall / 2 + tall / 2 * np.sin(angle)], axis=1))
    else:
        body = parts.rod((0, 0, 0), (0, 0, tall), radius * 0.85, top * 0.85 if dice.chance(0.5) else radius * 0.85, 4)
    piece.add(shade, parts.moved(body, x, y, low))


def _foot(piece: Piece, reach: float) -> float:
    """A foot about the origin. Returns its height."""
    dice = piece.dice
    metal = piece.material("stand", _STANDS)
    height = dice.between(0.012, 0.05)
    style = dice.pick(["disc", "square", "cone", "cross"], [4, 2, 2, 1])
    if style == "disc":
        piece.add(metal, parts.turned([(reach, 0), (reach, height)]))
    elif style == "square":
        piece.add(metal, parts.box((-reach, -reach, 0), (reach, reach, height)))
    elif style == "cone":
        height *= 2.5
        piece.add(metal, parts.turned([(reach, 0), (reach * 0.15, height)]))
    else:
        piece.add(
            metal,
            parts.rod((-reach, 0, height / 2), (reach, 0, height / 2), height / 2),
            parts.rod((0, -reach, height / 2), (0, reach, height / 2), height / 2),
        )
    return height


def _table(piece: Piece) -> None:
    dice = piece.dice
    metal = piece.material("stand", _STANDS)
    height, radius = dice.between(0.15, 0.38), dice.between(0.09, 0.2)
    style = dice.pick(["vase", "rod", "block", "balls"])
    if style == "vase":
        rise = np.linspace(0, 1, 12)
        swell = dice.between(0.3, 0.95) * radius
        at, wide = dice.between(0.2, 0.7), dice.between(0.15, 0.4)
        profile = np.stack([0.02 + swell * np.exp(-(((rise - at) / wide) ** 2)), rise * height], axis=1)
        piece.add(metal, parts.turned(profile))
    elif style == "rod":
        _foot(piece, radius * dice.between(0.4, 0.8))
        piece.add(metal, parts.rod((0, 0, 0), (0, 0, height), dice.between(0.008, 0.02)))
    elif style == "block":
        half = radius * dice.between(0.3, 0.7)
        piece.add(metal, parts.cushion((-half, -half, 0), (half, half, height), dice.between(0, 0.8)))
    else:
        count = dice.whole(2, 4)
        half = height / count / 2
        for index in range(count):
            piece.add(metal, parts.cushion((-half, -half, 2 * half * index), (half, half, 2 * half * (index + 1)), 1.0))
    piece.add(metal, parts.rod((0, 0, height * 0.9), (0, 0, height + 0.06), 0.008, sides=8))
    _shade(piece, height + dice.between(0, 0.03), radius, dice.between(0.12, 0.28))


def _floor(piece: Piece) -> None:
    dice = piece.dice
    metal = piece.material("stand", _STANDS)
    height, radius = dice.between(1.0, 1.5), dice.between(0.13, 0.28)
    _foot(piece, dice.between(0.11, 0.2))
    piece.add(metal, parts.rod((0, 0, 0), (0, 0, height + 0.1), dice.between(0.008, 0.022)))
    if dice.chance(0.2):
        piece.add(metal, parts.turned([(dice.between(0.12, 0.22), 0), (0.2, 0.02)]) + (0, 0, dice.between(0.4, 0.6)))
    _shade(piece, height, radius, dice.between(0.18, 0.4))
    if dice.chance(0.2):
        x, level = dice.between(0.15, 0.3), height * dice.between(0.5, 0.8)
        piece.add(metal, parts.rod((0, 0, level), (x, 0, level + 0.1), 0.01, sides=8))
        _shade(piece, level + 0.06, radius * 0.5, 0.14, x)


def _arc(piece: Piece) -> None:
    dice = piece.dice
    metal = piece.material("stand", ("metal",))
    height, reach = dice.between(1.4, 1.9), dice.between(0.5, 1.1)
    _foot(piece, dice.between(0.13, 0.2))
    angle = np.linspace(0, np.pi * dice.between(0.55, 0.75), 14)
    rise = height * dice.between(0.4, 0.7)
    path = np.stack([reach / 2 * (1 - np.cos(angle)), 0 * angle, rise + (height - rise) * np.sin(angle)], axis=1)
    piece.add(metal, parts.tube(np.concatenate([[(0, 0, 0)], path]), dice.between(0.009, 0.018), 8))
    tall = dice.between(0.12, 0.24)
    _shade(piece, path[-1, 2] - tall, dice.between(0.12, 0.24), tall, path[-1, 0])


def _tripod(piece: Piece) -> None:
    dice = piece.dice
    wood = piece.material("stand", ("wood", "metal"))
    height, reach, half = dice.between(0.4, 1.3), 0.0, dice.between(0.009, 0.02)
    reach = height * dice.between(0.2, 0.38)
    for angle in dice.between(0, 2) + 2 * np.pi * np.arange(3) / 3:
        piece.add(wood, parts.rod((reach * np.cos(angle), reach * np.sin(angle), 0), (0, 0, height), half, sides=8))
    _shade(piece, height - 0.02, height * dice.between(0.14, 0.26), height * dice.between(0.16, 0.32))


def _desk(piece: Piece) -> None:
    dice = piece.dice
    metal = piece.material("stand", ("metal", "paint"))
    low = _foot(piece, dice.between(0.07, 0.11))
    first, second = dice.between(0.2, 0.36), dice.between(0.18, 0.34)
    a, b = np.radians(dice.between(55, 115)), np.radians(dice.between(-15, 50))
    elbow = np.array([-first * np.cos(a), 0, low + first * np.sin(a)])
    head = elbow + (second * np.cos(b), 0, second * np.sin(b))
    half = dice.between(0.006, 0.013)
    piece.add(
        metal, parts.rod((0, 0, 0), elbow, half), parts.rod(elbow, head, half), parts.cushion(elbow - 0.016, elbow + 0.016, 1.0, cuts=4)
    )
    radius, tall = dice.between(0.05, 0.1), dice.between(0.08, 0.15)
    cone = parts.turned([(radius, 0), (radius * dice.between(0.25, 0.8), tall)], 16)
    shade = piece.material("shade", ("metal", "paint"))
    piece.add(shade, parts.moved(parts.tilted(cone, "y", -dice.between(0, 40), (0, 0, tall)), head[0], 0, head[2] - tall))


def _hanging(piece: Piece) -> None:
    dice = piece.dice
    metal = piece.material("stand", ("metal", "plastic"))
    drop = dice.between(0.2, 0.9)
    count = dice.pick([1, 1, 1, 2, 3, 5])
    spread = 0.0 if count == 1 else dice.between(0.15, 0.35)
    piece.add(metal, parts.moved(parts.turned([(0.06 + spread * 0.4, 0), (0.05 + spread * 0.4, 0.03)]), z=drop + 0.2))
    row = dice.chance(0.5)
    for index in range(count):
        angle = 2 * np.pi * index / count
        x, y = (spread * (index - (count - 1) / 2), 0.0) if row else (spread * np.cos(angle), spread * np.sin(angle))
        if count == 1:
            x, y = 0.0, 0.0
        piece.add(metal, parts.rod((x, y, 0.15), (x if row else 0, 0, drop + 0.2), 0.006, sides=6))
        _shade(piece, 0.0, dice.between(0.1, 0.28) / (1 if count == 1 else 2), dice.between(0.12, 0.25), x, y)
    if row and count > 1:
        half = spread * (count - 1) / 2
        piece.add(metal, parts.rod((-half, 0, drop + 0.2), (half, 0, drop + 0.2), 0.015, sides=8))


def _globe(piece: Piece) -> None:
    dice = piece.dice
    low, radius = _foot(piece, dice.between(0.06, 0.1)), dice.between(0.1, 0.18)
    shade = piece.material("shade", ("shade",))
    piece.add(shade, parts.cushion((-radius, -radius, low - 0.01), (radius, radius, low + 2 * radius), 1.0, cuts=8))


def plant(dice: Dice) -> Piece:
    """A pot with leaves, a small tree, a cactus."""
    piece = Piece(dice)
    pot = piece.material("pot", ("earth", "earth", "wood", "paint"))
    radius, tall = dice.between(0.08, 0.22), dice.between(0.1, 0.36)
    lift = 0.0
    if dice.chance(0.2):
        lift = dice.between(0.08, 0.3)
        for angle in np.arange(4) * np.pi / 2 + 0.8:
            x, y = 0.9 * radius * np.cos(angle), 0.9 * radius * np.sin(angle)
            piece.add(piece.material("frame", ("wood", "metal")), parts.rod((x, y, 0), (x, y, lift + 0.05), 0.012, sides=6))
    style = dice.pick(["cone", "drum", "bowl", "square"], [4, 3, 2, 2])
    if style == "square":
        body = parts.rod((0, 0, 0), (0, 0, tall), radius * dice.between(0.6, 0.9), radius * 0.9, 4)
    elif style == "bowl":
        rise = np.linspace(0, 1, 7)
        body = parts.turned(np.stack([radius * (0.45 + 0.6 * np.sin(rise * 2.2)), rise * tall], axis=1))
    else:
        body = parts.turned(
            [(radius * (dice.between(0.55, 0.85) if style == "cone" else 1.0), 0), (radius, tall * 0.85), (radius * 1.05, tall)]
        )
    piece.add(pot, parts.moved(body, z=lift))
    leaf, top = piece.material("leaf", ("leaf",)), lift + tall
    kind = dice.pick(["blades", "bush", "tree", "cactus", "broad", "palm", "spiral"], [3, 3, 3, 1, 3, 2, 1])
    size = radius / 0.15
    if kind == "blades":
        for _ in range(dice.whole(7, 20)):
            _leaf(piece, leaf, (0, 0, top - 0.02), dice.between(0.2, 0.65) * size, dice.between(2, 40), 0.045 * size, dice.between(0, 25))
    elif kind == "bush":
        for _ in range(dice.whole(3, 9)):
            r = dice.between(0.05, 0.16) * size
            x, y, z = *(dice.rng.normal(0, 0.07, 2) * size), top + r * 0.6 + dice.between(0, 0.25) * size
            piece.add(leaf, parts.cushion((x - r, y - r, z - r), (x + r, y + r, z + r), 1.0, cuts=4))
    elif kind == "tree":
        wood, height = piece.material("trunk", ("wood",)), dice.between(0.3, 0.9) * size
        piece.add(wood, parts.rod((0, 0, top - 0.05), (0, 0, top + height), 0.02 * size, 0.013 * size, 8))
        for _ in range(dice.whole(1, 5)):
            r = dice.between(0.12, 0.26) * size
            x, y, z = *(dice.rng.normal(0, 0.08, 2) * size), top + height + dice.between(-0.1, 0.2) * size
            piece.add(leaf, parts.cushion((x - r, y - r, z - r * 0.9), (x + r, y + r, z + r * 0.9), 1.0, cuts=6))
    elif kind == "cactus":
        r, height = dice.between(0.03, 0.07) * size, dice.between(0.2, 0.7) * size
        piece.add(leaf, parts.cushion((-r, -r, top - 0.03), (r, r, top + height), 0.95))
        for side in (-1, 1)[: dice.whole(0, 2)]:
            level, out = top + height * dice.between(0.3, 0.6), side * r * 2.6
            piece.add(leaf, parts.tube([(0, 0, level), (out, 0, level), (out, 0, level + height * 0.3)], r * 0.6, 10))
    elif kind == "palm":
        wood, height = piece.material("trunk", ("wood",)), dice.between(0.2, 0.9) * size
        piece.add(wood, parts.rod((0, 0, top - 0.05), (0, 0, top + height), 0.025 * size, sides=8))
        for _ in range(dice.whole(7, 16)):
            _leaf(piece, leaf, (0, 0, top + height), dice.between(0.3, 0.5) * size, dice.between(20, 75), 0.05 * size, dice.between(20, 80))
    elif kind == "broad":
        for _ in range(dice.whole(4, 11)):
            turn, lean, stem = dice.between(0, 2 * np.pi), dice.between(0.05, 0.6), dice.between(0.15, 0.6) * size
            tip = np.array([np.sin(lean) * np.cos(turn), np.sin(lean) * np.sin(turn), np.cos(lean)]) * stem + (0, 0, top)
            piece.add(leaf, parts.rod((0, 0, top - 0.03), tip, 0.006 * size, sides=6))
            _leaf(piece, leaf, tip, dice.between(0.14, 0.3) * size, dice.between(30, 80), 0.11 * size, dice.between(0, 40), turn)
    else:
        levels = dice.whole(2, 4)
        for level in range(levels):
            r, z = 0.16 * size * (1 - 0.2 * level), top + 0.03 + 0.17 * size * level
            piece.add(leaf, parts.moved(parts.turned([(r, 0), (r * 0.2, 0.2 * size)], 14), z=z))
    return piece


def _leaf(piece: Piece, material: str, base, length: float, lean: float, wide: float, droop: float, turn: float | None = None) -> None:
    """A leaf that leaves its base at an angle from upright and bends down by another, both in degrees."""
    turn = piece.dice.between(0, 2 * np.pi) if turn is None else turn
    along = np.linspace(0, 1, 6)
    angle = np.radians(lean + droop * along)
    step = length / 5
    out = np.r_[0, np.cumsum(np.sin(angle[:-1]))] * step
    up = np.r_[0, np.cumsum(np.cos(angle[:-1]))] * step
    middle = np.stack([out, 0 * out, up], axis=1)
    half = wide / 2 * np.sin(np.pi * (0.1 + 0.88 * along)) ** 0.7
    normal = np.stack([np.cos(angle), 0 * angle, -np.sin(angle)], axis=1) * 0.006
    left, right = middle + (0, 1, 0) * half[:, None], middle - (0, 1, 0) * half[:, None]
    ring = np.stack([left, middle + normal, right, middle - normal], axis=1)
    after = np.roll(ring, -1, axis=1)
    a, b, c, d = (part.reshape(-1, 3) for part in (ring[:-1], after[:-1], after[1:], ring[1:]))
    body = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    ends = [np.stack([ring[end][[0, 0]], ring[end][[1, 2]], ring[end][[2, 3]]], axis=1)[:, :: 1 if end == -1 else -1] for end in (0, -1)]
    body = np.concatenate([body, *ends])
    piece.add(material, parts.tilted(body, "z", np.degrees(turn)) + np.asarray(base))
