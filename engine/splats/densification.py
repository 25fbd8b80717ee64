# SPDX-License-Identifier: GPL-3.0-or-later
"""Adaptive density control (Kerbl et al. 2023, section 5.2) under a fixed budget of gaussians."""

from __future__ import annotations

import math

import numpy as np

from ..contract.methods.splat import SplatSettings
from ..kernels.project.reference import rotation_matrices
from ..kernels.rasterize.cpu import V_MAGNITUDES, V_SHARE
from .gaussians import Gaussians

# Scales of the two halves of a split gaussian, as in the paper.
_SHRINK = 1.6
# Gaussians larger than this share of the scene are removed once opacities have been reset.
_TOO_LARGE = 0.1


class DensityControl:
    """Gathers how much each gaussian is pulled about on the screen, and clones, splits and prunes by it.

    ``pulls`` [N] sums the gradient of the place in half image widths, ``times`` [N] counts the pictures it was seen in, ``shares`` [N] sums
    what it gave to them, in millionths of the picture.
    """

    def __init__(self, settings: SplatSettings, radius: float, count: int):
        self.settings, self.radius = settings, radius
        self._forget(count)
        self.was_reset = False

    def observe(self, order: np.ndarray, v_rows: np.ndarray, width: int, height: int) -> None:
        """Adds one picture's gradients. order: [M] gaussians; v_rows: [M, V_COLUMNS], see kernels/rasterize."""
        x, y = (V_MAGNITUDES, V_MAGNITUDES + 1) if self.settings.absgrad else (0, 1)
        self.pulls[order] += np.hypot(v_rows[:, x] * (width / 2), v_rows[:, y] * (height / 2))
        self.times[order] += 1
        self.shares[order] += v_rows[:, V_SHARE] * (1e6 / (width * height))

    def refine(self, gaussians: Gaussians, most: int, rng: np.random.Generator) -> None:
        """Clones the small and splits the large where the pull is strong, the strongest first where there may be no more than ``most``;
        then prunes."""
        settings = self.settings
        pull = self.pulls / np.maximum(self.times, 1)
        wanted = np.flatnonzero(pull > settings.grow_gradient)
        room = max(most - len(gaussians), 0)
        if len(wanted) > room:
            strongest = np.argsort(-pull[wanted], kind="stable")[:room]
            wanted = np.sort(wanted[strongest])
        seen = self.times > 0
        useless = seen & (self.shares < settings.prune_share * self.times)
        size = np.exp(gaussians.values["log_scales"][wanted].max(axis=1))
        large = size > settings.split_scale * self.radius
        clones, splits = wanted[~large], wanted[large]
        halves = [self._half(gaussians, splits, rng) for _ in range(2)]
        kept = ~useless
        kept[wanted] = True
        kept[splits] = False
        new = [gaussians.rows(clones), *halves]
        gaussians.keep(kept)
        gaussians.append({name: np.concatenate([rows[name] for rows in new]) for name in Gaussians.NAMES})
        self._prune(gaussians)
        self._forget(len(gaussians))

    def reset_opacities(self, gaussians: Gaussians) -> None:
        """Makes everything nearly transparent, so that what is not needed stays so and is pruned."""
        logit = math.log(2 * self.settings.prune_opacity / (1 - 2 * self.settings.prune_opacity))
        np.minimum(gaussians.values["opacity_logits"], logit, out=gaussians.values["opacity_logits"])
        gaussians.forget("opacity_logits")
        self.was_reset = True

    def _forget(self, count: int) -> None:
        self.pulls, self.times, self.shares = (np.zeros(count, np.float32) for _ in range(3))

    def _half(self, gaussians: Gaussians, index: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Smaller copies, at places drawn from the gaussians themselves."""
        import torch

        rows = gaussians.rows(index)
        offsets = rng.standard_normal((len(index), 3)).astype(np.float32) * np.exp(rows["log_scales"])
        rotations = rotation_matrices(torch.from_numpy(rows["quats"])).numpy()
        rows["means"] += np.einsum("nij,nj->ni", rotations, offsets)
        rows["log_scales"] -= np.float32(math.log(_SHRINK))
        return rows

    def _prune(self, gaussians: Gaussians) -> None:
        limit = math.log(self.settings.prune_opacity / (1 - self.settings.prune_opacity))
        kept = gaussians.values["opacity_logits"] > limit
        if self.was_reset:
            kept &= gaussians.values["log_scales"].max(axis=1) < math.log(_TOO_LARGE * self.radius)
        for array in gaussians.values.values():
            kept &= np.isfinite(array.reshape(len(kept), -1)).all(axis=1)
        # An empty scene cannot be trained back to life.
        if kept.any():
            gaussians.keep(kept)
