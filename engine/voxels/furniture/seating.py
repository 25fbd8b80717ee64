# SPDX-License-Identifier: GPL-3.0-or-later
"""Chairs, armchairs, stools and benches; sofas."""

from __future__ import annotations

import numpy as np

from . import parts
from .legs import FRAME, stand
from .piece import Dice, Piece

SOFT = ("fabric", "fabric", "leather")
_CHAIR_LEGS = ("straight", "straight", "straight", "splayed", "splayed", "turned", "sled", "pedestal", "crossed", "hairpin", "panels")


def chair(dice: Dice) -> Piece:
    """A seat for one (or a bench for some)."""
    kind = dice.pick(["dining", "upholstered", "stool", "office", "tub", "lounge", "bench", "cantilever"], [8, 6, 3, 3, 3, 2, 1, 2])
    piece = Piece(dice)
    {
        "dining": _dining,
        "upholstered": _armchair,
        "stool": _stool,
        "office": _office,
        "tub": _tub,
        "lounge": _lounge,
        "bench": _bench,
        "cantilever": _cantilever,
    }[kind](piece)
    return piece


def _seat(piece: Piece, width: float, depth: float, level: float, thick: float) -> None:
    """A seat whose top is at a level."""
    dice = piece.dice
    style = dice.pick(["slab", "round", "wedge", "cushion", "oval"], [4, 3, 3, 4, 1])
    if style == "cushion":
        soft = piece.material("seat", SOFT)
        low, high = (-width / 2, -depth / 2, level - thick * 1.6), (width / 2, depth / 2, level)
        piece.add(soft, parts.cushion(low, high, dice.between(0.3, 0.95), dice.between(0, 0.3)))
        return
    material = piece.material("seat", ("wood", "wood", "plastic", "paint", "leather"))
    if style == "slab":
        outline = parts.rounded(width, depth, dice.between(0, 0.03))
    elif style == "round":
        outline = parts.rounded(width, depth, dice.between(0.06, 0.2))
    elif style == "oval":
        outline = parts.oval(width, depth)
    else:
        narrow = dice.between(0.75, 0.92) * width
        outline = np.array([(-width / 2, -depth / 2), (width / 2, -depth / 2), (narrow / 2, depth / 2), (-narrow / 2, depth / 2)])
    piece.add(material, parts.prism(outline, level - thick, level))


