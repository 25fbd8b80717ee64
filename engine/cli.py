# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import json
import re
import sys
import time
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from . import cli_voxels, output
from .contract.errors import UserError
from .contract.presets import PRESETS, with_preset
from .contract.result import METRICS, read_result
from .contract.schema import check, from_mapping
from .contract.settings import ProxySettings, SurfaceSettings, TrainSettings, trained_settings
from .failures import FAILURES, explain, reported
from .flags import argument, flags, like

PROGRAM = "python -m engine"


_TrainFlags, _SurfaceFlags, _ProxyFlags = flags(TrainSettings), flags(SurfaceSettings), flags(ProxySettings)


def _train_defaults(arguments: list[str]) -> Any:
    """The flags' defaults: those of the preset that the arguments name, so that every flag given wins over it."""
    named = [words[1] for words in zip(arguments, arguments[1:], strict=False) if words[0] == "--preset"]
    named += [word.partition("=")[2] for word in arguments if word.startswith("--preset=")]
    # No budget, because steps of the preset would stand beside minutes that are given.
    preset = {"preset": named[-1], "minutes": None} if named and named[-1] in PRESETS else {}
    chosen = from_mapping(TrainSettings, with_preset(preset))
    return like(_TrainFlags(), chosen)


_Positional = tyro.conf.Positional
_Method = typing.get_type_hints(TrainSettings)["method"]


_Axes = typing.Literal["auto", "z-up", "y-up", "y-down"]
_AXES_HELP = (
    "z-up as Blender, y-up as glTF and SPZ, y-down as COLMAP and most published PLYs. auto: y-up for .spz and .glb, y-down for .splat; a "
    ".ply is read as it says, which ours do, others as y-down, and written as z-up."
)


_Numbers = typing.Literal["auto", "float32", "bfloat16", "int8"]
_NUMBERS_HELP = (
    "Numbers that the networks of method nerf compute with. auto: as they were trained. int8: faster on processors, with half a minute "
    "before the first picture; see doctor."
)


