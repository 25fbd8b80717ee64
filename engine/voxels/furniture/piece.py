# SPDX-License-Identifier: GPL-3.0-or-later
"""A piece of furniture while it is built: its parts, what they are made of, and the dice that decide."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ...color import srgb_to_linear
from ...kernels.drawing import PATTERNS
from ..shapes import Shape

T = TypeVar("T")

# sRGB codes, 0 to 1, that colors start from.
_WOODS = [(0.80, 0.62, 0.42), (0.62, 0.42, 0.26), (0.42, 0.27, 0.17), (0.25, 0.17, 0.13), (0.88, 0.78, 0.62), (0.55, 0.30, 0.18)]
_METALS = [(0.75, 0.75, 0.76), (0.45, 0.45, 0.47), (0.12, 0.12, 0.13), (0.80, 0.66, 0.38), (0.72, 0.45, 0.32), (0.92, 0.92, 0.92)]
_LEATHERS = [(0.35, 0.20, 0.12), (0.55, 0.35, 0.20), (0.10, 0.09, 0.09), (0.85, 0.80, 0.72), (0.45, 0.12, 0.10), (0.70, 0.52, 0.35)]
_EARTHS = [(0.72, 0.40, 0.27), (0.90, 0.89, 0.86), (0.45, 0.45, 0.44), (0.20, 0.20, 0.22), (0.35, 0.50, 0.55), (0.80, 0.72, 0.58)]
_SHADES = [(0.95, 0.93, 0.86), (0.90, 0.84, 0.70), (0.55, 0.55, 0.55), (0.15, 0.15, 0.16), (0.75, 0.35, 0.28), (0.35, 0.48, 0.55)]


class Dice:
    """Choices from one stream of random numbers."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def between(self, low: float, high: float) -> float:
        """A number from an interval, all alike."""
        return float(self.rng.uniform(low, high))

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return bool(self.rng.random() < share)

    def pick(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of some options, by weights where there are any."""
        shares = None if weights is None else np.asarray(weights, float) / np.sum(weights)
        return options[int(self.rng.choice(len(options), p=shares))]


class Piece:
    """Collects bodies. Every material has a name and is chosen when it is first used, so that all legs of a chair are alike."""

    def __init__(self, dice: Dice):
        self.dice = dice
        self._bodies: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._materials: dict[str, int] = {}
        self._colors: list[np.ndarray] = []
        self._finishes: list[list[float]] = []

    def material(self, name: str, kinds: Sequence[str]) -> str:
        """Decides what a material is: one of some kinds, see :func:`_look`. Returns its name."""
        if name not in self._materials:
            color, finish = _look(self.dice, self.dice.pick(kinds))
            self._materials[name] = len(self._colors)
            self._colors.append(np.asarray(color))
            self._finishes.append(finish)
        return name

    def add(self, material: str, *bodies: np.ndarray) -> None:
        """Adds bodies [M, 3, 3] of one material."""
        for body in bodies:
            self._bodies.append(body)
            self._rows.append(np.full(len(body), self._materials[material], np.int32))

    def both(self, material: str, *bodies: np.ndarray) -> None:
        """Adds bodies on both sides of x = 0."""
        for body in bodies:
            self.add(material, body, (body * (-1.0, 1.0, 1.0))[:, ::-1])

    def shape(self) -> Shape:
        """What has been built, standing on the floor."""
        triangles, rows = np.concatenate(self._bodies), np.concatenate(self._rows)
        triangles = triangles - (0.0, 0.0, triangles[..., 2].min())
        linear = srgb_to_linear(np.clip(np.stack(self._colors), 0, 1))[rows]
        colors = np.repeat(linear[:, None], 3, axis=1).astype(np.float32)
        return Shape(triangles, colors, rows, np.array(self._finishes, np.float32))


def _look(dice: Dice, kind: str) -> tuple[np.ndarray, list[float]]:
    """A color [3] in sRGB codes and a finish, a row of kernels.drawing's table, for a kind of material."""
    axis = float(dice.whole(0, 2))
    plain, grain, stripes, speckles = (float(index) for index in range(len(PATTERNS)))

    def near(colors: Sequence[tuple[float, float, float]], spread: float = 0.05) -> np.ndarray:
        return np.array(dice.pick(colors)) * dice.between(0.85, 1.12) + dice.rng.normal(0, spread, 3) * 0.5

    if kind == "wood":
        return near(_WOODS), [grain, dice.between(3, 14), dice.between(0.05, 0.45), axis, dice.between(0.0, 0.12), dice.between(8, 40)]
    if kind == "metal":
        return near(_METALS, 0.02), [plain, 1, 0, 0, dice.between(0.2, 0.6), dice.between(20, 80)]
    if kind == "leather":
        return near(_LEATHERS), [
            speckles,
            dice.between(40, 90),
            dice.between(0, 0.12),
            axis,
            dice.between(0.05, 0.25),
            dice.between(10, 40),
        ]
    if kind == "earth":
        return near(_EARTHS), [plain, 1, 0, 0, dice.between(0, 0.2), dice.between(10, 50)]
    if kind == "shade":
        return near(_SHADES), [dice.pick([plain, plain, stripes]), dice.between(8, 30), dice.between(0.05, 0.25), axis, 0, 1]
    if kind == "leaf":
        green = colorsys.hsv_to_rgb(dice.between(0.2, 0.42), dice.between(0.35, 0.9), dice.between(0.25, 0.7))
        return np.array(green), [plain, 1, 0, 0, dice.between(0, 0.15), dice.between(8, 30)]
    if kind == "glass":
        return np.array([0.72, 0.80, 0.80]) * dice.between(0.8, 1.15), [plain, 1, 0, 0, dice.between(0.4, 0.7), dice.between(40, 90)]
    hue = dice.between(0, 1)
    if kind == "fabric":
        color = colorsys.hsv_to_rgb(hue, dice.between(0, 0.6) ** 1.4, dice.between(0.15, 0.95))
        pattern = dice.pick([plain, speckles, stripes], [5, 4, 1])
        return np.array(color), [
            pattern,
            dice.between(6, 20) if pattern == stripes else dice.between(25, 70),
            dice.between(0.05, 0.35),
            axis,
            0,
            1,
        ]
    # Paint, and plastic, which is more colorful and shines more.
    shine = 0.3 if kind == "plastic" else 0.12
    color = colorsys.hsv_to_rgb(
        hue, dice.between(0, 0.9) ** (1.0 if kind == "plastic" else 2.5), dice.pick([dice.between(0.1, 0.5), dice.between(0.6, 0.98)])
    )
    return np.array(color), [plain, 1, 0, 0, dice.between(0, shine), dice.between(10, 50)]
