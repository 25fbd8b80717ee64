# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as samples of a Markov chain (Kheradmand et al. 2024, 3DGS-MCMC) under a fixed budget.

What has become transparent moves to where something is, and the number grows by copies of what is opaque; copies share opacity and size so
that the picture stays. Noise on the places of what is nearly transparent lets it look for a place of use.
"""

from __future__ import annotations

import math

import numpy as np

from ..contract.methods.splat import SplatSettings
from ..kernels import simd
from ..kernels.noise import cpu as noise
from .gaussians import Gaussians

# What is more transparent moves; copies are not made more transparent.
_DEAD = 0.005
# Copies beyond this many at one place share alike, as in the paper's own code.
_MOST_COPIES = 51
# Drawn once, and read from another place at every step: fresh numbers would take longer than all else that is done with them.
_NORMAL = np.random.default_rng(0).standard_normal(1 << 20, dtype=np.float32)


class Relocation:
    """Moves and copies gaussians every so often, and shakes them at every step."""

    def __init__(self, settings: SplatSettings, count: int):
        self.settings = settings
        self.start = min(count, settings.max_gaussians)

    def budget(self, progress: float) -> int:
        """How many gaussians there may be at a share of the run: from the start's number evenly in ratio to the most."""
        share = min(progress / (self.settings.grow_until * self.settings.refine_stop), 1.0)
        return round(self.start * (self.settings.max_gaussians / self.start) ** share)

    def refine(self, gaussians: Gaussians, progress: float, rng: np.random.Generator) -> None:
        """Moves what is transparent or broken to what is opaque, and grows."""
        opacities = _sigmoid(gaussians.values["opacity_logits"].astype(np.float64))
        dead = ~(opacities > _DEAD)
        for array in gaussians.values.values():
            dead |= ~np.isfinite(array.reshape(len(gaussians), -1)).all(axis=1)
        alive = np.flatnonzero(~dead)
        if len(alive) == 0:
            return
        gone = np.flatnonzero(dead)
        more = max(self.budget(progress) - len(gaussians), 0)
        drawn = rng.choice(alive, len(gone) + more, p=opacities[alive] / opacities[alive].sum())
        _share(gaussians, drawn)
        moved, added = drawn[: len(gone)], drawn[len(gone) :]
        for name in Gaussians.NAMES:
            gaussians.values[name][gone] = gaussians.values[name][moved]
            gaussians.forget(name, gone)
            gaussians.forget(name, drawn)
        if more:
            gaussians.append(gaussians.rows(added))

    def shake(self, gaussians: Gaussians, rate: float, rng: np.random.Generator) -> None:
        """Adds noise to the places of what is nearly transparent, shaped like the gaussian itself.

        Args:
            gaussians: changed in place. rate: the learning rate of the means, divided by the square of the scene's radius.
            rng: the source of randomness.
        """
        # The noise has the shape and opacity of now: gaussians out of view may owe steps.
        gaussians.settle()
        offset = int(rng.integers(len(_NORMAL) // simd.WIDTH)) * simd.WIDTH
        noise.shake(gaussians.table, _NORMAL, offset, rate * self.settings.noise)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -80, 80)))


def _share(gaussians: Gaussians, drawn: np.ndarray) -> None:
    """Gives each gaussian that is drawn the opacity and size with which all its copies together look as it did (equation 9)."""
    sources, copies = np.unique(drawn, return_counts=True)
    n = np.minimum(copies + 1, _MOST_COPIES)
    opacities = _sigmoid(gaussians.values["opacity_logits"][sources].astype(np.float64))
    shared = 1 - (1 - opacities) ** (1 / n)
    total = np.zeros(len(sources))
    for i in range(1, int(n.max(initial=1)) + 1):
        terms = sum(math.comb(i - 1, k) * (-1.0) ** k / math.sqrt(k + 1) * shared ** (k + 1) for k in range(i))
        total += np.where(n >= i, terms, 0)
    shared = np.clip(shared, _DEAD, 1 - 1e-6)
    gaussians.values["opacity_logits"][sources] = np.log(shared / (1 - shared))
    gaussians.values["log_scales"][sources] += np.log(opacities / total)[:, None]
