# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats as arrays, whatever file they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from ...contract.errors import UserError

# Takes sentences on what a reader ignored or changed.
Note = Callable[[str], None]
# Opacities 0 and 1, which 8-bit files hold, have no finite logit: they are kept this far away.
_MIN_OPACITY = 1e-6
# A scale of zero, which flat splats have, has no finite logarithm: it becomes this one.
MIN_LOG_SCALE = float(np.log(1e-12))
# Splats that are converted at once, so that temporaries stay small.
_BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class Splats:
    """Gaussians as they are trained and stored, float32.

    ``blend`` says in which light they composite, ``antialias`` whether they were trained with opacity-compensated antialiasing; None
    where a file does not say.
    """

    means: np.ndarray  # [N, 3] world
    log_scales: np.ndarray  # [N, 3] natural logarithm of world units
    quats: np.ndarray  # [N, 4] w x y z
    opacity_logits: np.ndarray  # [N]
    sh: np.ndarray  # [N, K, 3], K = (degree + 1)²; the first is the base color
    blend: Literal["linear", "srgb"] | None = None
    antialias: bool | None = None

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return {1: 0, 4: 1, 9: 2, 16: 3}[self.sh.shape[1]]

    def select(self, index: np.ndarray) -> Splats:
        """Those of an index or a mask, in its order."""
        return replace(
            self,
            means=self.means[index],
            log_scales=self.log_scales[index],
            quats=self.quats[index],
            opacity_logits=self.opacity_logits[index],
            sh=self.sh[index],
        )

    def check(self, what: str) -> None:
        """Refuses gaussians that no viewer can draw.

        Args:
            what: names them in the message, usually the file.

        Raises:
            UserError: a number is not finite, a rotation has no length, or the arrays do not fit together.
        """
        n, k = len(self.means), self.sh.shape[1] if self.sh.ndim == 3 else 0
        shapes = (self.means.shape, self.log_scales.shape, self.quats.shape, self.opacity_logits.shape, self.sh.shape)
        if k not in (1, 4, 9, 16) or shapes != ((n, 3), (n, 3), (n, 4), (n,), (n, k, 3)):
            raise UserError(f"{what}: the splats' parts do not fit together.")
        bad = n - int(self.drawable().sum())
        if bad:
            words = "hold a number that is not finite, or a rotation without length"
            raise UserError(f"{what}: {bad} of {n} splats {words}.", "Train or export them again.")

    def with_finite_limits(self) -> Splats:
        """A copy whose infinities that mean something are finite: scales of 0 are tiny, opacities of 0 and 1 close to that. NaN stays."""
        ends = logits(np.array([0.0, 1.0]))
        return replace(
            self,
            log_scales=np.maximum(self.log_scales, np.float32(MIN_LOG_SCALE)),
            opacity_logits=np.nan_to_num(self.opacity_logits, nan=np.nan, neginf=ends[0], posinf=ends[1]),
        )

    def drawable(self) -> np.ndarray:
        """Which of them a viewer can draw, [N] bool: all numbers are finite, and the rotation has a length."""
        parts = (self.means, self.log_scales, self.quats, self.opacity_logits[:, None])
        finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in parts]) & np.isfinite(self.sh).all(axis=(1, 2))
        return finite & (np.abs(self.quats) > 0).any(axis=1)


def opacities(splats: Splats) -> np.ndarray:
    """Opacities between 0 and 1, [N] float64."""
    # exp only of what is not positive never overflows.
    small = np.exp(-np.abs(splats.opacity_logits.astype(np.float64)))
    return np.where(splats.opacity_logits >= 0, 1.0, small) / (1.0 + small)


def logits(opacity: np.ndarray) -> np.ndarray:
    """Opacity logits of opacities, [N] float32, finite also for 0 and 1; NaN stays NaN."""
    inside = np.clip(opacity.astype(np.float64), _MIN_OPACITY, 1 - _MIN_OPACITY)
    return np.log(inside / (1 - inside)).astype(np.float32)


def logarithms(scales: np.ndarray) -> np.ndarray:
    """Log scales of sizes in world units, [N, 3] float32: -inf for 0, NaN for negative ones."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(scales.astype(np.float64)).astype(np.float32)


def splat_bytes(degree: int) -> int:
    """Memory of one gaussian of a degree of harmonics as :class:`Splats`."""
    return 4 * (3 + 3 + 4 + 1 + 3 * (degree + 1) ** 2)


def in_blocks(count: int, make: Callable[[slice], Splats], into: Splats | None = None) -> Splats:
    """Joins what ``make`` returns for consecutive parts of ``count`` gaussians. Only one part's temporaries exist at a time.

    Args:
        count: of the gaussians.
        make: called with each part in turn.
        into: its arrays receive the gaussians, where they have the same shapes; ``make`` may read its part of them.
    """
    first = make(slice(0, min(count, _BLOCK)))
    if count <= _BLOCK:
        return first
    parts = {field.name: value for field in fields(first) if isinstance(value := getattr(first, field.name), np.ndarray)}
    joined = {
        name: getattr(into, name) if into is not None else np.empty((count, *value.shape[1:]), value.dtype) for name, value in parts.items()
    }
    for start in range(0, count, _BLOCK):
        part = slice(start, min(start + _BLOCK, count))
        made = first if start == 0 else make(part)
        for name, value in joined.items():
            value[part] = getattr(made, name)
    return replace(first, **joined)


def unit_quats(quats: np.ndarray) -> np.ndarray:
    """Quaternions of length 1, [N, 4] float64; those without a length stay 0."""
    quats = quats.astype(np.float64)
    # Scaled first, so that neither tiny nor huge quaternions leave float's range in the square.
    largest = np.abs(quats).max(axis=1, keepdims=True, initial=0)
    quats = np.divide(quats, largest, out=np.zeros_like(quats), where=largest > 0)
    return quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-30)
