# SPDX-License-Identifier: GPL-3.0-or-later
"""Rays through the networks of NeRF, and what is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from ..contract.methods.nerf import NerfSettings
from ..kernels import volume
from ..kernels.marching import Samples
from ..kernels.photometric.reference import srgb_decode
from .cost import Cost, measured_rate, multiply_adds
from .ndc import Frustum
from .nerf import NerfField, SimpleField, initialize
from .quantized import Quantized
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


@dataclass(frozen=True, eq=False)
class Seen:
    """What rays see over nothing. ``depth`` is in multiples of the directions, 0 where less than half of the light is held up: for the
    paper's samples where half of it is, along rays that pass over empty space the mean of where it is. It is only there for pictures.
    """

    color: Tensor  # [R, 3], multiplied by alpha
    alpha: Tensor  # [R]
    depth: Tensor | None = None  # [R]


class Renderer(nn.Module):
    """Networks, and what all ways of looking through them share.

    Args:
        settings: of the method.
        linear: whether colors are composited as scene-linear light; the networks give codes all the same.
        networks: how many there are.
        device: where all is computed. bfloat16: whether matrix products are.
        rng: draws the networks.
    """

    frustum: Frustum | None = None
    # How many samples a ray of training takes, over all networks; above 0 once some were looked along.
    ray_samples = 0.0

    def __init__(self, settings: NerfSettings, *, linear: bool, networks: int, device: str, bfloat16: bool, rng: np.random.Generator):
        super().__init__()
        self.settings, self.linear, self.device, self.bfloat16 = settings, linear, device, bfloat16
        octaves = (settings.position_octaves, settings.direction_octaves)
        self.networks = nn.ModuleList(
            SimpleField(settings.width, *octaves) if settings.network == "simple" else NerfField(settings.width, settings.depth, *octaves)
            for _ in range(networks)
        )
        initialize(self, rng)
        self.to(device)
        # Now, because accelerations put layers of their own into the networks.
        self._per_sample = multiply_adds(self.networks[0])

    @property
    def at_once(self) -> int:
        """How many samples are best computed together."""
        return _AT_ONCE.get(self.device, _AT_ONCE_ELSEWHERE)

    def prepare(self, step: int, rng: np.random.Generator) -> None:
        """Called before each training step."""

    def parts(self, rays: Rays, rng: np.random.Generator | None = None) -> Iterator[tuple[slice, list[Seen]]]:
        """Looks along rays, as many at a time as are best computed together.

        Args:
            rays: R of them.
            rng: the source of the randomness of training; None looks as for pictures.

        Yields:
            Which of them, and what they see: by each of the networks, of which the last counts.
        """
        raise NotImplementedError

    @torch.no_grad()
    def probe(self, rays: Rays, rng: np.random.Generator) -> None:
        """Looks along rays as training does, to know how many samples one takes."""
        for _ in self.parts(rays, rng):
            pass

    @torch.no_grad()
    def look(self, rays: Rays) -> tuple[Tensor, Tensor, Tensor]:
        """What any number of rays see: light [R, 3] over nothing, alpha [R], and depth [R] in multiples of the directions, 0 = none."""
        seen = [part[-1] for _, part in self.parts(rays)]
        return tuple(torch.cat([getattr(one, name) for one in seen]) for name in ("color", "alpha", "depth"))

    def normals(self, points: Tensor) -> Tensor:
        """Unit normals [P, 3] in the field's coordinates, against the growth of density; 0 where it does not grow.

        Args:
            points: [P, 3] in the field's coordinates.
        """
        made = []
        for part in points.split(self.at_once):
            part = part.detach().requires_grad_()
            with torch.enable_grad(), self.numbers():
                places = part if self.frustum is None else self.frustum.points(part)
                (slope,) = torch.autograd.grad(self.networks[-1].raw_density(places).sum(), part)
            made.append(normalize(-slope, dim=-1).nan_to_num())
        return torch.cat(made)

    @torch.no_grad()
    def density(self, places: Tensor) -> Tensor:
        """Densities [P] at places [P, 3] of the networks' coordinates, per unit of length."""
        network = self.networks[-1]
        with self.numbers():
            found = [network.raw_density(some).float() for some in places.split(self.at_once)]
        return relu(torch.cat(found))

    @torch.no_grad()
    def look_at(self, samples: Samples, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Color [R, 3] over nothing and alpha [R] of samples along rays, whose directions [R, 3] are unit vectors."""
        views = directions[samples.rays]
        parts = zip(samples.positions.split(self.at_once), views.split(self.at_once), strict=True)
        raw, colors = (torch.cat(part) for part in zip(*(self.query(self.networks[-1], *part) for part in parts), strict=True))
        color, _, alpha, _ = volume.forward(relu(raw), colors, samples.t, samples.dt, samples.starts)
        return color, alpha

    def cost(self) -> Cost:
        """What training and rendering take here; measured in a fifth of a second."""
        rate = measured_rate(lambda *given: self.query(self.networks[0], *given), self._per_sample, self.at_once, self.device)
        return Cost(self._per_sample, self.ray_samples, self.settings.rays, rate)

    def query(self, network: nn.Module, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Raw densities [...] and colors [..., 3] for compositing, float32, of positions and unit directions [..., 3]."""
        with self.numbers():
            raw, colors = network(positions, directions)
        colors = colors.float()
        return raw.float(), srgb_decode(colors) if self.linear else colors

    def numbers(self) -> torch.autocast:
        """The number type of matrix products, as a context."""
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bfloat16)

    def quantize(self, rays: Rays) -> bool:
        """Puts quantized networks in the place of these, for pictures.

        Args:
            rays: tell the networks' ranges of numbers; as those of the pictures.

        Returns:
            False where the rays take no samples, so that all stays as it is.
        """
        seen: list[list[tuple[Tensor, Tensor]]] = [[] for _ in self.networks]
        hooks = [
            network.register_forward_pre_hook(lambda _, given, some=some: some.append(tuple(one.reshape(-1, 3) for one in given)))
            for network, some in zip(self.networks, seen, strict=True)
        ]
        self.look(rays)
        for hook in hooks:
            hook.remove()
        if not all(seen):
            return False
        samples = [[torch.cat(part) for part in zip(*some, strict=True)] for some in seen]
        self.networks = nn.ModuleList(Quantized(network, *some) for network, some in zip(self.networks, samples, strict=True))
        self.bfloat16 = False
        return True