def _back(piece: Piece, width: float, depth: float, level: float, height: float) -> None:
    """A back at the far edge of a seat, leaning away."""
    dice = piece.dice
    frame = piece.material("frame", FRAME)
    lean, thick = dice.between(0, 16), dice.between(0.018, 0.035)
    y = depth / 2 - thick
    style = dice.pick(["panel", "slats", "ladder", "spindles", "padded", "curved", "cross", "low", "window"], [3, 3, 3, 2, 4, 3, 1, 2, 2])
    bodies: list[tuple[str, np.ndarray]] = []
    posts = width / 2 - thick
    if style in ("slats", "ladder", "cross", "spindles", "low", "window"):
        bottom = 0.0 if style != "low" else height * 0.3
        for side in (-1, 1):
            bodies.append(
                (
                    frame,
                    parts.rod((side * posts, y, 0), (side * posts, y, height), thick, thick * dice.pick([1.0, 0.6]), dice.pick([4, 10])),
                )
            )
        rail = dice.between(0.04, 0.12)
        bodies.append((frame, parts.box((-posts, y - thick * 0.7, height - rail), (posts, y + thick * 0.7, height))))
        if style in ("slats", "spindles"):
            count = dice.whole(3, 5) if style == "slats" else dice.whole(4, 8)
            wide = (posts / count) * (dice.between(0.3, 0.75) if style == "slats" else 0.2)
            for x in np.linspace(-posts, posts, count + 2)[1:-1]:
                bodies.append((frame, parts.box((x - wide, y - thick * 0.4, bottom), (x + wide, y + thick * 0.4, height - rail))))
        elif style == "ladder":
            count = dice.whole(2, 4)
            for z in np.linspace(0, height - rail, count + 1)[1:]:
                bodies.append((frame, parts.box((-posts, y - thick * 0.5, z - rail * 0.8), (posts, y + thick * 0.5, z))))
        elif style == "cross":
            top = height - rail
            bodies.append((frame, parts.rod((-posts, y, 0.02), (posts, y, top), thick * 0.6, sides=4)))
            bodies.append((frame, parts.rod((posts, y, 0.02), (-posts, y, top), thick * 0.6, sides=4)))
        elif style == "window":
            low = height * dice.between(0.15, 0.4)
            bodies.append(
                (piece.material("seat", ("wood", "fabric")), parts.box((-posts, y - thick, low), (posts, y + thick, height - rail)))
            )
    elif style == "panel":
        gap = dice.pick([0.0, height * dice.between(0.1, 0.35)])
        outline = parts.rounded(width, height - gap, dice.between(0.005, 0.15)) + (0, (height + gap) / 2)
        bodies.append((piece.material("seat", ("wood", "plastic", "paint")), parts.panel(outline, "y", y - thick * 0.7, y + thick * 0.7)))
        if gap:
            for side in (-1, 1):
                bodies.append((frame, parts.rod((side * posts * 0.7, y, 0), (side * posts * 0.7, y, gap + 0.05), thick * 0.7, sides=8)))
    elif style == "padded":
        soft = piece.material("seat", SOFT)
        gap = dice.pick([0.0, height * dice.between(0.05, 0.2)])
        low, high = (-width / 2, y - thick * 2.2, gap), (width / 2, y + thick * 1.2, height)
        bodies.append((soft, parts.cushion(low, high, dice.between(0.3, 0.95), dice.between(0, 0.3))))
        if gap:
            for side in (-1, 1):
                bodies.append((frame, parts.rod((side * posts * 0.8, y, -0.02), (side * posts * 0.8, y, gap + 0.05), thick * 0.8, sides=8)))
    else:
        sweep = dice.between(50, 85)
        bend = parts.shell(width / 2, thick * 1.3, height * dice.between(0, 0.35), height, 90 - sweep, 90 + sweep, dice.between(0.5, 1.0))
        bodies.append((piece.material("seat", ("wood", "plastic", "leather")), parts.moved(bend, y=depth / 2 - width / 2 * 0.6)))
        for side in (-1, 1):
            bodies.append((frame, parts.rod((side * posts * 0.5, y, -0.01), (side * posts * 0.5, y, height * 0.6), thick * 0.6, sides=8)))
    for material, body in bodies:
        piece.add(material, parts.moved(parts.tilted(body, "x", -lean, (0, y, 0)), z=level))


def _arms(piece: Piece, width: float, depth: float, level: float) -> None:
    """Open arms at the sides of a seat."""
    dice = piece.dice
    frame = piece.material("frame", FRAME)
    height, thick, wide = dice.between(0.17, 0.26), dice.between(0.014, 0.03), dice.between(0.02, 0.045)
    x = width / 2 + dice.between(-0.01, 0.03)
    front = -depth / 2 * dice.between(0.5, 1.0)
    piece.both(frame, parts.box((x - wide, front, level + height - thick), (x + wide, depth / 2, level + height)))
    if dice.chance(0.7):
        piece.both(frame, parts.rod((x, front + 0.03, level - 0.04), (x, front + 0.03, level + height), thick, sides=dice.pick([4, 10])))
    else:
        piece.both(frame, parts.rod((x, 0, level - 0.04), (x, front + 0.02, level + height), thick, sides=10))


def _dining(piece: Piece) -> None:
    dice = piece.dice
    width, depth, level = dice.between(0.36, 0.56), dice.between(0.36, 0.52), dice.between(0.42, 0.5)
    thick = dice.between(0.02, 0.05)
    stand(piece, width * 0.95, depth * 0.95, level - thick, _CHAIR_LEGS, dice.between(0.026, 0.055))
    _seat(piece, width, depth, level, thick)
    _back(piece, width, depth, level, dice.between(0.25, 0.65))
    if dice.chance(0.3):
        _arms(piece, width, depth, level)


