# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods' code: trainers and models. A method is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ..cameras import Camera
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.methods import METHODS
from ..contract.result import Result
from ..contract.settings import TrainSettings
from ..contract.voxels import METHOD as VOXELS
from ..data.views import View
from ..fields.cost import Cost
from .interface import Model, Trainer


def new_trainer(settings: TrainSettings, capture: Capture, views: list[View], blend: str, workers: int) -> Trainer:
    """A trainer for the method that the settings name."""
    return _code(METHODS[settings.method].trainer)(settings, capture, views, blend, workers)


def training_cost(settings: TrainSettings) -> Cost | None:
    """The estimated cost of training and rendering here; None where a method's cost depends on the scene."""
    cost = METHODS[settings.method].cost
    return _code(cost)(settings) if cost else None


def check_has_model(folder: Path, result: Result) -> None:
    """Refuses a result that holds no model to render.

    Raises:
        UserError: it is of voxels, or of a method that this engine does not have.
    """
    if result.method == VOXELS:
        raise UserError(f"{folder} is of voxels, which are a closed mesh already.", "Import it as it is.", "of_voxels")
    if result.method not in METHODS:
        raise UserError(f"{folder} was made by method {result.method}, which this engine does not have.", "Use the engine that made it.")


def load_model(folder: Path, result: Result, workers: int) -> Model:
    """The trained model of a result.

    Raises:
        UserError: nothing was trained yet, a file is damaged, or the method is unknown.
    """
    check_has_model(folder, result)
    return _code(METHODS[result.method].loader)(folder, result, workers)


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


def _code(name: str) -> Any:
    """The class or function that a MethodSpec names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(f"..{module}", __name__), attribute)
