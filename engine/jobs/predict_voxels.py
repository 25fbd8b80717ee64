# SPDX-License-Identifier: GPL-3.0-or-later
"""Voxels of pictures by 3D-R2N2, as a result. It shares folder, lock, events and cancelling with trainings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from .. import __version__, devices
from ..contract.errors import UserError
from ..contract.events import started
from ..contract.result import BINVOX, BLOCKS, POINTS, SMOOTH, VOXELS, Result
from ..contract.schema import to_mapping
from ..contract.voxels import METHOD, VoxelSettings
from ..precision import UNUSABLE, lacking, unusable
from ..runs.cancel import Cancelled
from ..runs.process import identity
from ..runs.reporter import Reporter
from ..runs.result_folder import opened
from ..voxels.cutout import cut_out
from ..voxels.prediction import predict, write_prediction
from ..voxels.weights import SHIPPED, read_weights


@dataclass(frozen=True)
class VoxelPictures:
    """Pictures of one object, and for each a mask, or no masks at all."""

    files: Sequence[Path]
    masks: Sequence[Path] = ()


def recognise(pictures: VoxelPictures, path: Path, settings: VoxelSettings, reporter: Reporter, overwrite: bool = False) -> Result | None:
    """Makes voxels of pictures, and writes them as a result. A result that is replaced stays until all else went well.

    Args:
        pictures: what is recognised. path: receives the result. settings: with weights. reporter: of its events.
        overwrite: replace a result that is there.

    Returns:
        The result; None where the user ended it.

    Raises:
        UserError: a picture or the weights cannot be used, nothing was recognised, or something is in the way.
    """
    begin = time.monotonic()
    steps = len(pictures.files) + 1
    with opened(path, reporter, new=True, overwrite=overwrite) as folder:
        first = started(method=METHOD, device="cpu", capture=str(pictures.files[0]), **identity())
        reporter(first.kind, **first.values)

        def progress(stage: str, step: int) -> None:
            reporter("progress", stage=stage, step=step, steps=steps, seconds=time.monotonic() - begin)
            if folder.asked_to_end():
                raise Cancelled

        folder.claim(VOXELS, BINVOX, BLOCKS, SMOOTH, POINTS)
        try:
            cut = []
            for file, mask in zip(pictures.files, pictures.masks or [None] * len(pictures.files), strict=True):
                progress("cut", len(cut))
                cut.append(cut_out(file, mask))
            progress("recognise", len(cut))
            named = Path(settings.weights).resolve() if settings.weights else SHIPPED
            network, _ = read_weights(named)
            probabilities = _predicted(network, np.stack(cut), settings.precision, reporter)
            if probabilities.max() < np.float32(settings.threshold):
                raise UserError("Nothing was recognised in the picture.", "Try another picture of it, or a lower threshold.")
            progress("recognise", steps)
        except Cancelled:
            reporter("done", seconds=time.monotonic() - begin, cancelled=True)
            return None
        result = Result(
            status="running",
            method=METHOD,
            capture=str(pictures.files[0].resolve()),
            settings={"images": [str(file.resolve()) for file in pictures.files], **to_mapping(settings), "weights": str(named)},
            device="cpu",
            versions={"reconstruct": __version__},
            **identity(),
        )
        folder.begin(result)
        made, bounds = write_prediction(path, probabilities, cut[0], settings)
        for kind, file in made:
            folder.made(kind, file, folder.result)
        result = folder.end(replace(folder.result, status="done", bounds=bounds))
    reporter("done", seconds=time.monotonic() - begin, cancelled=False)
    return result


def _predicted(network: nn.Module, pictures: np.ndarray, precision: str, reporter: Reporter) -> np.ndarray:
    """What :func:`predict` gives, by INT8 where that is asked for and works, else with a warning by what the processor does best."""
    usual = "bfloat16" if devices.has_bfloat16("cpu") else "float32"
    if precision != "int8":
        return predict(network, pictures, usual if precision == "auto" else precision)
    missing = lacking("int8") if hasattr(network, "encoder") else "int8 is for networks that encode pictures."
    try:
        if not missing:
            return predict(network, pictures, "int8")
    except UNUSABLE as error:
        missing = unusable("int8", error)
    reporter("warning", message=f"{missing} Voxels are computed with {usual}.")
    return predict(network, pictures, usual)