def train(
    capture: Annotated[
        str, _Positional, argument("Folder of the capture: transforms.json, NeRF-synthetic, LLFF or COLMAP.", "CAPTURE")
    ] = "",
    /,
    out: Annotated[str, argument("Folder that receives the result.", "RESULT")] = "",
    resume: Annotated[str, argument("Folder of a result to go on with, instead of a capture.", "RESULT")] = "",
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Replace a result that is already there.")] = False,
    events: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Print events as lines of JSON for a program.")] = False,
    settings: Annotated[_TrainFlags, tyro.conf.arg(name="")] = _TrainFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> int:
    """Train on a capture, within a time budget or for a number of steps."""
    given = like(TrainSettings(), settings)
    check(given)
    from .training.asking import check_asked

    check_asked(given, capture, out, resume, overwrite, name="CAPTURE", command=f"{PROGRAM} train")
    from .training.loop import DEFAULT_MINUTES, Run, run
    from .training.scoring import which_views

    folder = Path(resume or out).resolve()
    if not resume and given.minutes is None and given.steps is None:
        preset = with_preset({"preset": given.preset})
        budget = {name: preset[name] for name in ("minutes", "steps") if name in preset}
        given = dataclasses.replace(given, **(budget or {"minutes": DEFAULT_MINUTES}))

    def last_line(result: Any) -> str:
        scores = ""
        if "psnr" in result.metrics:
            psnr, ssim = result.metrics["psnr"], result.metrics["ssim"]
            scores = f", {psnr:.2f} dB PSNR, {ssim:.4f} SSIM on {which_views(result.metrics)}"
        return f"{result.status}: {result.step} steps in {result.timing['total']:.0f} s{scores}; {folder}"

    source = None if resume else Path(capture)
    return reported(events, lambda reporter: run(Run(folder, given, reporter, source, resume=bool(resume), overwrite=overwrite)), last_line)


def eval_(
    result: Annotated[str, _Positional, argument("Folder of the result.", "RESULT")],
    /,
    split: Annotated[
        typing.Literal["test", "train"],
        argument("Which views are scored: the held-out ones, or those that were trained on, whose scores are only printed."),
    ] = "test",
    precision: Annotated[_Numbers, argument(_NUMBERS_HELP)] = "auto",
) -> int:
    """Score a result: PSNR and SSIM, into RESULT/metrics.json; of training views, or with another precision, they are only printed."""
    from . import devices
    from .data.views import load_views
    from .formats.capture import read_capture
    from .methods import load_model
    from .training.folder import opened
    from .training.reporting import Reporter
    from .training.scoring import record, score

    path = Path(result).resolve()
    known = read_result(path)
    reporter = Reporter(None, None)
    # What is written is of held-out views, and of the field as it was trained.
    written = split == "test" and precision == "auto"
    with opened(path, None) if written else contextlib.nullcontext() as folder:
        if folder is not None:
            known = folder.old
            folder.claim(METRICS)
        trained = trained_settings(known.settings, path)
        size = {"scale": 1 / trained.downscale, "max_side": trained.max_side}
        views = load_views(read_capture(Path(known.capture)), split, **size, alpha=known.background == "white")
        if not views:
            raise UserError(f"{known.capture} has no {split} views.", "Try --split train.")
        model = load_model(path, known, devices.threads(0))
        _choose_numbers(model, precision, [view.camera for view in views], reporter)
        begin = time.monotonic()

        def progress(done: int, steps: int) -> None:
            seconds = time.monotonic() - begin
            left = seconds / done * (steps - done) if done else None
            reporter("progress", stage="evaluate", step=done, steps=steps, seconds=seconds, eta_seconds=left)

        try:
            scores = score(model, views, known.blend, progress)
        finally:
            reporter.close()
        if folder is not None:
            folder.begin(known)
            folder.end(record(folder, known, scores, len(views)))
    print(f"PSNR {scores['psnr']:.2f} dB, SSIM {scores['ssim']:.4f}, mean of {len(views)} {split} views")
    return 0


def render(
    result: Annotated[str, _Positional, argument("Folder of the result.", "RESULT")],
    /,
    cameras: Annotated[
        str,
        argument(
            "transforms.json with or without pictures, or a capture's folder, whose cameras are rendered in their order; empty takes the "
            "result's own test views, in the size that it was trained on.",
            "FILE",
        ),
    ] = "",
    out: Annotated[str, argument("Folder that receives the pictures, or a film's file that ends in .mp4.", "DIR")] = "",
    format: Annotated[
        typing.Literal["png", "exr", "mp4"] | None,
        argument(
            "png: pictures for the screen. exr: scene-linear light, alpha and planar depth, for compositing. mp4: one film. "
            "Without it, --out says."
        ),
    ] = None,
    width: Annotated[int | None, argument("Width of the pictures (px); the height follows.", "W")] = None,
    height: Annotated[
        int | None, argument("Height of the pictures (px); the width follows. Given both, what sticks out is cut off.", "H")
    ] = None,
    between: Annotated[int, argument("New views between each two cameras, along a smooth path.", "N")] = 0,
    fps: Annotated[float | None, argument("Views in a second of film; empty takes what FILE says, else 24.", "FPS")] = None,
    precision: Annotated[_Numbers, argument(_NUMBERS_HELP)] = "auto",
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Replace a film that is already there.")] = False,
) -> int:
    """Render a result along cameras: to PNG, to EXR with depth, or to a film."""
    from . import devices
    from .formats.capture import read_capture
    from .methods import load_model
    from .rendering import files, path
    from .training.reporting import Reporter

    if not out:
        raise UserError("render needs --out DIR.", f"See {PROGRAM} render --help.")
    for name, side in (("width", width), ("height", height)):
        if side is not None and not 1 <= side <= path.MOST_PIXELS:
            raise UserError(f"--{name} is {side}.", f"Give 1 to {path.MOST_PIXELS} pixels.")
    if between < 0:
        raise UserError(f"--between is {between}.", "Give how many views to add between two cameras.")
    if fps is not None and not 0 < fps <= 1000:
        raise UserError(f"--fps is {fps:g}.", "Give a number above 0, up to 1000.")
    folder = Path(result).resolve()
    known = read_result(folder)
    kind, target = files.choose(Path(out).resolve(), format, overwrite)
    if cameras:
        route = path.read_path(Path(cameras).resolve())
    else:
        capture = read_capture(Path(known.capture))
        trained = trained_settings(known.settings, folder)
        route = path.of_frames(capture.split("test") or capture.frames).scaled(1 / trained.downscale, trained.max_side)
    if between:
        route = path.between(route, between)
    views = [path.sized(camera, width, height) for camera in route.cameras]
    if kind == "mp4":
        first = path.sized(views[0], even=True)
        views = [path.sized(view, first.width, first.height) for view in views]
    if kind != "mp4":
        files.check_names(kind, target, route.names)
    model = load_model(folder, known, devices.threads(0))
    import numpy as np

    behind = np.full(3, 1.0 if known.background == "white" else 0.0)
    if kind == "mp4":
        writing = files.film(model, target, (views[0].width, views[0].height), fps or route.fps or 24, behind)
    else:
        writing = files.pictures(model, kind, target, behind)
    reporter = Reporter(None, None)
    _choose_numbers(model, precision, views, reporter)
    begin = time.monotonic()
    try:
        with writing as take:
            for index, (name, view) in enumerate(zip(route.names, views, strict=True)):
                take(name, view)
                seconds, done = time.monotonic() - begin, index + 1
                left = seconds / done * (len(views) - done)
                reporter("progress", stage="render", step=done, steps=len(views), seconds=seconds, eta_seconds=left)
    finally:
        reporter.close()
    print(f"{len(views)} views in {target}" if kind == "mp4" else f"{len(views)} pictures in {target}")
    return 0


def _choose_numbers(model: Any, numbers: str, cameras: list[Any], reporter: Any) -> None:
    """Has a model compute with the numbers that the user chose, and says where it cannot."""
    if numbers == "auto":
        return
    from .methods import compute_with

    note = compute_with(model, numbers, cameras)
    if note:
        reporter("warning", message=note)


def surface(
    result: Annotated[str, _Positional, argument("Folder of the result.", "RESULT")],
    /,
    events: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Print events as lines of JSON for a program.")] = False,
    settings: Annotated[_SurfaceFlags, tyro.conf.arg(name="")] = _SurfaceFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> int:
    """Make the surface of a result, a mesh with coloured vertices: RESULT/mesh.glb."""
    given = like(SurfaceSettings(), settings)
    check(given)

    def make(folder: Path, reporter: Any) -> bool:
        from .shapes.surface import make_surface

        return make_surface(folder, given, reporter)

    return _shape(result, events, "mesh.glb", make)


def proxy(
    result: Annotated[str, _Positional, argument("Folder of the result.", "RESULT")],
    /,
    events: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Print events as lines of JSON for a program.")] = False,
    settings: Annotated[_ProxyFlags, tyro.conf.arg(name="")] = _ProxyFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> int:
    """Make a light, textured mesh that stands for a result, of its surface: RESULT/proxy.glb. Without a surface, that is made first."""
    given = like(ProxySettings(), settings)
    check(given)

    def make(folder: Path, reporter: Any) -> bool:
        from .shapes.proxy import make_proxy

        return make_proxy(folder, given, reporter)

    return _shape(result, events, "proxy.glb", make)


def _shape(result: str, events: bool, file: str, make: Callable[[Path, Any], bool]) -> int:
    """Has a shape of a result made, and says how that went."""
    folder, begin = Path(result).resolve(), time.monotonic()

    def last_line(written: bool) -> str:
        return f"{folder / file} in {time.monotonic() - begin:.0f} s" if written else "Cancelled."

    return reported(events, lambda reporter: make(folder, reporter), last_line)


def convert(
    source: Annotated[str, _Positional, argument("Splats to read: .ply (also PlayCanvas' compressed), .spz, .splat or .glb.", "IN")],
    target: Annotated[str, _Positional, argument("File to write: .ply, .spz, .splat or .glb.", "OUT")],
    /,
    from_axes: Annotated[_Axes, argument(f"Axes of IN: {_AXES_HELP}")] = "auto",
    to_axes: Annotated[_Axes, argument(f"Axes of OUT: {_AXES_HELP}")] = "auto",
    crop: Annotated[
        tuple[float, float, float, float, float, float] | None,
        argument("Keep what lies in this box, in the file's unit and with Z up.", "XMIN YMIN ZMIN XMAX YMAX ZMAX"),
    ] = None,
    min_opacity: Annotated[float, argument("Remove splats below this opacity (0 to 1).")] = 0.0,
    remove_floaters: Annotated[
        bool, tyro.conf.FlagCreatePairsOff, argument("Remove splats that are alone in empty space, far from others for their size.")
    ] = False,
    decimate: Annotated[
        int | None, argument("Keep so many at most: the most opaque and largest. Nothing makes up for those that go.", "N")
    ] = None,
    blend: Annotated[
        typing.Literal["auto", "linear", "srgb"],
        argument(
            "Color space that OUT composites in: srgb (other viewers) or linear (Blender). auto: srgb, and as in IN for .glb, which can "
            "state it. Colors are refitted where the two differ, which is exact for opaque splats only."
        ),
    ] = "auto",
    spz_version: Annotated[typing.Literal[2, 3], argument("Version of SPZ to write; 2 is for old readers.")] = 3,
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Replace a file that is already there.")] = False,
) -> int:
    """Read splats, change them as asked, in the order of these flags, and write them to another file."""
    from .formats.splats import check_target, read_splats, write_splats
    from .formats.splats.blending import to_blend
    from .splats import editing

    if not 0 <= min_opacity <= 1:
        raise UserError(f"--min-opacity is {min_opacity:g}.", "Give a number from 0 to 1.")
    if decimate is not None and decimate < 1:
        raise UserError(f"--decimate is {decimate}.", "Give a number of at least 1.")
    if crop is not None and not all(low < high for low, high in zip(crop[:3], crop[3:], strict=True)):
        raise UserError("--crop has no inside: each minimum must be below its maximum.", "Give XMIN YMIN ZMIN XMAX YMAX ZMAX.")
    # A target that cannot be written is said before the work is done.
    check_target(Path(target))
    if Path(target).exists() and not overwrite:
        raise UserError(f"{target} is already there.", "Add --overwrite to replace it, or choose another OUT.", "exists")
    splats = read_splats(Path(source), None if from_axes == "auto" else from_axes, print)
    steps: list[tuple[str, Callable[[Any], Any]]] = []
    if crop is not None:
        steps.append(("outside the box", lambda given: editing.crop(given, crop[:3], crop[3:])))
    if min_opacity > 0:
        steps.append((f"with an opacity below {min_opacity:g}", lambda given: editing.at_least_opaque(given, min_opacity)))
    if remove_floaters:
        steps.append(("that float alone", editing.without_floaters))
    if decimate is not None:
        steps.append((f"to keep {decimate}", lambda given: editing.decimate(given, decimate)))
    for reason, step in steps:
        before = len(splats)
        splats = step(splats)
        print(f"{before - len(splats)} removed {reason}, {len(splats)} remain")
        if before and not len(splats):
            raise UserError(f"Nothing of {source} remains.", "Nothing was written; ask for less to be removed.")
    file = Path(target)
    kind = file.suffix.lower()
    if blend == "auto":
        # Viewers take a file that cannot state its color space as sRGB; the comment in our PLY is read by us only.
        blend = (splats.blend or "srgb") if kind == ".glb" else "srgb"
    if (splats.blend or "srgb") != blend:
        print(f"Colors are refitted from {splats.blend or 'srgb'} to {blend} compositing")
    splats = to_blend(splats, blend)
    write_splats(file, splats, None if to_axes == "auto" else to_axes, spz_version)
    degree = 0 if kind == ".splat" else splats.degree
    if degree < splats.degree:
        print(f"A {kind} file has no harmonics: those of degree {splats.degree} are left out")
    if splats.blend == "linear" and kind in (".spz", ".splat"):
        print(f"A {kind} file cannot state that its colors are linear: every reader takes them as sRGB")
    print(f"{len(splats)} splats, harmonics of degree {degree}: {target}")
    return 0


def doctor(
    json_: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(name="json", help="Print JSON for a program.")] = False,
    compile: Annotated[bool, tyro.conf.FlagCreatePairsOff, argument("Compile the kernels if that was not done yet.")] = False,
    method: Annotated[_Method | None, argument("Also say what training by this method, and its pictures, cost here.")] = None,
) -> int:
    """Say what this machine has, what will be used, and why."""
    from .doctor import examine, plain

    if compile:
        from .kernels import compiling
        from .training.reporting import Reporter

        if not compiling.is_compiled():
            reporter = Reporter(None, None)
            compiling.compile_all(lambda done, steps: reporter("progress", stage="compile", step=done, steps=steps, seconds=0.0))
            reporter.close()
    facts = examine(method)
    print(json.dumps(facts, indent=1) if json_ else plain(facts))
    return 0


def bench(
    fixtures: Annotated[
        tuple[str, ...], _Positional, argument("Names of fixtures, also shells-THOUSANDSk-WIDTHxHEIGHT; none runs all.", "FIXTURE")
    ] = (),
    /,
    json_: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(name="json", help="Print JSON for a program.")] = False,
) -> int:
    """Time the operations on named fixtures, with the machine named."""
    from .bench import plain, run

    rows = run(fixtures)
    print(json.dumps(rows, indent=1) if json_ else plain(rows))
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "doctor": doctor,
    "train": train,
    "eval": eval_,
    "render": render,
    "surface": surface,
    "proxy": proxy,
    "convert": convert,
    "bench": bench,
    **cli_voxels.COMMANDS,
}


