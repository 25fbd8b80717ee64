# SPDX-License-Identifier: GPL-3.0-or-later
"""What checkpoints and fields hold beside their arrays, for each method: plain values that are checked when they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .schema import bounded
from .settings import NerfSettings, NgpSettings

_MAX_COUNT = 1_000_000_000
_Vector = tuple[float, float, float]
_Matrix = tuple[_Vector, _Vector, _Vector]
_SMALLEST = 1e-30


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

    step: int = bounded(0, _MAX_COUNT)
    seconds: float = bounded(0.0, _MAX_COUNT)


@dataclass(frozen=True, kw_only=True)
class CaptureFacts:
    """Of a training on a capture. ``views`` names the training views in their order."""

    step: int = bounded(0, _MAX_COUNT)
    rng: RngState
    views: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SplatFacts(CaptureFacts):
    """``order`` holds the views that are still due, the next one last. ``center``: origin of the means, world."""

    order: tuple[int, ...] = bounded(0)
    was_reset: bool
    center: _Vector
    degree: int = bounded(0, 3)


@dataclass(frozen=True, kw_only=True)
class FieldFacts(CaptureFacts):
    """The field's coordinates, see data/rays.Space; checkpoints of early versions lack them."""

    center: _Vector | None = None
    radius: float | None = None
    rotation: _Matrix | None = None


@dataclass(frozen=True, kw_only=True)
class NgpFacts(FieldFacts):
    """``rays``: how many the next step takes."""

    rays: int = bounded(1, _MAX_COUNT)


@dataclass(frozen=True, kw_only=True)
class NerfFacts(FieldFacts):
    """``updates``: steps of the optimizer. ``frustum``: see fields/ndc."""

    updates: int = bounded(0, _MAX_COUNT)
    frustum: _Vector | None = None


@dataclass(frozen=True)
class VoxelFacts:
    """Of a training of 3D-R2N2."""

    step: int = bounded(0, _MAX_COUNT)


@dataclass(frozen=True, kw_only=True)
class NgpFieldFacts:
    """Of field.safetensors of method ngp."""

    settings: NgpSettings
    cascades: int = bounded(1, 16)
    center: _Vector
    radius: float = bounded(_SMALLEST)


@dataclass(frozen=True, kw_only=True)
class BoundsFacts:
    """See data/bounds."""

    center: _Vector
    radius: float = bounded(_SMALLEST)
    near: float | None = bounded(_SMALLEST, default=None)
    far: float | None = bounded(_SMALLEST, default=None)


@dataclass(frozen=True, kw_only=True)
class NerfFieldFacts:
    """Of field.safetensors of method nerf."""

    settings: NerfSettings
    center: _Vector
    radius: float = bounded(_SMALLEST)
    rotation: _Matrix
    bounds: BoundsFacts
    frustum: _Vector | None
    disparity: bool
    linear: bool


FACTS = {"splat": SplatFacts, "ngp": NgpFacts, "nerf": NerfFacts, "r2n2": VoxelFacts}