def _armchair(piece: Piece) -> None:
    """Upholstered: a block of a seat, arms of some thickness, a back, perhaps wings."""
    dice = piece.dice
    soft = piece.material("seat", SOFT)
    inner, depth = dice.between(0.42, 0.62), dice.between(0.5, 0.75)
    arm, arm_level = dice.between(0.06, 0.2), dice.between(0.5, 0.68)
    foot, level = dice.between(0.03, 0.2), dice.between(0.36, 0.48)
    width, top = inner + 2 * arm, dice.between(0.68, 1.15)
    stand(piece, width * 0.94, depth * 0.94, foot + 0.02, ("straight", "splayed", "turned", "plinth", "sled"), dice.between(0.04, 0.07))
    round_, bulge = dice.between(0.15, 0.8), dice.between(0, 0.35)
    piece.add(soft, parts.cushion((-inner / 2 - arm * 0.9, -depth / 2, foot), (inner / 2 + arm * 0.9, depth / 2, level - 0.1), 0.1))
    pillow = soft if dice.chance(0.7) else piece.material("pillow", SOFT)
    piece.add(pillow, parts.cushion((-inner / 2, -depth / 2 - 0.01, level - 0.13), (inner / 2, depth / 2 - 0.05, level), round_, bulge))
    thick = dice.between(0.1, 0.2)
    back = parts.cushion(
        (-width / 2 * dice.between(0.85, 1.0), depth / 2 - thick, foot), (width / 2 * dice.between(0.85, 1), depth / 2, top), round_
    )
    lean = -dice.between(0, 14)
    piece.add(soft, parts.tilted(back, "x", lean, (0, depth / 2, foot)))
    if dice.chance(0.85):
        arms = parts.cushion((width / 2 - arm, -depth / 2, foot), (width / 2, depth / 2, arm_level), round_)
        piece.both(soft, parts.tilted(arms, "y", dice.pick([0.0, dice.between(0, 10)]), (width / 2, 0, foot)))
        if dice.chance(0.25):
            roll = parts.rod(
                (width / 2 - arm / 2, -depth / 2, arm_level), (width / 2 - arm / 2, depth / 2, arm_level), arm * 0.65, sides=14
            )
            piece.both(soft, roll)
        if top > 0.9 and dice.chance(0.5):
            reach = dice.between(0.12, 0.3)
            outline = [
                (depth / 2, arm_level - 0.1),
                (depth / 2, top),
                (depth / 2 - thick - reach * 0.6, top),
                (depth / 2 - thick - reach, arm_level - 0.1),
            ]
            wing = parts.panel(outline, "x", width / 2 - arm * 0.7, width / 2 - 0.01)
            piece.both(soft, parts.tilted(wing, "x", lean, (0, depth / 2, foot)))


def _stool(piece: Piece) -> None:
    dice = piece.dice
    level = dice.pick([dice.between(0.38, 0.5), dice.between(0.6, 0.82)])
    width = dice.between(0.28, 0.46)
    depth, thick = width * dice.pick([1.0, dice.between(0.7, 1.0)]), dice.between(0.02, 0.08)
    stand(
        piece,
        width * 0.9,
        depth * 0.9,
        level - thick,
        ("straight", "splayed", "splayed", "turned", "pedestal", "sled", "star", "crossed"),
        dice.between(0.025, 0.05),
    )
    if dice.chance(0.6):
        seat = piece.material("seat", ("wood", "leather", "fabric", "plastic"))
        outline = parts.oval(width, depth) if dice.chance(0.6) else parts.rounded(width, depth, dice.between(0.01, 0.08))
        piece.add(seat, parts.prism(outline, level - thick, level))
    else:
        _seat(piece, width, depth, level, thick)
    if level > 0.55 and dice.chance(0.5):
        _back(piece, width, depth, level, dice.between(0.12, 0.35))


