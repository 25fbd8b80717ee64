# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands voxels, voxels make-data and voxels train."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

from ..contract.errors import UserError
from ..contract.result import Result
from ..contract.schema import check
from ..contract.voxels import MakeDataSettings, VoxelSettings, VoxelTrainSettings, check_pictures
from .options import PROGRAM, SETTINGS, Events, Overwrite, Positional, like, option, options_of
from .reporting import progress_bar, run_reported
from .training import TrainingCommand, run_training

_DEFAULT_MINUTES = 75.0
_MakeDataSettings, _TrainSettings, _VoxelSettings = options_of(MakeDataSettings), options_of(VoxelTrainSettings), options_of(VoxelSettings)


@dataclass(frozen=True)
class Predict:
    """Voxels, meshes and points of a piece of furniture from one image or a few (3D-R2N2)."""

    images: Annotated[
        tuple[str, ...],
        Positional,
        option("Images of one piece of furniture, in any order, transparent or in front of a plain background.", "IMAGE"),
    ] = ()
    out: Annotated[str, option("Folder that receives the result.", "RESULT")] = ""
    mask: Annotated[tuple[str, ...], option("For each image, one that is bright where the object is.", "IMAGE")] = ()
    overwrite: Overwrite = False
    events: Events = False
    settings: Annotated[_VoxelSettings, SETTINGS] = field(default_factory=_VoxelSettings)  # type: ignore[valid-type]

    def run(self) -> int:
        """Returns the exit code."""
        settings = like(VoxelSettings(), self.settings)
        check(settings)
        if not self.images or not self.out:
            raise UserError("voxels needs an IMAGE and --out RESULT.", f"See {PROGRAM} voxels --help.")
        check_pictures(len(self.images))
        if self.mask and len(self.mask) != len(self.images):
            raise UserError(f"There are {len(self.images)} images and {len(self.mask)} masks.", "Give a --mask for each image, or none.")
        from ..jobs.predict_voxels import PredictRequest, predict_voxels

        folder, begin = Path(self.out).resolve(), time.monotonic()
        request = PredictRequest(tuple(map(Path, self.images)), folder, settings, tuple(map(Path, self.mask)), self.overwrite)

        def last_line(result: Result | None) -> str:
            if result is None:
                return "Cancelled."
            (x0, y0, z0), (x1, y1, z1) = result.bounds
            return f"{x1 - x0:.2f} × {y1 - y0:.2f} × {z1 - z0:.2f} m in {time.monotonic() - begin:.1f} s; {folder}"

        return run_reported(self.events, lambda reporter: predict_voxels(request, reporter), last_line)


@dataclass(frozen=True)
class MakeData:
    """Make training data of voxels: views and voxels of meshes, and of generated furniture."""

    meshes: Annotated[
        str,
        Positional,
        option("Folder of furniture as OBJ, GLB or glTF, with or without subfolders; without it, all furniture is generated.", "MESHES"),
    ] = ""
    out: Annotated[str, option("Folder that receives the data. What is there already is kept, so this also resumes.", "DATA")] = ""
    settings: Annotated[_MakeDataSettings, SETTINGS] = field(default_factory=_MakeDataSettings)  # type: ignore[valid-type]

    def run(self) -> int:
        """Returns the exit code."""
        settings = like(MakeDataSettings(), self.settings)
        check(settings)
        if not self.out:
            raise UserError("make-data needs --out DATA.", f"See {PROGRAM} voxels make-data --help.")
        from ..jobs.make_voxel_data import make_voxel_data

        meshes, data = Path(self.meshes).resolve() if self.meshes else None, Path(self.out).resolve()
        with progress_bar() as reporter:
            made, lost = make_voxel_data(meshes, data, settings, reporter)
        print(f"{made} shapes made{f', {lost} left out' if lost else ''}; {data}")
        return 0


@dataclass(frozen=True)
class Train(TrainingCommand):
    """Train 3D-R2N2 on data of shapes, within a time budget or for a number of steps."""

    name: ClassVar[str] = "voxels train"
    source_name: ClassVar[str] = "DATA"

    data: Annotated[str, Positional, option("Folder that make-data has made.", "DATA")] = ""
    settings: Annotated[_TrainSettings, SETTINGS] = field(default_factory=_TrainSettings)  # type: ignore[valid-type]

    def run(self) -> int:
        """Returns the exit code."""
        from ..jobs.train_voxels import train_voxels

        settings = like(VoxelTrainSettings(), self.settings)
        if settings.start:
            settings = replace(settings, start=str(Path(settings.start).resolve()))
        data = str(Path(self.data).resolve()) if self.data else ""
        return run_training(self, data, settings, {"minutes": _DEFAULT_MINUTES}, train_voxels, _scores)


def _scores(result: Result) -> str:
    parts = [f"{value:.3f} IoU from {name.removeprefix('iou_')}" for name, value in result.metrics.items()]
    return f", {', '.join(parts)} views on held-out shapes" if parts else ""
