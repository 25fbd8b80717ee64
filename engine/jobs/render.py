# SPDX-License-Identifier: GPL-3.0-or-later
"""Job render: the images that cameras show of a result, as PNG, EXR or film."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .. import devices
from ..cameras import Camera
from ..contract.errors import UserError
from ..contract.result import Result, read_result
from ..contract.settings import trained_settings
from ..data.camera_path import CameraPath, between, of_frames, read_path, sized
from ..formats.capture import read_capture
from ..images import exr, film, png
from ..methods import check_has_model, load_model, set_precision
from ..methods.interface import Model
from ..runs.reporter import Reporter, stage_progress

Format = Literal["png", "exr", "mp4"]

MAX_SIDE = 1 << 14
_FPS = 24
_FILM = "film.mp4"
# Suffixes that name a file where a folder is wanted, or another kind of file.
_SUFFIXES = {".png", ".exr", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg"}
_IS_OURS = {".png": png.is_ours, ".exr": exr.is_ours, ".mp4": film.is_ours}


@dataclass(frozen=True)
class RenderRequest:
    """What to render.

    Args:
        result: folder of the result.
        out: folder of the images, or a film's file that ends in .mp4.
        cameras: transforms.json or a capture's folder; None takes the result's own test views.
        format: None goes by the suffix of ``out``.
        width, height: px; None keeps the cameras' size, or its proportions.
        between: new views between each two cameras.
        fps: frames a second of a film; None takes what ``cameras`` says, else 24.
        precision: of the networks of method nerf; auto, float32, bfloat16 or int8.
        overwrite: replace a film that is there.
    """

    result: Path
    out: Path
    cameras: Path | None = None
    format: Format | None = None
    width: int | None = None
    height: int | None = None
    between: int = 0
    fps: float | None = None
    precision: str = "auto"
    overwrite: bool = False


def render(request: RenderRequest, reporter: Reporter) -> tuple[int, Path]:
    """Renders a result along cameras.

    Returns:
        The number of views; and the folder of the images, or the film's file.

    Raises:
        UserError: a value is out of range, there is no result, the cameras cannot be read, or the target cannot be written.
    """
    _check(request)
    known = read_result(request.result)
    check_has_model(request.result, known)
    format, target = choose_target(request.out, request.format, request.overwrite)
    path = _camera_path(request, known)
    views = [sized(camera, request.width, request.height) for camera in path.cameras]
    if format == "mp4":
        first = sized(views[0], even=True)
        views = [sized(view, first.width, first.height) for view in views]
    else:
        check_names(format, target, path.names)
    model = load_model(request.result, known, devices.threads(0))
    if note := set_precision(model, request.precision, views):
        reporter("warning", message=note)
    background = np.full(3, 1.0 if known.background == "white" else 0.0)
    progress = stage_progress(reporter, "render")
    with _writer(model, format, target, views[0], request.fps or path.fps or _FPS, background) as write:
        for index, (name, view) in enumerate(zip(path.names, views, strict=True)):
            write(name, view)
            progress(index + 1, len(views))
    return len(views), target


def choose_target(out: Path, format: Format | None, overwrite: bool) -> tuple[Format, Path]:
    """What is written, and where to.

    Args:
        out: as the user gave it: a folder, or a file that ends in .mp4.
        format: as the user gave it; None goes by the suffix.
        overwrite: whether a film that is there may be replaced.

    Returns:
        The format; and the folder of the images, or the film's file.

    Raises:
        UserError: format and suffix do not match, or the film is there already.
    """
    suffix = out.suffix.lower()
    if format is None:
        format = "mp4" if suffix == ".mp4" else "png"
    if suffix in _SUFFIXES and not out.is_dir() and (format, suffix) != ("mp4", ".mp4"):
        wanted = "a file that ends in .mp4" if format == "mp4" else "a folder for the images"
        raise UserError(f"{out} cannot receive {format}.", f"Give --out {wanted}.")
    if format != "mp4":
        return format, out
    file = out if suffix == ".mp4" and not out.is_dir() else out / _FILM
    if file.exists():
        if not overwrite:
            raise UserError(f"{file} is already there.", "Add --overwrite to replace it, or choose another --out.", "exists")
        # The user named the folder, not this file.
        if file != out:
            _refuse_foreign(file)
    return format, file


def check_names(format: Literal["png", "exr"], folder: Path, names: Iterable[str]) -> None:
    """Refuses to replace images that another program wrote, such as the photos of a capture, whose names these are.

    Raises:
        UserError: there is such an image.
    """
    for name in names:
        if (file := folder / f"{name}.{format}").exists():
            _refuse_foreign(file)


def _check(request: RenderRequest) -> None:
    for name, side in (("width", request.width), ("height", request.height)):
        if side is not None and not 1 <= side <= MAX_SIDE:
            raise UserError(f"--{name} is {side}.", f"Give 1 to {MAX_SIDE} pixels.")
    if request.between < 0:
        raise UserError(f"--between is {request.between}.", "Give the number of views to add between two cameras.")
    if request.fps is not None and not 0 < request.fps <= 1000:
        raise UserError(f"--fps is {request.fps:g}.", "Give a number above 0, up to 1000.")


def _camera_path(request: RenderRequest, known: Result) -> CameraPath:
    if request.cameras is not None:
        path = read_path(request.cameras)
    else:
        capture, trained = read_capture(Path(known.capture)), trained_settings(known.settings, request.result)
        path = of_frames(capture.split("test") or capture.frames).scaled(1 / trained.downscale, trained.max_side)
    return between(path, request.between) if request.between else path


@contextlib.contextmanager
def _writer(
    model: Model, format: Format, target: Path, first: Camera, fps: float, background: np.ndarray
) -> Iterator[Callable[[str, Camera], None]]:
    """Yields a function that renders a view and writes it, given its name and its camera."""
    {"png": lambda: None, "exr": exr.openexr, "mp4": film.pyav}[format]()
    _make_folder(target if format != "mp4" else target.parent)
    with _writable(target), contextlib.ExitStack() as stack:
        if format == "mp4":
            append = stack.enter_context(film.film_writer(target, first.width, first.height, fps))

        def write(name: str, camera: Camera) -> None:
            if format == "exr":
                exr.write_exr(target / f"{name}.exr", *model.layers(camera))
                return
            image, _ = model.render(camera, background)
            if format == "mp4":
                append(image)
            else:
                png.write_png(target / f"{name}.png", image)

        yield write


def _refuse_foreign(file: Path) -> None:
    if not _IS_OURS[file.suffix](file):
        raise UserError(f"{file} was not rendered by Reconstruct.", "Choose another --out, or move the file away.", "foreign")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made: {error.strerror}.", "Choose another --out.") from None


@contextlib.contextmanager
def _writable(target: Path) -> Iterator[None]:
    """Names the path that the user chose, where Python would name a temporary file."""
    try:
        yield
    except PermissionError:
        raise UserError(f"{target} may not be written.", "Choose another --out, or check its permissions.") from None