class PaperRenderer(Renderer):
    """The published way: coarse samples, and fine ones where those found something, by a network of their own.

    Args:
        frustum: what becomes the cube where the scene is learnt in NDC.
        disparity: whether coarse samples are spread evenly in 1/depth.
        others: see :class:`Renderer`.
    """

    def __init__(self, settings: NerfSettings, frustum: Frustum | None, disparity: bool, **others):
        super().__init__(settings, networks=2 if settings.fine_samples else 1, **others)
        self.frustum, self.disparity = frustum, disparity
        coarse, fine = settings.coarse_samples, settings.fine_samples
        # The fine network sees the coarse samples too.
        self.ray_samples = 2 * coarse + fine if fine else coarse

    def parts(self, rays: Rays, rng: np.random.Generator | None = None) -> Iterator[tuple[slice, list[Seen]]]:
        """See :meth:`Renderer.parts`."""
        coarse, fine = self.settings.coarse_samples, self.settings.fine_samples
        randoms, noises = (None, None), (None, None)
        if rng is not None:
            randoms = tuple(self._drawn(rng.random((len(rays), count), np.float32)) for count in (coarse, fine))
            if self.settings.density_noise:
                strength = np.float32(self.settings.density_noise)
                shapes = ((len(rays), coarse), (len(rays), coarse + fine))
                noises = tuple(self._drawn(strength * rng.standard_normal(shape, np.float32)) for shape in shapes)
        rays_at_once = max(1, self.at_once // (coarse + fine))
        for start in range(0, len(rays), rays_at_once):
            part = slice(start, start + rays_at_once)
            given = [tuple(None if one is None else one[part] for one in some) for some in (randoms, noises)]
            seen = self.trace(rays.part(part), *given)
            if rng is None:
                yield part, [Seen(one.color, one.alpha, self._depth(rays.part(part), one)) for one in seen[-1:]]
            else:
                yield part, [Seen(one.color, one.alpha) for one in seen]

    def trace(
        self,
        rays: Rays,
        random: tuple[Tensor | None, Tensor | None] = (None, None),
        noise: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> list[Composite]:
        """What rays see by the coarse network, and by the fine one where there is one.

        Args:
            rays: R of them.
            random: for the places of coarse [R, coarse_samples] and fine [R, fine_samples] samples; None takes the middles.
            noise: is added to the raw densities, [R, coarse_samples] and [R, coarse_samples + fine_samples].
        """
        views = normalize(rays.directions, dim=-1)
        origins, directions, near, far = rays.origins, rays.directions, rays.near, rays.far
        if self.frustum is not None:
            origins, directions = self.frustum.rays(origins, directions)
            near, far = torch.zeros_like(near), torch.ones_like(far)
        lengths = directions.norm(dim=-1)

        def look(network: nn.Module, places: Tensor, noise: Tensor | None) -> Composite:
            positions = origins[:, None] + places[..., None] * directions[:, None]
            raw, colors = self.query(network, positions, views[:, None].expand_as(positions))
            return composite(relu(raw if noise is None else raw + noise), colors, places, lengths)

        places = stratified(near, far, self.settings.coarse_samples, random[0], disparity=self.disparity)
        seen = [look(self.networks[0], places, noise[0])]
        if len(self.networks) > 1:
            places = coarse_to_fine(places, seen[0].weights.detach(), self.settings.fine_samples, random[1])
            seen.append(look(self.networks[1], places, noise[1]))
        return seen

    def _drawn(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def _depth(self, rays: Rays, seen: Composite) -> Tensor:
        places = seen.median_depth()
        if self.frustum is None:
            return places
        origins, directions = self.frustum.rays(rays.origins, rays.directions)
        points = self.frustum.back(origins + places[:, None] * directions)
        return torch.where(places > 0, (points[:, 2] - rays.origins[:, 2]) / rays.directions[:, 2], 0.0)
