# SPDX-License-Identifier: GPL-3.0-or-later
"""Rays through the networks of NeRF: coarse samples, fine ones where they found something, and what is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from ..contract.settings import NerfSettings
from ..kernels.photometric.reference import srgb_decode
from .cost import Cost, measured_rate, multiply_adds
from .ndc import Frustum
from .nerf import NerfField, SimpleField, initialise
from .sampling import coarse_to_fine, stratified
from .volume import Composite, composite

# Samples that are computed at once: as many as the processor's caches take (1.6 times as fast as 65 536), or as keep a GPU busy.
_AT_ONCE = {"cpu": 16_384}
_AT_ONCE_ELSEWHERE = 1 << 19


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays in a field's coordinates; ``near`` and ``far`` are in multiples of the directions."""

    origins: Tensor  # [R, 3]
    directions: Tensor  # [R, 3]
    near: Tensor  # [R]
    far: Tensor  # [R]

    def __len__(self) -> int:
        return len(self.origins)

    def part(self, chosen: slice) -> Rays:
        """Some of them."""
        return Rays(self.origins[chosen], self.directions[chosen], self.near[chosen], self.far[chosen])


class NerfRenderer(nn.Module):
    """The networks, and how they are looked through.

    Args:
        settings: of the method.
        frustum: what becomes the cube where the scene is learnt in NDC.
        disparity: whether coarse samples are spread evenly in 1/depth.
        linear: whether colours are composited as scene-linear light; the networks give codes all the same.
        device: where all is computed. bfloat16: whether matrix products are.
        rng: draws the networks.
    """

    def __init__(
        self,
        settings: NerfSettings,
        frustum: Frustum | None,
        *,
        disparity: bool,
        linear: bool,
        device: str,
        bfloat16: bool,
        rng: np.random.Generator,
    ):
        super().__init__()
        self.settings, self.frustum, self.disparity, self.linear = settings, frustum, disparity, linear
        self.device, self.bfloat16 = device, bfloat16
        self.coarse = self.field(settings)
        self.fine = self.field(settings) if settings.fine_samples else None
        initialise(self, rng)
        self.to(device)

    @staticmethod
    def field(settings: NerfSettings) -> nn.Module:
        """A new network of the kind that the settings want."""
        octaves = (settings.position_octaves, settings.direction_octaves)
        if settings.network == "simple":
            return SimpleField(settings.width, *octaves)
        return NerfField(settings.width, settings.depth, *octaves)

    @property
    def rays_at_once(self) -> int:
        """How many rays are best computed together."""
        samples = self.settings.coarse_samples + self.settings.fine_samples
        return max(1, _AT_ONCE.get(self.device, _AT_ONCE_ELSEWHERE) // samples)

    def random(self, rays: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The random numbers that training on so many rays takes, [R, coarse_samples] and [R, fine_samples]."""
        counts = (self.settings.coarse_samples, self.settings.fine_samples)
        return tuple(torch.from_numpy(rng.random((rays, count), np.float32)).to(self.device) for count in counts)

    def noise(self, rays: int, rng: np.random.Generator) -> tuple[Tensor, Tensor] | None:
        """What is added to the raw densities of so many rays while training."""
        if not self.settings.density_noise:
            return None
        coarse, fine = self.settings.coarse_samples, self.settings.fine_samples
        drawn = (rng.standard_normal((rays, count), np.float32) for count in (coarse, coarse + fine))
        return tuple(torch.from_numpy(noise * np.float32(self.settings.density_noise)).to(self.device) for noise in drawn)

    def trace(self, rays: Rays, random: tuple[Tensor, Tensor] | None = None, noise: tuple[Tensor, Tensor] | None = None) -> list[Composite]:
        """What rays see: by the coarse network, and by the fine one where there is one. Light is over nothing.

        Args:
            rays: R of them.
            random: see :meth:`random`; None takes the middles, as for pictures.
            noise: see :meth:`noise`.
        """
        coarse_random, fine_random = random or (None, None)
        coarse_noise, fine_noise = noise or (None, None)
        views = normalize(rays.directions, dim=-1)
        origins, directions, near, far = rays.origins, rays.directions, rays.near, rays.far
        if self.frustum is not None:
            origins, directions = self.frustum.rays(origins, directions)
            near, far = torch.zeros_like(near), torch.ones_like(far)
        lengths = directions.norm(dim=-1)
        places = stratified(near, far, self.settings.coarse_samples, coarse_random, disparity=self.disparity)

        def look(field: nn.Module, places: Tensor, noise: Tensor | None) -> Composite:
            positions = origins[:, None] + places[..., None] * directions[:, None]
            raw, colors = self._query(field, positions, views[:, None].expand_as(positions))
            densities = relu(raw if noise is None else raw + noise)
            return composite(densities, srgb_decode(colors) if self.linear else colors, places, lengths)

        seen = [look(self.coarse, places, coarse_noise)]
        if self.fine is not None:
            places = coarse_to_fine(places, seen[0].weights.detach(), self.settings.fine_samples, fine_random)
            seen.append(look(self.fine, places, fine_noise))
        return seen

    @torch.no_grad()
    def look(self, rays: Rays) -> tuple[Tensor, Tensor, Tensor]:
        """What any number of rays see: light [R, 3] over nothing, alpha [R], and median planar depth [R], 0 = none."""
        parts = []
        for start in range(0, len(rays), self.rays_at_once):
            part = rays.part(slice(start, start + self.rays_at_once))
            seen = self.trace(part)[-1]
            parts.append((seen.color, seen.alpha, self._planar(part, seen.median_depth())))
        return tuple(torch.cat(pieces) for pieces in zip(*parts, strict=True))

    def normals(self, points: Tensor) -> Tensor:
        """Unit normals [P, 3] in the field's coordinates, against the growth of density; 0 where it does not grow.

        Args:
            points: [P, 3] in the field's coordinates.
        """
        field = self.fine if self.fine is not None else self.coarse
        at_once = _AT_ONCE.get(self.device, _AT_ONCE_ELSEWHERE)
        made = []
        for part in points.split(at_once):
            part = part.detach().requires_grad_()
            with torch.enable_grad():
                places = part
                if self.frustum is not None:
                    z = part[:, 2:].clamp_max(-1e-6)
                    sides = torch.tensor([self.frustum.half_width, self.frustum.half_height], device=part.device)
                    places = torch.cat([-part[:, :2] / z / sides, 1 + 2 * self.frustum.near / z], dim=-1)
                (slope,) = torch.autograd.grad(field.raw_density(places).sum(), part)
            made.append(normalize(-slope, dim=-1).nan_to_num())
        return torch.cat(made)

    def cost(self) -> Cost:
        """What training and rendering take here; measured in a fifth of a second."""
        coarse, fine = self.settings.coarse_samples, self.settings.fine_samples
        per_sample = multiply_adds(self.coarse)
        at_once = _AT_ONCE.get(self.device, _AT_ONCE_ELSEWHERE)
        rate = measured_rate(lambda *given: self._query(self.coarse, *given), per_sample, at_once, self.device)
        # The fine network sees the coarse samples too.
        return Cost(per_sample, 2 * coarse + fine if fine else coarse, self.settings.rays, rate)

    def _query(self, field: nn.Module, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bfloat16):
            raw, colors = field(positions, directions)
        return raw.float(), colors.float()

    def _planar(self, rays: Rays, places: Tensor) -> Tensor:
        if self.frustum is None:
            return places
        origins, directions = self.frustum.rays(rays.origins, rays.directions)
        points = self.frustum.back(origins + places[:, None] * directions)
        depth = (points[:, 2] - rays.origins[:, 2]) / rays.directions[:, 2]
        return torch.where(places > 0, depth, 0.0)
