# SPDX-License-Identifier: GPL-3.0-or-later
"""Method nerf: neural radiance fields as they were published (Mildenhall et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import devices
from ..cameras import Camera, average_pose, ray_matrix
from ..contract.capture import Capture
from ..contract.errors import UserError, lacks_memory
from ..contract.methods.nerf import NerfFacts, NerfFieldFacts, NerfSettings, check_nerf
from ..contract.result import Result
from ..contract.schema import from_mapping, to_mapping
from ..contract.settings import TrainSettings
from ..data.bounds import Bounds, facing_points, find_bounds
from ..data.carving import object_box
from ..data.checkpoint_arrays import check_same_views, saved_array
from ..data.rays import RayBank, Space, picture_rays
from ..data.scene import scene_box, seed_positions
from ..data.views import View
from ..fields import light
from ..fields.cost import TRAINING, Cost, duration
from ..fields.ndc import Frustum
from ..fields.occupancy import OccupancyGrid
from ..fields.renderer import PaperRenderer, Rays, Renderer
from ..fields.skipping import SkippingRenderer
from ..formats.meshes import Mesh
from ..precision import UNUSABLE, lacking, unusable, with_ipex
from ..surfaces.density import density_mesh
from .field_trainer import FieldTrainer, background_colors, read_field

# In NDC the nearest thing lies at so many near planes, as published.
_BEFORE = 4 / 3
# What find_bounds takes off the nearest known depth.
_BOUNDS_MARGIN = 0.9
# Past this ratio of depths, even steps would leave what is near to one or two samples.
_DEEP = 10.0
# A ray in NDC goes at least so far forward, in the common frame, for each unit of its own depth.
_FORWARD = 0.05
# Occupancy grids of scenes that go on beyond their box.
_CASCADES = 4
# Rays that are looked along before training, to know what one takes.
_PROBED = 256
# At most this share of a time budget goes into the point cloud, and into the mesh.
_SHARE = 0.1
# Fewer points than this do not tell where a surface is.
_LEAST_POINTS = 8
# The mesh reaches so much past the box of the points, in shares of its longest side.
_MESH_MARGIN = 0.05
# Cameras whose rays tell how far numbers in a network reach, and about how many rays together.
_CALIBRATING, _CALIBRATION_RAYS = 8, 1024
# Of Adam, for each weight.
_MOMENTS = ("exp_avg", "exp_avg_sq")


class NerfModel:
    """Networks that can be looked at."""

    def __init__(self, renderer: Renderer, space: Space, bounds: Bounds):
        self.renderer, self.space, self.known = renderer, space, bounds
        self.blend = "linear" if renderer.linear else "srgb"

    def render(self, camera: Camera, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`engine.methods.Model`."""
        color, alpha, _ = self._see(camera)
        behind = torch.as_tensor(background, dtype=torch.float32, device=color.device)
        return _picture(light.shown(color, alpha, behind, self.blend), camera), alpha.cpu().numpy().reshape(camera.height, camera.width)

    def layers(self, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See :class:`engine.methods.Model`."""
        color, alpha, depth = self._see(camera)
        size = (camera.height, camera.width)
        made = _picture(light.as_light(color, alpha, self.blend), camera)
        return made, alpha.cpu().numpy().reshape(size), (depth * self.space.radius).cpu().numpy().reshape(size)

    def set_precision(self, precision: str, cameras: Sequence[Camera]) -> str:
        """Sets the inference precision of the networks.

        Args:
            precision: float32, bfloat16 or int8.
            cameras: of the images to come; some of their rays calibrate INT8.

        Returns:
            Why the precision stays as it was, where it does; else "".
        """
        if precision != "int8":
            self.renderer.bfloat16 = precision == "bfloat16"
            return ""
        missing = lacking("int8", self.renderer.device)
        try:
            if not missing and not self.renderer.quantize(self._rays_of(cameras)):
                missing = "int8 needs cameras that see something."
        except UNUSABLE as error:
            missing = unusable("int8", error)
        return f"{missing} Pictures are computed with {'bfloat16' if self.renderer.bfloat16 else 'float32'}." if missing else ""

    def _rays_of(self, cameras: Sequence[Camera]) -> Rays:
        """Rays of pixels spread over some of the cameras."""
        count = min(_CALIBRATING, len(cameras))
        chosen = [cameras[index * len(cameras) // count] for index in range(count)]
        parts = []
        for camera in chosen:
            rays = self._camera_rays(camera)
            # An odd stride, which does not fall on the same columns again and again.
            parts.append(rays.part(slice(None, None, max(1, len(rays) * count // _CALIBRATION_RAYS) | 1)))
        return Rays(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Rays)))

    def _camera_rays(self, camera: Camera) -> Rays:
        origins, directions = picture_rays(camera, self.space, self.renderer.device)
        near, far = (torch.full_like(origins[:, 0], depth / self.space.radius) for depth in self.known.of(camera))
        return Rays(origins, directions, near, far)

    def _see(self, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
        return self.renderer.look(self._camera_rays(camera))


def load_nerf_model(folder: Path, result: Result, workers: int) -> NerfModel:
    """The networks of a result, on the device that it was trained on where that is here."""
    torch.set_num_threads(workers)
    device = result.device if result.device in devices.devices() else "cpu"
    with read_field(folder, result, NerfFieldFacts) as (arrays, facts):
        settings, space = facts.settings, Space(np.array(facts.center), facts.radius, np.array(facts.rotation))
        others = _others(settings, facts.linear, device, np.random.default_rng(0))
        thickness = arrays.pop("thickness", None)
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("it holds a number that is not finite")
        if thickness is None:
            frustum = None if facts.frustum is None else Frustum(*facts.frustum)
            renderer = PaperRenderer(settings, frustum, facts.disparity, **others)
        else:
            renderer = SkippingRenderer(settings, len(thickness), **others)
            saved_array({"thickness": thickness}, "thickness", renderer.grid.thickness.shape, allow="infinity")
            renderer.grid.load_state({"thickness": thickness})
        renderer.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return NerfModel(renderer, space, Bounds(**asdict(facts.bounds)))


def nerf_cost(settings: TrainSettings) -> Cost:
    """What training and rendering would take here; measured in a fifth of a second."""
    device = devices.choose("nerf", settings.device).device
    torch.set_num_threads(devices.threads(settings.threads))
    return PaperRenderer(settings.nerf, None, False, **_others(settings.nerf, False, device, np.random.default_rng(0))).cost()


class NerfTrainer(FieldTrainer, NerfModel):
    """Trains the networks on posed views."""

    def __init__(self, settings: TrainSettings, capture: Capture, views: list[View], blend: str, workers: int):
        check_nerf(settings.nerf)
        torch.set_num_threads(workers)
        self.settings, self.views, self.minutes = settings.nerf, views, settings.minutes
        self.seed = settings.seed
        device = devices.choose("nerf", settings.device).device
        positions = seed_positions(capture)
        transparent = views[0].image.shape[2] == 4
        center, radius = scene_box([view.camera for view in views], positions)
        bounds = find_bounds(capture, views, positions, center, radius)
        if self.settings.near or self.settings.far:
            near, far = self.settings.near or bounds.near, self.settings.far or bounds.far
            if near is None or far is None or not near < far:
                message = "--nerf.near or --nerf.far does not go with the depths that are found in the capture."
                raise UserError(message, "Give both, near below far, or neither.", "nerf_near_far_of_capture")
            bounds = replace(bounds, near=near, far=far)
        self.rng = np.random.default_rng(settings.seed)
        others = _others(self.settings, blend == "linear", device, self.rng)
        if self.settings.sampler == "occupancy":
            # A thing on nothing ends somewhere; a room or a place goes on.
            if transparent:
                center, radius = object_box(*scene_box([view.camera for view in views]), views)
            elif positions is None:
                center, radius = scene_box([view.camera for view in views], facing_points(capture, views))
            space = Space(center, radius)
            renderer = SkippingRenderer(self.settings, 1 if transparent else _CASCADES, **others)
            renderer.grid.exclude_empty(space, views)
        else:
            frustum, space = None, Space(center, radius)
            if self.settings.ndc == "on" or (self.settings.ndc == "auto" and capture.source == "llff"):
                found = _in_front(views, bounds)
                if found is None and self.settings.ndc == "on":
                    raise UserError("These cameras do not all face one way, as NDC needs.", "Use --nerf.ndc off.", "nerf_ndc_of_capture")
                frustum, space = found or (None, space)
            disparity = frustum is None and bounds.near is not None and bounds.far > _DEEP * bounds.near
            renderer = PaperRenderer(self.settings, frustum, disparity, **others)
        super().__init__(renderer, space, bounds)
        self.bank = RayBank(views, space, device)
        self._depths = torch.tensor([bounds.of(view.camera) for view in views], dtype=torch.float32, device=device) / space.radius
        self.background = settings.background if settings.background != "auto" else ("white" if transparent else "black")
        self.optimizer = torch.optim.Adam(renderer.parameters(), lr=self.settings.learning_rate)
        self._names = [name for name, _ in renderer.named_parameters()]
        if self.settings.precision == "ipex":
            missing = lacking("ipex", device)
            try:
                if not missing:
                    with_ipex(renderer, self.optimizer, renderer.bfloat16)
            except UNUSABLE as error:
                if lacks_memory(error):
                    raise
                missing = unusable("ipex", error)
            if missing:
                raise UserError(missing, "Use --nerf.precision auto.", "precision")
        self.steps_done = 0
        probing = np.random.default_rng(settings.seed)
        renderer.probe(self._pick(probing, _PROBED)[0], probing)
        self.cost = renderer.cost()
        self._cloud: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @property
    def pixel_seconds(self) -> float:
        """See :class:`engine.methods.Trainer`."""
        return self.cost.sample * self.renderer.ray_samples / self.cost.rate

    @property
    def trained_pixels(self) -> float:
        """See :class:`engine.methods.Trainer`."""
        return float(self.steps_done * self.settings.rays * TRAINING)

    @property
    def ending_seconds(self) -> float:
        """See :class:`engine.methods.Trainer`."""
        cloud = self.settings.points * self.pixel_seconds
        mesh = 0.0 if self.renderer.frustum is not None else self.settings.mesh_cells**3 * self.cost.sample / self.cost.rate
        return min(cloud, self._most_seconds) + min(mesh, self._most_seconds)

    @property
    def _most_seconds(self) -> float:
        """How long making the point cloud, and how long making the mesh, may take."""
        return np.inf if self.minutes is None else _SHARE * 60 * self.minutes

    @property
    def note(self) -> str:
        """What this training costs, in words."""
        size = self.views[0].camera
        note, about = self.cost.plain(size.width, size.height), "about"
        if isinstance(self.renderer, SkippingRenderer):
            # What was measured looks everywhere; soon rays pass over most of it.
            note, about = f"At first, until it is known where nothing is: {note}", "at least"
        if self.minutes is not None:
            return f"{note} {duration(60 * self.minutes)} are enough for {about} {60 * self.minutes / self.cost.step_seconds:.0f} steps."
        return note

    def step(self, progress: float) -> float:
        """See :class:`engine.methods.Trainer`."""
        share = self.settings.crop_share if self.steps_done < self.settings.crop_steps else 1.0
        self.renderer.prepare(self.steps_done, self.rng)
        rays, pixels = self._pick(self.rng, self.settings.rays, one_view=self.settings.one_view, share=share)
        behind = background_colors(self.background, (3,), self.rng, pixels.device)
        target = light.wanted(pixels, behind, self.blend)
        self.optimizer.param_groups[0]["lr"] = self.settings.learning_rate * self.settings.rate_fall**progress
        self.optimizer.zero_grad()
        total = torch.zeros((), device=pixels.device)
        for part, seen in self.renderer.parts(rays, self.rng):
            errors = sum((light.shown(some.color, some.alpha, behind, self.blend) - target[part]) ** 2 for some in seen)
            loss = errors.sum() / (3 * len(rays))
            if loss.requires_grad:
                loss.backward()
            total += loss.detach()
        self.optimizer.step()
        self.steps_done += 1
        self._cloud = None
        return float(total)

    def field_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`.field_trainer.FieldTrainer`."""
        facts = {
            "settings": to_mapping(self.settings),
            **self.space.facts(),
            "bounds": asdict(self.known),
            "frustum": self._frustum(),
            "disparity": getattr(self.renderer, "disparity", False),
            "linear": self.renderer.linear,
        }
        weights = {name: np.ascontiguousarray(value.cpu().numpy()) for name, value in self.renderer.state_dict().items()}
        return weights | self._grid_state(), facts

    def mesh(self) -> Mesh | None:
        """The surface of what is about the points; none of what is learnt in NDC, whose cells grow without end."""
        cells = int(min(self.settings.mesh_cells, (self._most_seconds * self.cost.rate / self.cost.sample) ** (1 / 3)))
        if not cells or self.renderer.frustum is not None or len(self.points()[0]) < _LEAST_POINTS:
            return None
        low, high = np.array(self.bounds())
        if not (high > low).any():
            return None
        margin = _MESH_MARGIN * (high - low).max()
        box = low - margin, high + margin
        device = self.renderer.device
        if isinstance(self.renderer, SkippingRenderer):
            density = self.renderer.grid.only_where_occupied(self.renderer.density)
        else:
            # What no view shows was never learnt: anything may be there.
            about = Space((low + high) / 2, float((box[1] - box[0]).max()) / 2)
            grid = OccupancyGrid(1.0, device=device)
            try:
                grid.exclude_empty(about, self.views)
            except UserError:
                # A training that came so far has no surface then, but is no failure.
                return None
            shift = torch.as_tensor(about.from_world(self.space.center[None])[0], dtype=torch.float32, device=device)
            density = grid.only_where_occupied(self.renderer.density, self.space.radius / about.radius, shift)
        return density_mesh(density, self.renderer.look_at, box, cells, self.space, self.blend, device)

    def bounds(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The box of all but the outermost hundredth of the points on what is seen."""
        positions = self.points()[0]
        if not len(positions):
            center, reach = np.array(self.known.center), self.known.radius
            return tuple((center - reach).tolist()), tuple((center + reach).tolist())
        low, high = np.percentile(positions, (0.5, 99.5), axis=0)
        return tuple(low.tolist()), tuple(high.tolist())

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`engine.methods.Trainer`."""
        # By the state dicts, because IPEX keeps weights and moments in an order of its own.
        weights, moments = self.renderer.state_dict(), self.optimizer.state_dict()["state"]
        arrays = self._grid_state() | {name: value.cpu().numpy() for name, value in weights.items()}
        for index, moment in moments.items():
            for kind in _MOMENTS:
                arrays[f"{kind}.{self._names[index]}"] = moment[kind].cpu().numpy()
        facts = {
            "step": self.steps_done,
            # Less than the steps where some saw nothing.
            "updates": max((int(moment["step"]) for moment in moments.values()), default=0),
            "rng": self.rng.bit_generator.state,
            **self.space.facts(),
            "frustum": self._frustum(),
            "views": [view.name for view in self.views],
        }
        return arrays, facts

    def load_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """See :class:`engine.methods.Trainer`."""
        known, now = from_mapping(NerfFacts, facts), self._frustum()
        check_same_views(known, self.views)
        # Old checkpoints say nothing of it.
        frustum = known.frustum if "frustum" in facts else now
        same = self.space.is_that_of(known) and (frustum is None) == (now is None) and np.allclose(frustum or 0, now or 0, rtol=1e-6)
        if isinstance(self.renderer, SkippingRenderer):
            thickness = saved_array(arrays, "thickness", (None,) * 4, allow="infinity")
            same = same and thickness.shape == tuple(self.renderer.grid.thickness.shape)
        if not same:
            raise UserError("The capture shows another place than when this training began.", code="changed")
        # By the state dict, because IPEX keeps weights in an order of its own.
        own = self.renderer.state_dict()
        kinds = ("", *(f"{kind}." for kind in _MOMENTS)) if known.updates else ("",)
        held = {f"{kind}{name}": saved_array(arrays, f"{kind}{name}", own[name].shape) for kind in kinds for name in self._names}
        self.steps_done = known.step
        self.rng.bit_generator.state = asdict(known.rng)
        if isinstance(self.renderer, SkippingRenderer):
            self.renderer.grid.load_state(arrays)
        self.renderer.load_state_dict({name: torch.from_numpy(held[name]) for name in self._names})
        if known.updates:
            moments = {
                index: {"step": torch.tensor(float(known.updates), device="cpu")}
                | {kind: torch.tensor(held[f"{kind}.{name}"], device="cpu") for kind in _MOMENTS}
                for index, name in enumerate(self._names)
            }
            self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})

    def _frustum(self) -> list[float] | None:
        return None if self.renderer.frustum is None else list(asdict(self.renderer.frustum).values())

    def _grid_state(self) -> dict[str, np.ndarray]:
        return self.renderer.grid.state() if isinstance(self.renderer, SkippingRenderer) else {}

    def _pick(self, rng: np.random.Generator, count: int, **where: Any) -> tuple[Rays, Tensor]:
        """The rays of random pixels, and what they hold; see :meth:`engine.data.rays.RayBank.pick`."""
        view, origins, directions, pixels = self.bank.pick(rng, count, **where)
        return Rays(origins, directions, *self._depths[view].unbind(-1)), pixels

    def points(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places [N, 3] in the world, codes [N, 3] uint8 and normals [N, 3] of what random pixels of the training views see."""
        if self._cloud is None:
            count = int(min(self.settings.points, self._most_seconds / self.pixel_seconds))
            # A source of its own: what is written must not change what is trained.
            rays, _ = self._pick(np.random.default_rng(self.seed), count)
            parts = [np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros((0, 3), np.float32)]
            if count:
                color, alpha, depth = self.renderer.look(rays)
                # Beyond what is known to be there, places are guesses.
                solid = (alpha > 0.5) & (depth > 0) & (depth <= rays.far)
                places = (rays.origins + depth[:, None] * rays.directions)[solid]
                codes = light.as_codes(color[solid], alpha[solid], self.blend)
                if len(places):
                    normals = self.renderer.normals(places).cpu().numpy() @ self.space.rotation
                    parts = [self.space.to_world(places.cpu().numpy()), (codes * 255).round().byte().cpu().numpy(), normals]
            self._cloud = tuple(parts)
        return self._cloud


def _picture(values: Tensor, camera: Camera) -> np.ndarray:
    """[H * W, 3] as [3, H, W]."""
    return values.T.reshape(3, camera.height, camera.width).cpu().numpy()


def _bfloat16(settings: NerfSettings, device: str) -> bool:
    return settings.precision == "bfloat16" or (settings.precision != "float32" and devices.has_bfloat16(device))


def _others(settings: NerfSettings, linear: bool, device: str, rng: np.random.Generator) -> dict[str, Any]:
    return {"linear": linear, "device": device, "bfloat16": _bfloat16(settings, device), "rng": rng}


def _in_front(views: Sequence[View], bounds: Bounds) -> tuple[Frustum, Space] | None:
    """The cameras' common perspective and the coordinates in which they look along -Z; None where they do not face one way."""
    poses = np.stack([view.camera.camera_to_world for view in views])
    try:
        middle = average_pose(poses)
    except ValueError:
        return None
    if (poses[:, :3, 2] @ middle[:3, 2]).min() < 0.5:
        return None
    first = views[0].camera
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
    for camera in (view.camera for view in views):
        # Rays of wide pictures that stand aslant would run along the planes of depth, or back.
        if (corners * (camera.width, camera.height, 1) @ ray_matrix(camera).T @ middle[:3, 2]).max() > -_FORWARD:
            return None
    nearest = min(bounds.of(view.camera)[0] for view in views) / _BOUNDS_MARGIN
    return Frustum(first.width / 2 / first.fx, first.height / 2 / first.fy, 1.0), Space(middle[:3, 3], nearest / _BEFORE, middle[:3, :3].T)