def _office(piece: Piece) -> None:
    dice = piece.dice
    width, depth, level = dice.between(0.42, 0.54), dice.between(0.42, 0.52), dice.between(0.42, 0.54)
    stand(piece, width, depth, level - 0.05, ("star",), dice.between(0.04, 0.06))
    soft = piece.material("seat", ("fabric", "leather", "plastic"))
    piece.add(
        soft,
        parts.cushion((-width / 2, -depth / 2, level - dice.between(0.05, 0.1)), (width / 2, depth / 2, level), dice.between(0.4, 0.9)),
    )
    height, thick = dice.between(0.35, 0.75), dice.between(0.04, 0.1)
    gap = dice.pick([0.02, dice.between(0.05, 0.15)])
    back = parts.cushion(
        (-width / 2 * 0.95, depth / 2 - thick, gap), (width / 2 * 0.95, depth / 2, gap + height), dice.between(0.4, 0.95), 0.2
    )
    piece.add(soft, parts.moved(parts.tilted(back, "x", -dice.between(2, 14), (0, depth / 2, 0)), z=level))
    frame = piece.material("frame", FRAME)
    piece.add(frame, parts.box((-0.04, depth / 2 - thick * 0.5, level - 0.05), (0.04, depth / 2 + 0.02, level + gap + height * 0.4)))
    if dice.chance(0.65):
        x, up = width / 2 + 0.03, level + dice.between(0.17, 0.24)
        piece.both(frame, parts.tube([(width / 4, 0, level - 0.05), (x, 0, level - 0.04), (x, 0, up)], 0.018, 8))
        piece.both(soft, parts.cushion((x - 0.035, -depth * 0.28, up - 0.015), (x + 0.035, depth * 0.28, up + 0.02), 0.6, cuts=4))


def _tub(piece: Piece) -> None:
    """A shell round the seat."""
    dice = piece.dice
    radius, level = dice.between(0.28, 0.42), dice.between(0.38, 0.46)
    foot, squash = dice.between(0.02, 0.28), dice.between(0.85, 1.1)
    stand(
        piece,
        radius * 1.5,
        radius * 1.5,
        foot + 0.03,
        ("straight", "splayed", "pedestal", "plinth", "star", "sled"),
        dice.between(0.03, 0.06),
    )
    soft = piece.material("seat", ("fabric", "leather", "plastic"))
    piece.add(soft, parts.prism(parts.oval(2 * radius * 0.97, 2 * radius * squash * 0.97), foot, level - 0.05))
    piece.add(
        soft, parts.moved(parts.turned([(radius * 0.85, 0), (radius * 0.9, 0.05), (radius * 0.8, 0.09)], squash=squash), z=level - 0.08)
    )
    half, thick = dice.between(70, 125), dice.between(0.03, 0.12)
    tops = dice.between(0.62, 0.9)
    for step in range(dice.pick([1, 3])):
        spread = half * (1 - 0.28 * step)
        piece.add(soft, parts.shell(radius, thick, foot, tops + 0.06 * step, 90 - spread, 90 + spread, squash))