def main(arguments: list[str]) -> int:
    """Runs a command. Returns the exit code: 0 done, 1 a failed job, 2 a bad argument."""
    if "--events" in arguments:
        output.keep_clean()
    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            chosen = tyro.extras.subcommand_cli_from_dict(
                {name: _deferred(command, arguments) for name, command in COMMANDS.items()},
                prog=PROGRAM,
                description="Trains splats and radiance fields from captures, on ordinary processors.",
                # tyro reads sys.argv where it is given nothing.
                args=_joined(arguments) or ["--help"],
            )
    except SystemExit as end:
        if end.code in (0, None):
            return 0 if arguments else 2
        print(f"{_one_line(complaints.getvalue())} See {PROGRAM} --help.", file=sys.stderr)
        return 2
    _lower_priority()
    try:
        return chosen()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 1
    except Exception as error:
        failure = explain(error)
        print(failure, file=sys.stderr)
        return 1 if failure.code in FAILURES else 2


def _joined(arguments: list[str]) -> list[str]:
    """The arguments with the two words of such a command as one."""
    two = " ".join(arguments[:2])
    return [two, *arguments[2:]] if two in COMMANDS else arguments


def _deferred(command: Callable[..., int], arguments: list[str]) -> Callable[..., Callable[[], int]]:
    """The command's signature, returning a call instead of making it: parsing must not swallow what the command prints."""
    import functools

    @functools.wraps(command)
    def parsed(*positional: Any, **named: Any) -> Callable[[], int]:
        return lambda: command(*positional, **named)

    if command is train:
        signature = inspect.signature(command)
        settings = signature.parameters["settings"].replace(default=_train_defaults(arguments))
        parsed.__signature__ = signature.replace(parameters=[*list(signature.parameters.values())[:-1], settings])
    return parsed


def _one_line(complaint: str) -> str:
    """The first sentence of tyro's framed complaint: a title, a rule, then what is wrong. The frame is drawn where the output is UTF-8."""
    sections: list[list[str]] = [[]]
    for line in re.sub(r"\x1b\[[0-9;]*m", "", complaint).splitlines():
        words = line.strip("│╭╮╰╯─- ")
        if words:
            sections[-1].append(words)
        if not words or line.startswith("╭"):
            sections.append([])
    filled = [" ".join(section) for section in sections if section]
    sentence = filled[1].split("Got errors:")[0] if len(filled) > 1 else "The arguments are not right"
    return sentence.strip().rstrip(".") + "."


def _lower_priority() -> None:
    """Leaves the machine usable: the engine runs beside a designer's work."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 5)
