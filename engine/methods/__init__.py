# SPDX-License-Identifier: GPL-3.0-or-later
"""Methods: one file each, with a trainer and a model. The registry imports a method only when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..cameras import Camera
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.result import FIELD, MESH, POINTS, SPLATS, SPLATS_LINEAR, Result
from ..contract.settings import TrainSettings
from ..data.views import View
from ..fields.cost import Cost

# The artifacts that training by a method may write.
FILES = {"splat": (SPLATS, SPLATS_LINEAR), "ngp": (FIELD, POINTS, MESH), "nerf": (FIELD, POINTS, MESH)}
# What to do where one of them is damaged.
WRITE_AGAIN = "Resume its training, which writes the file again, or choose another result."


class Model(Protocol):
    """What can be looked at."""

    def render(self, camera: Camera, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A picture.

        Args:
            camera: in the world. background: [3] sRGB codes, 0 to 1.

        Returns:
            [3, H, W] float32 sRGB codes over the background, and [H, W] float32 alpha.
        """

    def layers(self, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A picture to be composited with others.

        Returns:
            [3, H, W] float32 scene-linear light over nothing, so already multiplied by alpha; [H, W] alpha; and [H, W] planar z in the
            world's unit, 0 = none.
        """


class Trainer(Model, Protocol):
    """What the training loop drives. ``steps_done`` counts steps; ``count`` is how many gaussians there are, None for other methods.
    ``pixel_seconds`` is about what a pixel of a picture takes, 0 where that is not known; ``trained_pixels`` is how many pixels could have
    been rendered with the work of all steps so far, 0 where rendering costs little; ``ending_seconds`` about what :meth:`artifacts`
    would take now; ``note`` says what the user should know of the cost, and of seed points that are not used, "" where there is nothing;
    ``near`` is the distance of the near plane in the world's unit, 0 where a method has none.
    """

    steps_done: int
    count: int | None
    pixel_seconds: float
    trained_pixels: float
    ending_seconds: float
    note: str
    blend: str
    antialias: bool
    near: float

    def step(self, progress: float) -> float:
        """One step at a share of the run, 0 to 1. Returns the loss."""

    def artifacts(self, folder: Path) -> Iterable[tuple[str, str]]:
        """Generator: yields (kind, relative path) as each file is written to a result's folder, the file that all others can be made from
        first. Stop iterating to skip the rest. The paths are among FILES.
        """

    def bounds(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The box that holds most of what was made, (low, high) in the world's unit."""

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything that a resumed run needs to go on exactly: arrays, and plain values for JSON."""

    def load_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Takes over what :meth:`state` gave."""


def new_trainer(settings: TrainSettings, capture: Capture, views: list[View], blend: str, workers: int) -> Trainer:
    """A trainer for the method that the settings name."""
    if settings.method == "ngp":
        from .ngp import NgpTrainer

        return NgpTrainer(settings, capture, views, blend, workers)
    if settings.method == "nerf":
        from .nerf import NerfTrainer

        return NerfTrainer(settings, capture, views, blend, workers)
    from .splat import SplatTrainer

    return SplatTrainer(settings, capture, views, blend, workers)


def training_cost(settings: TrainSettings) -> Cost | None:
    """What training and rendering would take here, measured in a moment; None where a method's cost is not that of its networks."""
    if settings.method != "nerf":
        return None
    from .nerf import nerf_cost

    return nerf_cost(settings)


def compute_with(model: Model, numbers: str, cameras: Sequence[Camera]) -> str:
    """Chooses what a model computes its pictures with, instead of what its training did.

    Args:
        numbers: float32, bfloat16 or int8. cameras: of the pictures to come, by which INT8 finds its ranges.

    Returns:
        Why all stays as it was, where it does; else "".

    Raises:
        UserError: the model's method offers no choice.
    """
    if not hasattr(model, "compute_with"):
        raise UserError("--precision is for results of method nerf; the others have kernels of their own.", "Leave it out.")
    return model.compute_with(numbers, cameras)


def load_model(folder: Path, result: Result, workers: int) -> Model:
    """The finished model of a result."""
    if result.method == "splat":
        from .splat import load_splat_model

        return load_splat_model(folder, result, workers)
    if result.method == "ngp":
        from .ngp import load_ngp_model

        return load_ngp_model(folder, result, workers)
    if result.method == "nerf":
        from .nerf import load_nerf_model

        return load_nerf_model(folder, result, workers)
    raise UserError(f"{folder} was made by method {result.method}, which this engine does not have.", "Use the engine that made it.")
