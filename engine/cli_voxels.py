# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of voxels from pictures: what follows ``voxels`` on the command line."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import tyro

from . import output
from .contract.errors import UserError
from .contract.result import EVENTS, RESULT, read_result
from .contract.schema import check
from .contract.voxels import METHOD, MakeDataSettings, VoxelSettings, VoxelTrainSettings, check_pictures
from .failures import tell
from .flags import argument, flags, like

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
    from .kernels import compiling
    from .training.reporting import Reporter
    from .voxels.make_data import make_data as make
    from .voxels.make_data import plan

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
    from .training.asking import check_asked, resumed
    from .training.reporting import Reporter

    check_asked(given, data, out, resume, overwrite, name="DATA", command="python -m engine voxels train")
    stream = output.stream() if events else None
    reporter: Reporter | None = None
    try:
        if resume:
            folder = Path(resume).resolve()
            old = read_result(folder)
            if old.method != METHOD or "network" not in old.settings:
                raise UserError(f"{folder} is not a training of voxels.", "Resume it with: train --resume.")
            source, given = Path(old.capture), resumed(folder, old, given)
        else:
            from . import devices
            from .training.loop import prepare_folder

            # Before anything is written: a folder left behind would stand in the way of the next try.
            devices.choose(METHOD, given.device)
            folder, source = Path(out).resolve(), Path(data).resolve()
            if given.minutes is None and given.steps is None:
                given = dataclasses.replace(given, minutes=_DEFAULT_MINUTES)
            if given.start:
                from .voxels.weights import read_weights

                given = dataclasses.replace(given, start=str(Path(given.start).resolve()))
                read_weights(Path(given.start), given.network)
            if not source.is_dir():
                raise UserError(f"There is no folder {source}.", "Give the folder that make-data has made.")
            prepare_folder(folder, overwrite)
        reporter = Reporter(folder / EVENTS, stream)
        from .training.voxels import VoxelRun, run

        result = run(VoxelRun(source, folder, given, reporter, resume=bool(resume)))
    except BaseException as error:
        if tell(error, reporter, stream) is None:
            raise
        return 1
    finally:
        if reporter is not None:
            reporter.close()
    if stream is None:
        parts = [f"{value:.3f} IoU from {name.removeprefix('iou_')}" for name, value in result.metrics.items()]
        words = f", {', '.join(parts)} views on held-out shapes" if parts else ""
        print(f"{result.status}: {result.step} steps in {result.timing['total']:.0f} s{words}; {folder}")
    return 0


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
    from .training.loop import prepare_folder
    from .training.reporting import Reporter

    folder, begin = Path(out).resolve(), time.monotonic()
    # Who follows a run has made its folder before, and reads there what went wrong. A folder of our own would stand in the way of the next
    # try, so it is made when all else went well; so long a result that is replaced stays, too.
    followed = folder.is_dir()
    replaced = overwrite and (folder / RESULT).is_file()
    if followed and not replaced:
        prepare_folder(folder, overwrite)

    def make_folder() -> None:
        if replaced:
            said = (folder / EVENTS).read_bytes()
            prepare_folder(folder, overwrite)
            (folder / EVENTS).write_bytes(said)
        elif not followed:
            prepare_folder(folder, overwrite)

    stream = output.stream() if events else None
    reporter = Reporter(folder / EVENTS if followed else None, stream)
    try:
        from .training.recognition import VoxelPictures, recognise

        pictures = VoxelPictures(tuple(map(Path, images)), tuple(map(Path, mask)))
        result = recognise(pictures, folder, given, reporter, make_folder)
    except BaseException as error:
        if tell(error, reporter, stream) is None:
            raise
        return 1
    finally:
        reporter.close()
    if stream is None and result is not None:
        (x0, y0, z0), (x1, y1, z1) = result.bounds
        print(f"{x1 - x0:.2f} × {y1 - y0:.2f} × {z1 - z0:.2f} m in {time.monotonic() - begin:.1f} s; {folder}")
    return 0


COMMANDS = {"voxels": predict, "voxels make-data": make_data, "voxels train": train}
