# SPDX-License-Identifier: GPL-3.0-or-later
"""Methods: one file each, with a trainer and a model. The registry imports a method only when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..cameras import Camera
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.result import FIELD, MESH, POINTS, SPLATS, SPLATS_LINEAR, Result
from ..contract.settings import TrainSettings
from ..data.views import View
from ..fields.cost import Cost
from .interface import Model, Trainer

# The artifacts that training by a method may write.
FILES = {"splat": (SPLATS, SPLATS_LINEAR), "ngp": (FIELD, POINTS, MESH), "nerf": (FIELD, POINTS, MESH)}


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


def set_precision(model: Model, precision: str, cameras: Sequence[Camera]) -> str:
    """Sets the inference precision of a model's networks.

    Args:
        precision: float32, bfloat16 or int8; auto keeps that of the training.
        cameras: of the images to come, which calibrate INT8.

    Returns:
        Why the precision stays as it was, where it does; else "".

    Raises:
        UserError: the model's method offers no choice.
    """
    if precision == "auto":
        return ""
    if not hasattr(model, "set_precision"):
        raise UserError("--precision is for results of method nerf; the others have kernels of their own.", "Leave it out.")
    return model.set_precision(precision, cameras)


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
