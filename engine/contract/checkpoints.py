# SPDX-License-Identifier: GPL-3.0-or-later
"""What all checkpoints hold beside their arrays, checked when it is read. Each method adds its own, see contract/methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .schema import bounded

MAX_COUNT = 1_000_000_000
Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]
SMALLEST = 1e-30


@dataclass(frozen=True)
class Pcg64Words:
    """The two 128-bit words of NumPy's PCG64."""

    state: int = bounded(0, 2**128 - 1)
    inc: int = bounded(0, 2**128 - 1)


@dataclass(frozen=True)
class RngState:
    """State of NumPy's default generator, as its ``bit_generator.state`` gives it."""

    bit_generator: Literal["PCG64"]
    state: Pcg64Words
    has_uint32: int = bounded(0, 1)
    uinteger: int = bounded(0, 2**32 - 1)


@dataclass(frozen=True)
class Progress:
    """How far a run was: steps from its beginning, and seconds of all its processes."""

    step: int = bounded(0, MAX_COUNT)
    seconds: float = bounded(0.0, MAX_COUNT)


@dataclass(frozen=True, kw_only=True)
class CaptureFacts:
    """Of a training on a capture. ``views`` names the training views in their order."""

    step: int = bounded(0, MAX_COUNT)
    rng: RngState
    views: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FieldFacts(CaptureFacts):
    """The field's coordinates, see data/rays.Space; checkpoints of early versions lack them."""

    center: Vector | None = None
    radius: float | None = None
    rotation: Matrix | None = None


@dataclass(frozen=True)
class VoxelFacts:
    """Of a training of 3D-R2N2."""

    step: int = bounded(0, MAX_COUNT)
