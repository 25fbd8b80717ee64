# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as files: PNG and EXR, one a view, and MP4. Every file is written beside its place and appears there when it is whole."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np

from ..cameras import Camera
from ..contract.errors import UserError
from ..contract.result import replacing
from ..methods import Model
from ..training.scoring import SOFTWARE, is_ours, to_bytes, write_picture

Format = Literal["png", "exr", "mp4"]

# What Blender's own renders hold as depth where nothing is: infinitely far for whoever composites.
NO_DEPTH = np.float32(1e10)
_MOST_HALF = 65504.0
_FILM = "film.mp4"
# Endings that say that a file was meant where a folder is wanted, or another kind of file.
_ENDINGS = {".png", ".exr", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg"}

# Receives a view's name and camera, renders it, and writes it.
Take = Callable[[str, Camera], None]


def choose(out: Path, format: Format | None, overwrite: bool) -> tuple[Format, Path]:
    """What is written, and where to.

    Args:
        out: as the user gave it: a folder, or a file that ends in .mp4.
        format: as the user gave it; None goes by the ending.
        overwrite: whether a film that is there may be replaced.

    Returns:
        The format; and the folder of the pictures, or the film's file.

    Raises:
        UserError: format and ending do not fit, or the film is there already.
    """
    ending = out.suffix.lower()
    if format is None:
        format = "mp4" if ending == ".mp4" else "png"
    if ending in _ENDINGS and not out.is_dir() and (format, ending) != ("mp4", ".mp4"):
        wanted = {"png": "a folder for the pictures", "exr": "a folder for the pictures", "mp4": "a file that ends in .mp4"}[format]
        raise UserError(f"{out} is no place for {format}.", f"Give --out {wanted}.")
    if format != "mp4":
        return format, out
    film = out if ending == ".mp4" and not out.is_dir() else out / _FILM
    if film.exists():
        if not overwrite:
            raise UserError(f"{film} is already there.", "Add --overwrite to replace it, or choose another --out.", "exists")
        # The user named the folder, not this file.
        if film != out:
            _refuse_foreign(film)
    return format, film


def check_names(format: Literal["png", "exr"], folder: Path, names: Iterable[str]) -> None:
    """Refuses to write over images that another program wrote, such as the photos of a capture, whose names these are.

    Raises:
        UserError: there is such an image.
    """
    for name in names:
        if (file := folder / f"{name}.{format}").exists():
            _refuse_foreign(file)


def _refuse_foreign(file: Path) -> None:
    try:
        if file.suffix == ".png":
            ours = is_ours(file)
        elif file.suffix == ".exr":
            ours = _package("OpenEXR", "EXR pictures").File(str(file), header_only=True).header().get("software") == SOFTWARE
        else:
            with _package("av", "Films").open(str(file)) as container:
                ours = container.metadata.get("comment") == SOFTWARE
    except (OSError, RuntimeError, ValueError):
        ours = False
    if not ours:
        raise UserError(f"{file} was not rendered by Reconstruct.", "Choose another --out, or move the file away.", "foreign")


@contextlib.contextmanager
def pictures(model: Model, format: Literal["png", "exr"], folder: Path, background: np.ndarray) -> Iterator[Take]:
    """Writes a picture for each view into a folder, over those of the same names (see :func:`check_names`).

    Args:
        background: [3] sRGB, behind PNGs.

    Raises:
        UserError: the folder cannot be written, or a package is missing.
    """
    if format == "exr":
        _package("OpenEXR", "EXR pictures")
    _make_folder(folder)

    def take(name: str, camera: Camera) -> None:
        if format == "exr":
            write_exr(folder / f"{name}.exr", *model.layers(camera))
        else:
            display, _ = model.render(camera, background)
            write_picture(folder / f"{name}.png", display)

    with _writable(folder):
        yield take


@contextlib.contextmanager
def film(model: Model, file: Path, size: tuple[int, int], fps: float, background: np.ndarray) -> Iterator[Take]:
    """Writes an H.264 film that every player shows. There is none where it breaks off.

    Args:
        model: what is seen.
        file: receives the film.
        size: width and height of all its views, even.
        fps: views in a second.
        background: [3] sRGB codes.

    Raises:
        UserError: the file cannot be written, or PyAV is missing or cannot encode H.264.
    """
    av = _package("av", "Films")
    encoder, options = _h264(av)
    _make_folder(file.parent)
    with _writable(file), replacing(file) as part, av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as container:
        container.metadata["comment"] = SOFTWARE
        stream = container.add_stream(encoder, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if not options:
            stream.bit_rate = max(1_000_000, int(0.2 * size[0] * size[1] * fps))
        # The standard's numbers for BT.709 and its limited range, without which players guess the colours.
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = context.color_range = 1

        def take(name: str, camera: Camera) -> None:
            display, _ = model.render(camera, background)
            picture = av.VideoFrame.from_ndarray(to_bytes(display), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")))

        yield take
        container.mux(stream.encode(None))


def write_exr(file: Path, light: np.ndarray, alpha: np.ndarray, depth: np.ndarray) -> None:
    """Writes an EXR with the channels R, G, B, A (half) and Depth.Z (float); Blender does not read a depth that has no layer's name.

    Args:
        file: receives the picture.
        light: [3, H, W] scene-linear, multiplied by alpha. alpha: [H, W]. depth: [H, W] planar z, 0 = none, which becomes 1e10.

    Raises:
        UserError: the file cannot be written, or the package is missing.
    """
    exr = _package("OpenEXR", "EXR pictures")
    half = np.clip(np.nan_to_num(np.concatenate([light, alpha[None]])), -_MOST_HALF, _MOST_HALF).astype(np.float16)
    channels = {name: np.ascontiguousarray(plane) for name, plane in zip("RGBA", half, strict=True)}
    channels["Depth.Z"] = np.where(depth > 0, depth, NO_DEPTH).astype(np.float32)
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage, "software": SOFTWARE}
    with replacing(file) as part:
        try:
            exr.File(header, channels).write(str(part))
        except ValueError:
            # OpenEXR (3.5) takes no other names.
            raise UserError(f"{file} cannot be written: its name is not UTF-8.", "Choose another --out, or --format png.") from None
        except RuntimeError as error:
            # OpenEXR has no other, and says its reason after the name of our temporary file.
            reason = str(error).rpartition('". ')[2].strip(". ")
            raise UserError(f"{file} could not be written: {reason}.", "Check the free disk space and the permissions.") from None


def _h264(av: ModuleType) -> tuple[str, dict[str, str]]:
    """The H.264 encoder that PyAV has, and options for good quality; none where it only knows a bit rate."""
    for name, options in (("libx264", {"crf": "18"}), ("h264", {})):
        with contextlib.suppress(av.codec.codec.UnknownCodecError):
            return av.Codec(name, "w").name, options
    raise UserError("This PyAV cannot encode H.264.", "Install the package av from the package index, or render PNGs.")


def _package(name: str, purpose: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"{purpose} need the package {name.lower()}, which is not installed.", f"Run: pip install {name.lower()}") from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made: {error.strerror}.", "Choose another --out.") from None


@contextlib.contextmanager
def _writable(place: Path) -> Iterator[None]:
    """Names the place that the user chose, where Python would name a temporary file."""
    try:
        yield
    except PermissionError:
        raise UserError(f"{place} may not be written.", "Choose another --out, or check its permissions.") from None
