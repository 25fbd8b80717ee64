# SPDX-License-Identifier: GPL-3.0-or-later
"""Job voxels: voxels, meshes and points of a piece of furniture from one image or a few (3D-R2N2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from .. import devices
from ..contract.errors import UserError
from ..contract.result import BINVOX, BLOCKS, POINTS, SMOOTH, VOXELS, Result
from ..contract.voxels import METHOD, VoxelSettings
from ..precision import UNUSABLE, lacking, unusable
from ..runs.context import RunContext, run_context
from ..runs.reporter import Reporter
from ..voxels.cutout import cut_out
from ..voxels.prediction import predict, write_prediction
from ..voxels.weights import SHIPPED, read_weights


@dataclass(frozen=True)
class PredictRequest:
    """What to predict.

    Args:
        images: of one object, in any order.
        folder: receives the result.
        settings: with weights.
        masks: one for each image, bright where the object is; or none at all.
        overwrite: replace a result that is there.
    """

    images: tuple[Path, ...]
    folder: Path
    settings: VoxelSettings
    masks: tuple[Path, ...] = ()
    overwrite: bool = False


def predict_voxels(request: PredictRequest, reporter: Reporter) -> Result | None:
    """Predicts voxels, and writes them as a result. A result that is replaced stays until all else went well.

    Returns:
        The result; None where the user cancelled.

    Raises:
        UserError: an image or the weights cannot be used, nothing was recognized, or something is in the way.
    """
    settings, images = request.settings, [file.resolve() for file in request.images]
    weights = Path(settings.weights).resolve() if settings.weights else SHIPPED
    with run_context(request.folder, reporter, new=True, overwrite=request.overwrite) as context:
        result = context.new_result(METHOD, images[0], settings, "cpu")
        result = replace(result, settings={**result.settings, "images": list(map(str, images)), "weights": str(weights)})
        context.start(result)
        context.folder.claim(VOXELS, BINVOX, BLOCKS, SMOOTH, POINTS)
        cutouts = _cut_out(context, request)
        progress = context.stage("recognize")
        progress(0, 1)
        network, _ = read_weights(weights)
        probabilities = _predict(context, network, np.stack(cutouts), settings.precision)
        if probabilities.max() < np.float32(settings.threshold):
            raise UserError("Nothing was recognized in the image.", "Try another image of it, or a lower threshold.")
        progress(1, 1)
        context.folder.begin(result)
        made, bounds = write_prediction(context.path, probabilities, cutouts[0], settings)
        for kind, file in made:
            context.made(kind, file, context.result)
        context.folder.end(replace(context.result, status="done", bounds=bounds))
    return context.folder.result


def _cut_out(context: RunContext, request: PredictRequest) -> list[np.ndarray]:
    """The images without their backgrounds."""
    progress, cutouts = context.stage("cut"), []
    for file, mask in zip(request.images, request.masks or [None] * len(request.images), strict=True):
        progress(len(cutouts), len(request.images))
        cutouts.append(cut_out(file, mask))
    progress(len(cutouts), len(cutouts))
    return cutouts


def _predict(context: RunContext, network: nn.Module, images: np.ndarray, precision: str) -> np.ndarray:
    """The voxels' probabilities, by INT8 where that is asked for and works; else by what the processor does best, with a warning."""
    usual = "bfloat16" if devices.has_bfloat16("cpu") else "float32"
    if precision != "int8":
        return predict(network, images, usual if precision == "auto" else precision)
    missing = lacking("int8") if hasattr(network, "encoder") else "int8 is for networks that encode images."
    try:
        if not missing:
            return predict(network, images, "int8")
    except UNUSABLE as error:
        missing = unusable("int8", error)
    context.report("warning", message=f"{missing} Voxels are computed with {usual}.")
    return predict(network, images, usual)
