# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ngp: Instant-NGP (Müller et al. 2022)."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from .. import devices
from ..cameras import Camera, unproject
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.methods.ngp import NgpFacts, NgpFieldFacts, NgpSettings, check_ngp
from ..contract.result import Result
from ..contract.schema import from_mapping
from ..contract.settings import TrainSettings
from ..data.bounds import facing_points
from ..data.carving import object_box
from ..data.checkpoint_arrays import check_same_views, saved_array
from ..data.rays import RayBank, Space, picture_rays
from ..data.scene import near_distance, scene_box, seed_positions
from ..data.views import View
from ..fields import light
from ..fields.ngp import NgpField
from ..fields.occupancy import OccupancyGrid
from ..formats.meshes import Mesh
from ..kernels import amx
from ..kernels.hashgrid import Layout
from ..kernels.marching import Samples, Walk, march
from ..kernels.photometric.reference import srgb_decode
from ..kernels.radiance import Learner
from ..kernels.volume.reference import MIN_TRANSMITTANCE
from ..surfaces.density import density_mesh
from .field_trainer import FieldTrainer, background_colors, read_field

# What the doors of these kernels load at their first use is loaded now, so that a training mixes no versions where the extension is
# replaced by another one meanwhile.
for _name in ("hashgrid", "marching", "radiance", "volume"):
    import_module(f"..kernels.{_name}.cpu", __package__)

# Rays of a picture that are marched together: the distances of their samples fit in the caches.
_RAYS = 16_384
# Samples of a ray that pictures look at before they ask whether any light is left. Most rays end at the first surface.
_AT_FIRST = 48
# Steps along the diagonal of the box: where there is more around it, half as many bring more in the same time (measured on photos).
_RAY_STEPS, _RAY_STEPS_AMONG_MORE = 512, 256
# Samples of a ray where cells grow with the distance; within a box, its diagonal says.
_MOST_SAMPLES = 1024
# Rays begin at this distance from their camera, in the field's unit.
_NEAR = 0.05
# Stretches grow with the distance where cells do.
_CONE = 1 / 256
# Occupancy grids where nothing says how far a scene reaches past its box, and the most.
_CASCADES, _MAX_CASCADES = 4, 8
# Steps between looks at the occupancy grid, and the share of the time that they take, a training sample being so many looks.
_LOOK_EVERY, _LOOK_SHARE, _LOOK_COST = 16, 0.1, 3
# As published: every cell in so many steps, at first after each step.
_PAPER_ALL = 256
# Views that points are made of, and their side, px.
_POINT_VIEWS, _POINT_SIDE = 16, 200
# A mesh takes about as long as pictures of so many pixels for each square of its cells (measured with 192 of them).
_MESH_PIXELS = 9
# At most this share of a time budget goes into the points, and into the mesh: a field that is still haze takes a hundred times as long.
_SHARE = 0.1


