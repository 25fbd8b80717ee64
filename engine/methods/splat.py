# SPDX-License-Identifier: GPL-3.0-or-later
"""Method splat: 3D Gaussian splatting (Kerbl et al. 2023)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras import Camera
from ..color import srgb_to_linear
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.methods.splat import SplatFacts
from ..contract.result import SPLATS, SPLATS_LINEAR, Result
from ..contract.schema import from_mapping
from ..contract.settings import TrainSettings
from ..data.checkpoint_arrays import check_same_views, saved_array
from ..data.scene import near_distance, scene_box, seed_cloud
from ..data.views import View, shrunk
from ..formats.memory import TOO_LARGE
from ..formats.splats import read_splats, write_splats
from ..formats.splats.blending import to_blend
from ..kernels.photometric import cpu as photometric
from ..splats import optimizer
from ..splats.densification import DensityControl
from ..splats.exposure import Exposure
from ..splats.gaussians import Gaussians
from ..splats.loss import PhotometricLoss, depth_loss, normal_loss
from ..splats.relocation import Relocation
from ..splats.renderer import NEAR_SHARE, Renderer
from .interface import WRITE_AGAIN

# Share of the run on smaller views that is made on quarters, and the least size of one, px.
_QUARTER_SHARE = 0.3
_LEAST_SIZE = 100
# Share of the run at which each further degree of the harmonics joins, as 1 000 of 30 000 steps in the paper, stretched for short runs.
_DEGREE_EVERY = 0.08
# Radii of the scene within which the center of a checkpoint lies: seed points may have changed since, the place has not.
_FAR = 100.0
# Seconds that a gaussian takes to be written, into the checkpoint and the PLYs.
_WRITING = 3e-5


class SplatModel:
    """Gaussians that can be looked at. ``near`` is the distance of the near plane, in the world's unit."""

    def __init__(self, gaussians: Gaussians, blend: str, antialias: bool, degree: int, near: float, workers: int):
        self.gaussians, self.blend, self.antialias, self.degree, self.near = gaussians, blend, antialias, degree, near
        self.renderer = Renderer(workers)
        # What a pixel of the last picture took; nothing is known before the first.
        self.pixel_seconds = 0.0

    def render(self, camera: Camera, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`engine.methods.Model`."""
        begin = time.perf_counter()
        behind = srgb_to_linear(background) if self.blend == "linear" else background
        image = self.renderer.render(self.gaussians, camera, behind, degree=self.degree, antialias=self.antialias, near=self.near)
        display = image[:3].copy()
        if self.blend == "linear":
            photometric.encode(image, display)
        self.pixel_seconds = (time.perf_counter() - begin) / (camera.height * camera.width)
        return display, 1 - image[3]

    def layers(self, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See :class:`engine.methods.Model`."""
        black = np.zeros(3)
        image = self.renderer.render(self.gaussians, camera, black, degree=self.degree, antialias=self.antialias, near=self.near)
        light, alpha = image[:3].copy(), 1 - image[3]
        if self.blend == "srgb":
            # What was blended are codes: they stand for light once they no longer hold the share that shines through.
            codes = np.divide(light, alpha, out=np.zeros_like(light), where=alpha > 0)
            light = (srgb_to_linear(codes) * alpha).astype(np.float32)
        return light, alpha, self.renderer.surface_depth(self.gaussians)


def load_splat_model(folder: Path, result: Result, workers: int) -> SplatModel:
    """The splats of a result."""
    path = result.artifact("splats_linear") or result.artifact("splats")
    if path is None:
        raise UserError(f"{folder} holds no splats yet.", "Let its training finish, or resume it.", "not_trained")
    try:
        splats = read_splats(folder / path)
    except UserError as error:
        raise UserError(error.message, error.hint if error.code == TOO_LARGE else WRITE_AGAIN, error.code) from None
    # Results written before splats_linear.ply existed hold linear colors in splats.ply, whose comment says so.
    blend = splats.blend or result.blend
    return SplatModel(Gaussians.from_splats(splats), blend, result.antialias, splats.degree, result.near, workers)


class SplatTrainer(SplatModel):
    """Trains gaussians on posed views."""

    trained_pixels = 0.0

    def __init__(self, settings: TrainSettings, capture: Capture, views: list[View], blend: str, workers: int):
        self.settings, self.views = settings.splat, views
        self.half_views = [shrunk(view, 0.5) for view in views] if settings.splat.half_until > 0 else views
        coarse = min(min(view.camera.width, view.camera.height) for view in views) >= 4 * _LEAST_SIZE
        self.quarter_views = [shrunk(view, 0.5) for view in self.half_views] if coarse else self.half_views
        self.rng = np.random.default_rng(settings.seed)
        # What gaussians stand for is no denser than pixels; more seeds than the budget could never be pruned in time.
        most = self.settings.max_gaussians
        notes: list[str] = []
        count = min(self.settings.init_points, most)
        positions, codes = seed_cloud(capture, views, count, self.rng, most=most // 2, note=notes.append)
        self.note = " ".join(notes)
        cameras = [view.camera for view in views]
        # Random points reach into the background; only a real cloud says how large the scene is.
        center, self.radius = scene_box(cameras, positions if capture.points is not None else None)
        if capture.points is not None:
            # Rates, splitting and pruning are for what is near; what is far moves little in the pictures anyway.
            self.radius = min(self.radius, near_distance(cameras, positions))
        colors = srgb_to_linear(codes / 255) if blend == "linear" else codes / 255
        degree = self.settings.sh_degree
        gaussians = Gaussians.from_points(positions, colors, center, self.radius, degree)
        self.start = min(len(gaussians), most)
        antialias = self.settings.antialias == "on" or (self.settings.antialias == "auto" and blend == "linear")
        super().__init__(gaussians, blend, antialias, 0, NEAR_SHARE * self.radius, workers)
        self.adc = DensityControl(self.settings, self.radius, len(gaussians)) if self.settings.strategy == "adc" else None
        self.mcmc = Relocation(self.settings, len(gaussians)) if self.settings.strategy == "mcmc" else None
        # Behind opaque views a random background costs 0.8 dB (measured on the demo room), and closes little.
        transparent = views[0].image.shape[2] == 4
        self.background = settings.background if settings.background != "auto" else ("random" if transparent else "black")
        self.loss = PhotometricLoss(self.settings.ssim_weight, blend == "linear", self.settings.coverage_weight)
        self.exposure = Exposure(len(views)) if self.settings.exposure else None
        self.steps_done = 0
        self._order: list[int] = []

    @property
    def count(self) -> int:
        """How many gaussians there are."""
        return len(self.gaussians)

    @property
    def ending_seconds(self) -> float:
        """See :class:`engine.methods.Trainer`."""
        return _WRITING * self.count

    def step(self, progress: float) -> float:
        """See :class:`engine.methods.Trainer`."""
        if not self._order:
            self._order = self.rng.permutation(len(self.views)).tolist()
        index = self._order.pop()
        view = self._views(progress)[index]
        if self.background == "random":
            background = self.rng.random(3, dtype=np.float32)
        else:
            background = np.full(3, 1.0 if self.background == "white" else 0.0, np.float32)
        self.steps_done += 1
        self.degree = min(self.settings.sh_degree, int(progress / _DEGREE_EVERY))
        gains = self.exposure.gains(index) if self.exposure else np.ones(3, np.float32)
        behind = background / gains
        image = self.renderer.render(self.gaussians, view.camera, behind, degree=self.degree, antialias=self.antialias, near=self.near)
        loss, v_image = self.loss(image, view.image, background, view.mask, gains)
        if self.exposure:
            self.exposure.step(index, image, v_image, behind, progress)
        refining = progress < self.settings.refine_stop
        self.renderer.backward(v_image, absolute=refining and self.adc is not None and self.settings.absgrad)
        if refining and self.adc:
            self.adc.observe(self.renderer.order, self.renderer.v_rows, view.camera.width, view.camera.height)
        if self.settings.depth_weight > 0 and view.depth is not None:
            deep, v_depth = depth_loss(self.renderer.composite_depth(), view.depth, self.settings.depth_weight, self.radius)
            self.renderer.backward_depth(v_depth if view.mask is None else v_depth * (view.mask != 0))
            loss += deep
        if self.settings.normal_weight > 0 and view.normals is not None:
            tilted, v_normals = normal_loss(self.renderer.composite_normals(self.gaussians), view.normals, self.settings.normal_weight)
            self.renderer.backward_normals(v_normals if view.mask is None else v_normals * (view.mask != 0))
            loss += tilted
        rates = optimizer.rates(self.settings, self.radius, progress, len(self.gaussians.table))
        weights = (0.0, 0.0)
        if self.mcmc:
            weights = self.settings.opacity_weight / self.count, self.settings.scale_weight / (3 * self.count * self.radius)
        self.renderer.step(self.gaussians, rates, self.steps_done, *weights)
        due = refining and self.steps_done >= self.settings.refine_start and self.steps_done % self.settings.refine_every == 0
        if due and self.adc:
            self.adc.refine(self.gaussians, self._most(progress), self.rng)
            # What a reset made transparent needs time to come back, and refinements to be pruned by.
            if self._reset_due() and progress < 0.8 * self.settings.refine_stop:
                self.adc.reset_opacities(self.gaussians)
        if due and self.mcmc:
            self.mcmc.refine(self.gaussians, progress, self.rng)
        if due:
            self.gaussians.sort()
        if self.mcmc:
            # Learning rates grow with the scene and covariances with its square, steps with the scene alone.
            self.mcmc.shake(self.gaussians, float(rates[0]) / self.radius**2, self.rng)
        return loss

    def _reset_due(self) -> bool:
        """Whether this refinement is the first one at or after a multiple of ``reset_every``."""
        last = self.steps_done - self.settings.refine_every
        last = last if last >= self.settings.refine_start else 0
        return self.steps_done // self.settings.reset_every > last // self.settings.reset_every

    def _views(self, progress: float) -> list[View]:
        """Small views first: shapes settle in a fraction of the time, and details have no use before (Chen et al. 2025, DashGaussian)."""
        if progress < _QUARTER_SHARE * self.settings.half_until:
            return self.quarter_views
        return self.half_views if progress < self.settings.half_until else self.views

    def _most(self, progress: float) -> int:
        """How many gaussians there may be: on small views fewer, and more as the run goes on (Chen et al. 2025, equation 8)."""
        shrinking = self.views[0].camera.width / self._views(progress)[0].camera.width
        return round(self.start + (self.settings.max_gaussians - self.start) / shrinking ** (2 - progress))

    def artifacts(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Writes the splats as trained and, where they were trained in linear light, refitted to sRGB for other programs."""
        splats = self.gaussians.splats(self.blend, self.antialias)
        if self.blend == "linear":
            write_splats(folder / SPLATS_LINEAR, splats)
            yield "splats_linear", SPLATS_LINEAR
        write_splats(folder / SPLATS, to_blend(splats, "srgb"))
        yield "splats", SPLATS

    def bounds(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The box of all but the outermost hundredth of the solid gaussians."""
        means = self.gaussians.values["means"].astype(np.float64)
        finite = np.isfinite(means).all(axis=1)
        solid = finite & (self.gaussians.values["opacity_logits"] > 0)
        chosen = means[solid] if solid.any() else means[finite] if finite.any() else np.zeros((1, 3))
        low, high = np.percentile(chosen, (0.5, 99.5), axis=0) + self.gaussians.center
        return tuple(low.tolist()), tuple(high.tolist())

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`engine.methods.Trainer`."""
        arrays = self.gaussians.state()
        if self.adc:
            arrays |= {"pulls": self.adc.pulls, "times": self.adc.times, "shares": self.adc.shares}
        if self.exposure:
            arrays |= self.exposure.state()
        facts = {
            "step": self.steps_done,
            "order": self._order,
            "rng": self.rng.bit_generator.state,
            "was_reset": self.adc is not None and self.adc.was_reset,
            "center": self.gaussians.center.tolist(),
            "degree": self.degree,
            "views": [view.name for view in self.views],
        }
        return arrays, facts

    def load_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """See :class:`engine.methods.Trainer`."""
        known = from_mapping(SplatFacts, facts)
        check_same_views(known, self.views)
        if known.degree > self.settings.sh_degree or any(view >= len(self.views) for view in known.order):
            raise UserError("its degree or its order of views does not fit its settings.", code="damaged")
        if not np.abs(np.array(known.center) - self.gaussians.center).max() <= _FAR * self.radius:
            raise UserError("The capture shows another place than when this training began.", code="changed")
        table = saved_array(arrays, "values", (len(self.gaussians.table), None), allow="any")
        held = {"values": table} | {name: saved_array(arrays, name, table.shape, allow="any") for name in ("first", "second")}
        # A gaussian that broke would be pruned sooner or later. It is no reason to lose a training.
        finite = np.all([np.isfinite(array).all(axis=0) for array in held.values()], axis=0)
        if not finite.any():
            raise UserError("it holds no gaussian whose numbers are finite.", code="damaged")
        if self.adc:
            held |= {name: saved_array(arrays, name, table.shape[1:]) for name in ("pulls", "times", "shares")}
        held = {name: np.ascontiguousarray(array[..., finite]) for name, array in held.items()}
        if self.exposure:
            self.exposure.load_state(arrays)
        self.gaussians.center = np.array(known.center)
        self.gaussians.load_state(held, known.step)
        if self.adc:
            self.adc.pulls, self.adc.times, self.adc.shares = held["pulls"], held["times"], held["shares"]
            self.adc.was_reset = known.was_reset
        self.steps_done, self._order, self.degree = known.step, list(known.order), known.degree
        self.rng.bit_generator.state = asdict(known.rng)