def _lounge(piece: Piece) -> None:
    """A long chair: seat, back and rest in one bent line."""
    dice = piece.dice
    width, thick, level = dice.between(0.5, 0.75), dice.between(0.04, 0.16), dice.between(0.28, 0.42)
    soft = piece.material("seat", SOFT)
    lean, rise = dice.between(25, 55), dice.between(0, 14)
    back, seat, rest = dice.between(0.55, 0.85), dice.between(0.5, 0.65), dice.pick([0.0, dice.between(0.3, 0.6)])
    hinge, knee = np.array([0.25, level]), np.array([0.25 - seat, level + seat * np.tan(np.radians(rise))])
    top = hinge + back * np.array([np.sin(np.radians(lean)), np.cos(np.radians(lean))])
    line = [top, hinge, knee] + ([knee + rest * np.array([-0.9, -dice.between(0.0, 0.4)])] if rest else [])
    line = np.array(line)
    outline = np.concatenate([line, (line - (0, thick))[::-1]])
    piece.add(soft, parts.panel(outline, "x", -width / 2, width / 2))
    frame = piece.material("frame", FRAME)
    x, near = width / 2 - 0.03, line[-1] if rest else knee
    under = min(level, near[1]) - thick
    piece.both(frame, parts.rod((x, near[0] + 0.1, 0), (x, near[0] + 0.14, under + 0.03), 0.025, sides=4))
    piece.both(frame, parts.rod((x, hinge[0] + 0.15, 0), (x, hinge[0] - 0.05, level), 0.025, sides=4))
    if dice.chance(0.5):
        piece.both(frame, parts.box((x, knee[0] + 0.05, level + 0.18), (x + 0.06, hinge[0] + 0.2, level + 0.22)))
        piece.both(frame, parts.rod((x + 0.03, knee[0] + 0.12, 0), (x + 0.03, knee[0] + 0.12, level + 0.2), 0.02, sides=4))


def _bench(piece: Piece) -> None:
    dice = piece.dice
    width, depth, level = dice.between(0.9, 1.6), dice.between(0.32, 0.45), dice.between(0.42, 0.48)
    stand(piece, width * 0.97, depth, level - 0.04, ("straight", "panels", "trestle", "sled", "splayed"), dice.between(0.04, 0.08))
    _seat(piece, width, depth, level, dice.between(0.03, 0.06))
    if dice.chance(0.5):
        _back(piece, width, depth, level, dice.between(0.3, 0.5))


def _cantilever(piece: Piece) -> None:
    """One bent tube a side, without legs at the back."""
    dice = piece.dice
    width, depth, level, height = dice.between(0.42, 0.54), dice.between(0.42, 0.54), dice.between(0.42, 0.48), dice.between(0.3, 0.5)
    tube = piece.material("frame", ("metal",))
    radius, x, y = dice.between(0.011, 0.02), width / 2, depth / 2
    lean = dice.between(0.0, 0.12)
    path = [(x, y, radius), (x, -y, radius), (x, -y, level), (x, y * 0.9, level - 0.02), (x, y * 0.95 + lean, level + height)]
    for start, end in zip(path, path[1:], strict=False):
        piece.both(tube, parts.rod(start, end, radius))
    piece.add(tube, parts.rod((-x, y, radius), (x, y, radius), radius))
    seat = piece.material("seat", ("leather", "fabric", "wood"))
    thick = dice.between(0.012, 0.06)
    piece.add(seat, parts.cushion((-x, -y, level - thick / 2), (x, y * 0.9, level + thick / 2), 0.5, cuts=4))
    low = height * dice.between(0.2, 0.5)
    back = parts.cushion((-x, y * 0.95 - thick / 2, level + low), (x, y * 0.95 + thick / 2, level + height), 0.5, cuts=4)
    piece.add(seat, parts.tilted(back, "x", -np.degrees(np.arctan2(lean, height)), (0, y * 0.95, level)))
    if dice.chance(0.4):
        up = level + dice.between(0.18, 0.24)
        piece.both(tube, parts.tube([(x, -y, level), (x, -y, up), (x, y * 0.9, up)], radius, 8))