class NgpModel:
    """A field that can be looked at; ``space`` puts its cube into the world."""

    def __init__(self, settings: NgpSettings, cascades: int, space: Space, blend: str, rng: np.random.Generator, device: str):
        check_ngp(settings)
        self.space, self.blend, self.antialias, self.device = space, blend, False, device
        # What a pixel of the last picture took; nothing is known before the first.
        self.pixel_seconds = 0.0
        self.field = NgpField(_layout(settings, cascades), 2.0 ** (cascades - 1), rng, device)
        steps = settings.ray_steps or (_RAY_STEPS if cascades == 1 else _RAY_STEPS_AMONG_MORE)
        self.cone, self.most = (_CONE, _MOST_SAMPLES) if cascades > 1 else (0.0, steps + 2)
        self.grid = OccupancyGrid(2 * 3**0.5 / steps, settings.cells, cascades, device)

    def render(self, camera: Camera, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`engine.methods.Model`."""
        color, _, alpha = self._look(camera)
        made = light.shown(color, alpha, torch.as_tensor(background, dtype=torch.float32, device=self.device), self.blend)
        return np.ascontiguousarray(made.permute(2, 0, 1).cpu().numpy()), alpha.cpu().numpy()

    def layers(self, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See :class:`engine.methods.Model`."""
        color, depth, alpha = self._look(camera)
        color = light.as_light(color, alpha, self.blend)
        return np.ascontiguousarray(color.permute(2, 0, 1).cpu().numpy()), alpha.cpu().numpy(), depth.cpu().numpy()

    def _look(self, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
        """Color over nothing [H, W, 3], mean planar depth [H, W] where half of the light stops, else 0, and alpha [H, W]."""
        begin = time.perf_counter()
        origins, directions = picture_rays(camera, self.space, self.device)
        directions = normalize(directions, dim=1)
        parts = []
        for first in range(0, len(origins), _RAYS):
            chunk = slice(first, first + _RAYS)
            parts.append(self._see(origins[chunk], directions[chunk]))
        color, depth, alpha = (torch.cat(part) for part in zip(*parts, strict=True))
        along = directions @ torch.as_tensor(camera.direction, dtype=torch.float32, device=self.device)
        depth = torch.where(alpha > 0.5, depth / alpha.clamp(min=0.5) * along * self.space.radius, 0)
        shape = (camera.height, camera.width)
        self.pixel_seconds = (time.perf_counter() - begin) / (camera.height * camera.width)
        return color.view(*shape, 3), depth.view(shape), alpha.view(shape)

    def _see(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Color over nothing [R, 3], mean distance times alpha [R], and alpha [R] of rays, as for :meth:`walk`."""
        rays = torch.arange(len(origins), device=self.device)
        made, through = origins.new_zeros(len(origins), 4), origins.new_ones(len(origins))
        begin, jitter = origins.new_full((len(origins),), _NEAR), origins.new_full((len(origins),), 0.5)
        for looked in range(0, self.most, _AT_FIRST):
            most = min(_AT_FIRST, self.most - looked)
            samples = march(**vars(self._walk(origins[rays], directions[rays], begin, jitter, most)))
            color, depth, alpha, _ = self.field.render(samples, directions[rays])
            made[rays] += through[rays, None] * torch.cat([color, depth[:, None]], dim=1)
            through[rays] *= 1 - alpha
            on = (through[rays] >= MIN_TRANSMITTANCE) & samples.ends.isfinite()
            rays, begin = rays[on], samples.ends[on]
            # From where they were left.
            jitter = torch.zeros_like(begin)
            if not len(rays):
                break
        return made[:, :3], made[:, 3], 1 - through

    def walk(self, origins: Tensor, directions: Tensor, jitter: Tensor) -> Walk:
        """Rays [R, 3] of the field's space with unit directions, where the grid is occupied; ``jitter`` [R] shifts their samples."""
        return self._walk(origins, directions, origins.new_full((len(origins),), _NEAR), jitter, self.most)

    def _walk(self, origins: Tensor, directions: Tensor, begin: Tensor, jitter: Tensor, most: int) -> Walk:
        return Walk(origins, directions, self.grid.bits, self.grid.step, self.cone, begin, jitter, most)


def _layout(settings: NgpSettings, cascades: int) -> Layout:
    """The finest level is as fine within the scene's box whatever lies around it."""
    return Layout(settings.levels, settings.features, settings.log2_table, settings.base, settings.finest << (cascades - 1))


def load_ngp_model(folder: Path, result: Result, workers: int) -> NgpModel:
    """The field of a result, on the device that it was trained on where that is here."""
    torch.set_num_threads(workers)
    with read_field(folder, result, NgpFieldFacts) as (arrays, facts):
        settings, cascades = facts.settings, facts.cascades
        if cascades > _MAX_CASCADES:
            raise ValueError("its box is none")
        # Before anything of the size that its settings say is made.
        sizes = _layout(settings, cascades).rows, cascades * settings.cells**3
        if (len(arrays["table"]), arrays["thickness"].size) != sizes:
            raise ValueError("it does not have the size that its settings say")
        device = result.device if result.device in devices.devices() else "cpu"
        space = Space(np.array(facts.center), facts.radius)
        model = NgpModel(settings, cascades, space, result.blend, np.random.default_rng(0), device)
        for name, part in (("table", model.field.mean_table), ("weights", model.field.mean_weights)):
            part.copy_(torch.from_numpy(saved_array(arrays, name, part.shape)))
        saved_array(arrays, "thickness", model.grid.thickness.shape, allow="infinity")
        model.grid.load_state(arrays)
    return model


class NgpTrainer(FieldTrainer, NgpModel):
    """Trains a field on posed views."""

    trained_pixels, note = 0.0, ""

    def __init__(self, settings: TrainSettings, capture: Capture, views: list[View], blend: str, workers: int):
        torch.set_num_threads(workers)
        self.settings, self.views = settings.ngp, views
        self._most_seconds = math.inf if settings.minutes is None else _SHARE * 60 * settings.minutes
        self.rng = np.random.default_rng(settings.seed)
        transparent = views[0].image.shape[2] == 4
        cameras = [view.camera for view in views]
        if transparent:
            # Seed points mark surfaces, not how far what is shown reaches. And an object ends somewhere.
            center, radius = object_box(*scene_box(cameras), views)
            cascades = 1
        else:
            positions = seed_positions(capture)
            positions = facing_points(capture, views) if positions is None else positions
            center, reach = scene_box(cameras, positions)
            # The finest cells are for what is near; a room goes on past its seeds, and a place outdoors as far as they are.
            radius = reach if positions is None else min(reach, near_distance(cameras, positions))
            cascades = min(_CASCADES + math.ceil(math.log2(reach / radius)), _MAX_CASCADES)
        cascades = settings.ngp.cascades or cascades
        super().__init__(settings.ngp, cascades, Space(center, radius), blend, self.rng, devices.choose("ngp", settings.device).device)
        self._learner = Learner(self.settings.faint, self._narrow(), self.settings.distortion)
        self.background = settings.background if settings.background != "auto" else ("random" if transparent else "black")
        self.bank = RayBank(views, self.space, self.device)
        self.grid.exclude_empty(self.space, views)
        # As if each had as many samples as it can have.
        self._rays = max(1, self.settings.batch // self.most)
        # Samples that the last step's loss was of, and that it learnt from.
        self.seen = self.used = 0
        self.steps_done = 0

    @property
    def ending_seconds(self) -> float:
        """See :class:`engine.methods.Trainer`."""
        pixels = _POINT_VIEWS * _POINT_SIDE**2, _MESH_PIXELS * self.settings.mesh_cells**2
        return sum(min(count * self.pixel_seconds, self._most_seconds) for count in pixels)

    def _affordable(self, side: int, pixels: float) -> int:
        """A side, or as much less as must be for its square, times ``pixels``, to be there in time."""
        return int(min(side, (self._most_seconds / (pixels * self.pixel_seconds)) ** 0.5)) if self.pixel_seconds else side

    def step(self, progress: float) -> float:
        """See :class:`engine.methods.Trainer`."""
        looks = self._looks()
        if looks:
            self.grid.update(self.field.density, self.rng, looks)
        self.steps_done += 1
        _, origins, directions, pixels = self.bank.pick(self.rng, self._rays)
        directions = normalize(directions, dim=1)
        jitter = torch.from_numpy(self.rng.random(len(origins), np.float32)).to(self.device)
        behind = background_colors(self.background, (len(directions), 3), self.rng, self.device)
        target = light.wanted(pixels, behind, self.blend)
        linear = self.blend == "linear"
        loss, self.seen, self.used = self.field.step(
            self._learner,
            self.walk(origins, directions, jitter),
            target,
            srgb_decode(behind) if linear else behind,
            linear,
            expected=self.settings.batch,
            rate=self.settings.rate * self._fall(progress),
            decay=self.settings.weight_decay,
            time=self.steps_done,
        )
        self._rays = int(np.clip(len(directions) * self.settings.batch / max(self.used, 1), 64, self.settings.batch))
        return loss

    def _narrow(self) -> bool:
        """Whether the networks learn with bfloat16."""
        there = self.device == "cpu" and amx.available()
        if self.settings.precision == "bfloat16" and not there:
            what = "This processor has no units for matrices of it (Intel AMX)" if self.device == "cpu" else "It is for processors"
            raise UserError(f"ngp cannot learn with bfloat16 here. {what}.", "Use --ngp.precision auto.", "precision")
        return there and self.settings.precision != "float32"

    def _looks(self) -> int:
        """At how many cells of the occupancy grid to look before this step."""
        step, cells = self.steps_done, self.grid.thickness.numel()
        if self.settings.looks == "paper":
            due = step > 0 and step % min(max(step // 16, 1), 16) == 0
            return (cells if step < _PAPER_ALL else cells // 2) * due
        if step % _LOOK_EVERY or not step:
            return 0
        # At first every cell, then as many as the time allows.
        return cells if step == _LOOK_EVERY else int(_LOOK_SHARE * _LOOK_COST * _LOOK_EVERY * self.settings.batch)

    def _fall(self, progress: float) -> float:
        """The learning rate's share: full for a time, then falling evenly by factors."""
        late = max(0.0, (progress - self.settings.full_until) / max(1 - self.settings.full_until, 1e-6))
        return self.settings.rates_fall**late

    def field_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`.field_trainer.FieldTrainer`."""
        facts = {
            "settings": vars(self.settings),
            "cascades": len(self.grid.thickness),
            "center": self.space.center.tolist(),
            "radius": self.space.radius,
        }
        return {"table": self.field.mean_table.cpu().numpy(), "weights": self.field.mean_weights.cpu().numpy(), **self.grid.state()}, facts

    def mesh(self) -> Mesh | None:
        """The surface of what the field holds in the scene's box."""
        cells, count = self._filled(0), self._affordable(self.settings.mesh_cells, _MESH_PIXELS)
        if not count or not len(cells):
            return None
        margin = 2 * self.space.radius / self.settings.cells
        box = cells.min(axis=0) - margin, cells.max(axis=0) + margin
        density = self.grid.only_where_occupied(self.field.mean_density)

        def look(samples: Samples, directions: Tensor) -> tuple[Tensor, Tensor]:
            color, _, alpha, _ = self.field.render(samples, directions)
            return color, alpha

        return density_mesh(density, look, box, count, self.space, self.blend, self.device)

    def points(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places [N, 3], colors [N, 3] uint8 and normals [N, 3] of the surfaces that some of the views show."""
        places, colors, normals = [], [], []
        for view in self.views[:: max(1, -(-len(self.views) // _POINT_VIEWS))]:
            # Each view tells anew what a pixel takes.
            scale = self._affordable(_POINT_SIDE, _POINT_VIEWS) / max(view.camera.width, view.camera.height)
            camera = view.camera.resized(max(2, round(view.camera.width * scale)), max(2, round(view.camera.height * scale)))
            color, depth, alpha = self._look(camera)
            codes, depth, alpha = (part.cpu().numpy() for part in (light.as_codes(color, alpha, self.blend), depth, alpha))
            world = unproject(camera, depth)
            normal = np.cross(np.gradient(world, axis=0), np.gradient(world, axis=1))
            length = np.linalg.norm(normal, axis=-1, keepdims=True)
            normal = np.divide(normal, length, out=np.zeros_like(normal), where=length > 0)
            # Towards the camera; and not where the depth jumps, as it does about an outline.
            normal *= -np.sign(((world - camera.position) * normal).sum(-1, keepdims=True))
            slopes = [np.abs(np.gradient(depth, axis=axis)) for axis in (0, 1)]
            smooth = np.maximum(*slopes) < 0.02 * depth
            solid = (alpha > 0.9) & (depth > 0) & smooth & (length[..., 0] > 0)
            places.append(world[solid])
            colors.append(np.rint(codes[solid] * 255).astype(np.uint8))
            normals.append(normal[solid])
        return np.concatenate(places), np.concatenate(colors), np.concatenate(normals)

    def bounds(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The box of all but the outermost hundredth of the cells that something is in."""
        found = (self._filled(cascade) for cascade in range(len(self.grid.thickness)))
        chosen = next((part for part in found if len(part)), self.space.center[None])
        low, high = np.percentile(chosen, (0.5, 99.5), axis=0)
        return tuple(low.tolist()), tuple(high.tolist())

    def _filled(self, cascade: int) -> np.ndarray:
        """The middles of a cascade's occupied cells, [N, 3] in the world."""
        return self.space.to_world(self.grid.centers(cascade)[self.grid.occupied[cascade]].cpu().numpy())

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`engine.methods.Trainer`."""
        facts = {
            "step": self.steps_done,
            "rays": self._rays,
            "rng": self.rng.bit_generator.state,
            **self.space.facts(),
            "views": [view.name for view in self.views],
        }
        return {**self.field.state(), **self.grid.state()}, facts

    def load_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """See :class:`engine.methods.Trainer`."""
        known = from_mapping(NgpFacts, facts)
        check_same_views(known, self.views)
        thickness = saved_array(arrays, "thickness", (None,) * 4, allow="infinity")
        # Seed points that came, went or moved change the box, and how many grids there are about it.
        if not self.space.is_that_of(known) or thickness.shape != tuple(self.grid.thickness.shape):
            raise UserError("The capture shows another place than when this training began.", code="changed")
        self.field.load_state(arrays)
        self.grid.load_state(arrays)
        self.steps_done, self._rays = known.step, min(known.rays, self.settings.batch)
        self.rng.bit_generator.state = asdict(known.rng)
