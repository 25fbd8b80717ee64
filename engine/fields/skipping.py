# SPDX-License-Identifier: GPL-3.0-or-later
"""NeRF's network along rays that pass over empty space, as Instant-NGP's do (Müller et al. 2022, appendix E)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import relu

from ..contract.methods.nerf import NerfSettings
from ..kernels.autograd import composite
from ..kernels.marching import Samples, march
from .occupancy import OccupancyGrid
from .renderer import Rays, Renderer, Seen

# Rays that are marched together; their samples are then computed in smaller parts.
_MARCHED = 8192
# Steps of a ray along the diagonal of the scene's box, and the most that it takes where cells grow with the distance.
_STEPS, _MOST = 256, 512
_CONE = 1 / 128
# Steps between looks at the occupancy grid, and how many for each ray of a step: about a tenth of the time.
_LOOK_EVERY, _LOOKS = 16, 64


class SkippingRenderer(Renderer):
    """One network, looked up in equal steps where an occupancy grid says that something may be.

    Args:
        cascades: of the grid; 1 holds the scene's box and nothing around it.
        others: see :class:`Renderer`.
    """

    def __init__(self, settings: NerfSettings, cascades: int, **others):
        super().__init__(settings, networks=1, **others)
        self.grid = OccupancyGrid(2 * 3**0.5 / _STEPS, cascades=cascades, device=self.device)
        self._cone, self._most = (_CONE, _MOST) if cascades > 1 else (0.0, _STEPS + 2)

    def prepare(self, step: int, rng: np.random.Generator) -> None:
        """Looks at cells of the grid anew, now and then: at first at all of them."""
        if step and step % _LOOK_EVERY == 0:
            every = step == _LOOK_EVERY
            self.grid.update(self.density, rng, self.grid.thickness.numel() if every else _LOOKS * self.settings.rays)

    def parts(self, rays: Rays, rng: np.random.Generator | None = None) -> Iterator[tuple[slice, list[Seen]]]:
        """See :meth:`Renderer.parts`."""
        taken = 0
        for start in range(0, len(rays), _MARCHED):
            some = rays.part(slice(start, start + _MARCHED))
            lengths = some.directions.norm(dim=-1)
            views = some.directions / lengths[:, None]
            jitter = None if rng is None else torch.from_numpy(rng.random(len(some), np.float32)).to(self.device)
            begin = some.near * lengths
            samples = march(
                some.origins, views, self.grid.bits, self.grid.step, cone=self._cone, begin=begin, jitter=jitter, most=self._most
            )
            taken += len(samples)
            noise = None
            if rng is not None and self.settings.density_noise:
                noise = rng.standard_normal(len(samples), np.float32) * np.float32(self.settings.density_noise)
                noise = torch.from_numpy(noise).to(self.device)
            for first, last in _groups(samples.starts, self.at_once):
                part = slice(int(samples.starts[first]), int(samples.starts[last]))
                seen = self._see(samples, slice(first, last), part, views, noise)
                if rng is None:
                    depth = torch.where(seen.alpha > 0.5, seen.depth / seen.alpha.clamp_min(0.5) / lengths[first:last], 0.0)
                    seen = Seen(seen.color, seen.alpha, depth)
                yield slice(start + first, start + last), [seen]
        # Of rays over all views: those of one picture, or of a part of it, may all pass by.
        if rng is not None and len(rays):
            self.ray_samples = max(taken / len(rays), 1.0)

    def _see(self, samples: Samples, rays: slice, part: slice, views: Tensor, noise: Tensor | None) -> Seen:
        """``depth`` is the sum of the distances of samples here, times their weights."""
        if part.start == part.stop:
            nothing = views.new_zeros(rays.stop - rays.start)
            return Seen(nothing[:, None].expand(-1, 3), nothing, nothing)
        raw, colors = self.query(self.networks[0], samples.positions[part], views[samples.rays[part]])
        densities = relu(raw if noise is None else raw + noise[part])
        starts = samples.starts[rays.start : rays.stop + 1] - part.start
        color, depth, alpha, _ = composite(densities, colors, samples.t[part], samples.dt[part], starts)
        return Seen(color, alpha, depth)


def _groups(starts: Tensor, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of rays whose samples together are at most ``most``, or single rays."""
    first, rays = 0, len(starts) - 1
    while first < rays:
        last = int(torch.searchsorted(starts, starts[first] + most, right=True)) - 1
        last = min(max(last, first + 1), rays)
        yield first, last
        first = last
