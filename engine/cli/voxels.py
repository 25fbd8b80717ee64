# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of voxels from pictures: what follows ``voxels`` on the command line."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import tyro

from ..contract.errors import UserError
from ..contract.result import Result
from ..contract.schema import check
from ..contract.voxels import MakeDataSettings, VoxelSettings, VoxelTrainSettings, check_pictures
from ..runs.errors import reported
from .options import argument, flags, like

_Positional = tyro.conf.Positional
_MakeFlags, _TrainFlags, _VoxelFlags = flags(MakeDataSettings), flags(VoxelTrainSettings), flags(VoxelSettings)
_DEFAULT_MINUTES = 75.0


def make_data(
    meshes: Annotated[
        str,
        _Positional,
        argument("Folder of furniture as OBJ, GLB or glTF, with or without subfolders; none takes what is made up.", "MESHES"),
    ] = "",
    /,
    out: Annotated[str, argument("Folder that receives the data. What is there already is kept, so this also resumes.", "DATA")] = "",
    settings: Annotated[_MakeFlags, tyro.conf.arg(name="")] = _MakeFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> int:
    """Make data to learn voxels from: views and voxels of meshes, and of furniture that is made up."""
    given = like(MakeDataSettings(), settings)
    check(given)
    if not out:
        raise UserError("make-data needs --out DATA.", "See python -m engine voxels make-data --help.")
    from ..kernels import compiling
    from ..runs.reporter import Reporter
    from ..voxels.make_data import make_data as make
    from ..voxels.make_data import plan

    source = Path(meshes).resolve() if meshes else None
    # Before kernels are compiled, which takes a minute once.
    plan(source, given)
    data, begin = Path(out).resolve(), time.monotonic()
    reporter = Reporter(None, None)
    last = 0.0

    def progress(done: int, steps: int) -> None:
        nonlocal last
        seconds = time.monotonic() - begin
        if seconds - last >= 0.5 or done == steps:
            last = seconds
            reporter("progress", stage="render", step=done, steps=steps, seconds=seconds, eta_seconds=seconds / done * (steps - done))

    try:
        if not compiling.is_compiled():
            compiling.compile_all(lambda done, steps: reporter("progress", stage="compile", step=done, steps=steps, seconds=0.0))
        made, lost = make(source, data, given, progress, lambda sentence: reporter("warning", message=sentence))
    finally:
        reporter.close()
    left_out = f", {lost} left out" if lost else ""
    print(f"{made} shapes made{left_out}; {data}")
    return 0


def train(
    data: Annotated[str, _Positional, argument("Folder that make-data has made.", "DATA")] = "",
    /,
    out: Annotated[str, argument("Folder that receives the result.", "RESULT")] = "",
    resume: Annotated[str, argument("Folder of a result to go on with, instead of data.", "RESULT")] = "",
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Replace a result that is already there.")] = False,
    events: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Print events as lines of JSON for a program.")] = False,
    settings: Annotated[_TrainFlags, tyro.conf.arg(name="")] = _TrainFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> int:
    """Train 3D-R2N2 on data of shapes, within a time or for a number of steps."""
    given = like(VoxelTrainSettings(), settings)
    check(given)
    from ..runs.resume import check_asked

    check_asked(given, data, out, resume, overwrite, name="DATA", command="python -m engine voxels train")
    from ..jobs.train_voxels import VoxelRun, run

    folder = Path(resume or out).resolve()
    if not resume and given.minutes is None and given.steps is None:
        given = dataclasses.replace(given, minutes=_DEFAULT_MINUTES)
    if given.start:
        given = dataclasses.replace(given, start=str(Path(given.start).resolve()))

    def last_line(result: Result) -> str:
        parts = [f"{value:.3f} IoU from {name.removeprefix('iou_')}" for name, value in result.metrics.items()]
        words = f", {', '.join(parts)} views on held-out shapes" if parts else ""
        return f"{result.status}: {result.step} steps in {result.timing['total']:.0f} s{words}; {folder}"

    source = None if resume else Path(data).resolve()
    return reported(
        events, lambda reporter: run(VoxelRun(folder, given, reporter, source, resume=bool(resume), overwrite=overwrite)), last_line
    )


def predict(
    images: Annotated[
        tuple[str, ...],
        _Positional,
        argument("Pictures of one piece of furniture, in any order, transparent or before a plain background.", "IMAGE"),
    ] = (),
    /,
    out: Annotated[str, argument("Folder that receives the result.", "RESULT")] = "",
    mask: Annotated[tuple[str, ...], argument("For each picture, one that is bright where the object is.", "IMAGE")] = (),
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Replace a result that is already there.")] = False,
    events: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Print events as lines of JSON for a program.")] = False,
    settings: Annotated[_VoxelFlags, tyro.conf.arg(name="")] = _VoxelFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> int:
    """Voxels, meshes and points of a piece of furniture from one picture or a few (3D-R2N2)."""
    given = like(VoxelSettings(), settings)
    check(given)
    if not images or not out:
        raise UserError("voxels needs an IMAGE and --out RESULT.", "See python -m engine voxels --help.")
    check_pictures(len(images))
    if mask and len(mask) != len(images):
        raise UserError(f"There are {len(images)} pictures and {len(mask)} masks.", "Give a --mask for each picture, or none.")
    from ..jobs.predict_voxels import VoxelPictures, recognise

    folder, begin = Path(out).resolve(), time.monotonic()
    pictures = VoxelPictures(tuple(map(Path, images)), tuple(map(Path, mask)))

    def last_line(result: Result | None) -> str:
        if result is None:
            return "Cancelled."
        (x0, y0, z0), (x1, y1, z1) = result.bounds
        return f"{x1 - x0:.2f} × {y1 - y0:.2f} × {z1 - z0:.2f} m in {time.monotonic() - begin:.1f} s; {folder}"

    return reported(events, lambda reporter: recognise(pictures, folder, given, reporter, overwrite), last_line)


COMMANDS = {"voxels": predict, "voxels make-data": make_data, "voxels train": train}