def sofa(dice: Dice) -> Piece:
    """A seat for two or more."""
    piece = Piece(dice)
    soft = piece.material("seat", SOFT)
    seats, each = dice.whole(2, 4), dice.between(0.5, 0.8)
    arm, depth = dice.between(0.06, 0.28), dice.between(0.7, 1.05)
    foot, level = dice.between(0.02, 0.2), dice.between(0.36, 0.48)
    arm_level, top, thick = dice.between(0.45, 0.72), dice.between(0.6, 0.98), dice.between(0.12, 0.28)
    inner = seats * each
    arms = dice.pick(["both", "none", "left", "right"], [12, 2, 1, 1])
    left, right = (arm if arms in ("both", side) else 0.0 for side in ("left", "right"))
    width = inner + left + right
    shift = (left - right) / 2
    stand(
        piece,
        width * 0.95,
        depth * 0.92,
        foot + 0.02,
        ("straight", "splayed", "turned", "plinth", "sled", "plinth"),
        dice.between(0.04, 0.08),
    )
    round_, bulge = dice.between(0.08, 0.7), dice.between(0, 0.35)
    low, high = -width / 2, width / 2
    piece.add(soft, parts.cushion((low, -depth / 2, foot), (high, depth / 2, level - 0.12), 0.1))
    lean = -dice.between(0, 10)
    back_low = foot if dice.chance(0.8) else level - 0.1
    back = parts.cushion((low + left * 0.3, depth / 2 - thick, back_low), (high - right * 0.3, depth / 2, top), round_ * 0.6)
    piece.add(soft, parts.tilted(back, "x", lean, (0, depth / 2, foot)))
    style = dice.pick(["block", "round", "slope"])
    for side, wide in ((-1, left), (1, right)):
        if not wide:
            continue
        outer = side * width / 2
        body = parts.cushion((outer - side * wide, -depth / 2, foot), (outer, depth / 2, arm_level), round_ if style == "block" else 0.3)
        if style == "slope":
            body = parts.tilted(body, "y", side * dice.between(4, 12), (outer, 0, foot))
        piece.add(soft, body)
        if style == "round":
            x = outer - side * wide / 2
            piece.add(soft, parts.rod((x, -depth / 2, arm_level), (x, depth / 2, arm_level), wide * 0.62, sides=14))
    pillow = soft if dice.chance(0.75) else piece.material("pillow", SOFT)
    front, edges = -depth / 2 - 0.01, np.linspace(-inner / 2, inner / 2, (seats if dice.chance(0.75) else 1) + 1) + shift
    high_backs = dice.chance(0.7)
    for a, b in zip(edges, edges[1:], strict=False):
        piece.add(pillow, parts.cushion((a + 0.005, front, level - 0.15), (b - 0.005, depth / 2 - thick, level), round_, bulge))
        if high_backs:
            y = depth / 2 - thick
            rest = parts.cushion(
                (a + 0.01, y - 0.16, level - 0.02),
                (b - 0.01, y + 0.02, max(top + dice.between(-0.12, 0.08), level + 0.2)),
                max(round_, 0.35),
                bulge,
            )
            piece.add(pillow, parts.tilted(rest, "x", lean - 6, (0, y, level)))
    if dice.chance(0.3):
        # A long seat at one end.
        side, wide, reach = dice.pick([-1, 1]), edges[1] - edges[0], dice.between(0.4, 0.9)
        x0 = side * width / 2
        x1 = x0 - side * min(wide + (left if side < 0 else right), width * 0.5)
        piece.add(soft, parts.cushion((x0, -depth / 2 - reach, foot), (x1, -depth / 2 + 0.05, level - 0.12), 0.1))
        piece.add(pillow, parts.cushion((x0, -depth / 2 - reach - 0.01, level - 0.15), (x1, -depth / 2 + 0.02, level), round_, bulge))
    for _ in range(dice.pick([0, 0, 1, 2, 3])):
        x, size = dice.between(-inner / 2 + 0.2, inner / 2 - 0.2) + shift, dice.between(0.17, 0.26)
        extra = piece.material("extra", ("fabric",))
        body = parts.cushion((x - size, depth / 2 - thick - 0.3, level), (x + size, depth / 2 - thick - 0.16, level + 2 * size), 0.9, 0.3)
        piece.add(
            extra,
            parts.tilted(
                parts.tilted(body, "x", -18, (0, depth / 2 - thick - 0.2, level)),
                "z",
                dice.between(-15, 15),
                (x, depth / 2 - thick - 0.2, 0),
            ),
        )
    return piece
