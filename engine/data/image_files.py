# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading photos, masks, depth and normals as arrays, whatever state the files are in. Captures and voxels share it."""

from __future__ import annotations

import math
import os
import struct
import warnings
from pathlib import Path
from tokenize import TokenError

import numpy as np
import psutil
from PIL import Image, ImageOps

from ..contract.errors import UserError
from ..formats.image_sizes import same_shape

MAX_MEGAPIXELS = "RECONSTRUCT_MAX_MEGAPIXELS"
# For files of captures.
DAMAGED_HINT = "Save it again, or take it out of the capture's folder: the rest trains without it."
# What Pillow raises on damaged files of one kind or another.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, TypeError, IndexError, KeyError, OverflowError, AttributeError, struct.error)
# Without these, Pillow would also try what runs other programs (EPS: Ghostscript).
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "TGA", "JPEG2000")
# Cameras make up to 200 megapixels. Photos have below 20 pixels a byte; flat colors of a small file may have hundreds.
_LARGEST, _SMALL, _DENSEST = 256e6, 64e6, 64
# What decoding takes at its peak: Pillow's own image, its bytes, and the array.
_BYTES_PER_PIXEL = 12
# _open checks sizes, by more than Pillow knows of.
Image.MAX_IMAGE_PIXELS = None


def read_picture(file: Path, width: int, height: int) -> np.ndarray:
    """Reads a photo of a capture as it is displayed.

    Args:
        file: an image.
        width, height: what the camera says; the image may have another size of the same shape. A camera solver works on pixels as they
            are stored, so the EXIF orientation is only followed if the stored shape does not fit the camera and the turned one does.

    Returns:
        uint8 sRGB [H, W, 3], or [H, W, 4] with straight alpha.

    Raises:
        UserError: the file is missing, damaged, too large, or has another shape than the camera.
    """
    return np.array(_displayed(_fitted(_open(file), file, width, height), file))


def read_upright(file: Path) -> Image.Image:
    """Reads an image by itself, turned as its EXIF orientation says, in mode RGB or RGBA.

    Raises:
        UserError: the file is missing, damaged, or too large.
    """
    return _displayed(_loaded(_open(file), file, turned=True), file)


def is_transparent(file: Path) -> bool:
    """Whether an image has a pixel that is not opaque; False if it cannot be read. Files without alpha are not decoded."""
    try:
        image = _open(file)
        return _has_alpha(image) and _displayed(_loaded(image, file, turned=False), file).getextrema()[3][0] < 255
    except UserError:
        return False


def read_mask(file: Path, width: int, height: int) -> np.ndarray:
    """Reads a mask as uint8 [H, W]; 0 is left out of training. Arguments and errors as in :func:`read_picture`."""
    image = _fitted(_open(file), file, width, height)
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N", "F"):
        return (np.asarray(image) > 0).astype(np.uint8) * 255
    return np.array(image.convert("L"))


def read_depth(file: Path) -> np.ndarray:
    """Reads planar depth as float32 [H, W]; 0 where there is none.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    depth = _read_numbers(file, 2, "depth")
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def read_normals(file: Path) -> np.ndarray:
    """Reads normals in the world as float32 [3, H, W], unit; 0 where there is none.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    normals = _read_numbers(file, 3, "normals").transpose(2, 0, 1)
    if len(normals) != 3:
        raise UserError(f"{file} is not a picture of normals, three numbers a pixel.", DAMAGED_HINT)
    return unit_normals(normals)


def unit_normals(normals: np.ndarray) -> np.ndarray:
    """Vectors [3, H, W] at length 1, or 0 where they have no direction."""
    with np.errstate(invalid="ignore", over="ignore"):
        length = np.sqrt((normals * normals).sum(axis=0))
        known = np.isfinite(length) & (length > 1e-3)
        return np.where(known, np.ascontiguousarray(normals) / np.where(known, length, 1), np.float32(0))


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _read_numbers(file: Path, dimensions: int, what: str) -> np.ndarray:
    """A .npy of floating-point numbers as float32."""
    try:
        # Mapped first: a header that promises more than the file holds is found out before memory is taken.
        mapped = np.lib.format.open_memmap(file, mode="r")
        if mapped.ndim != dimensions or mapped.dtype.kind != "f":
            raise UserError(f"{file} is not a picture of {what} in floating-point numbers.", DAMAGED_HINT)
        return np.array(mapped, dtype=np.float32)
    except (*_DAMAGED, TokenError, MemoryError, RecursionError):  # its header is parsed as Python literals
        raise UserError(f"{file} cannot be read as {what}.", DAMAGED_HINT) from None


def _open(file: Path) -> Image.Image:
    """An image whose size is known and bearable; its pixels are not read yet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that is not used
            image = Image.open(file, formats=_FORMATS)
    except FileNotFoundError:
        raise UserError(f"There is no image {file}.") from None
    except _DAMAGED:
        raise _unreadable(file) from None
    _check_size(file, *image.size)
    return image


def _check_size(file: Path, width: int, height: int) -> None:
    """Refuses an image that claims more pixels than its file, the machine, or a capture can have."""
    pixels = width * height
    size, memory = file.stat().st_size, psutil.virtual_memory().available
    limits = [
        (max(_SMALL, _DENSEST * size), f"as its file has only {size:,} bytes"),
        (memory / _BYTES_PER_PIXEL, f"as {memory / 1e9:.1f} GB of memory are free"),
        (_LARGEST, "as no camera makes more"),
    ]
    if setting := os.environ.get(MAX_MEGAPIXELS):
        try:
            limits = [(float(setting) * 1e6, f"as {MAX_MEGAPIXELS} says")]
        except ValueError:
            raise UserError(f"The environment variable {MAX_MEGAPIXELS} is {setting!r}.", "Give a number of megapixels.") from None
    limit, reason = min(limits)
    if not pixels <= limit:
        raise UserError(
            f"{file} is too large: its header says {width} × {height} pixels; at most {limit / 1e6:,.0f} megapixels are read, {reason}.",
            f"Scale it down, or set the environment variable {MAX_MEGAPIXELS} to {math.ceil(pixels / 1e6)}.",
        )


def _loaded(image: Image.Image, file: Path, turned: bool) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if turned:
                image = ImageOps.exif_transpose(image)
            image.load()
    except MemoryError:
        raise UserError(f"{file} does not fit in memory.", "Scale it down.", "out_of_memory") from None
    except _DAMAGED:
        raise _unreadable(file) from None
    return image


def _fitted(image: Image.Image, file: Path, width: int, height: int) -> Image.Image:
    """The pixels of an image in the shape that its camera has."""
    try:
        sideways = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except _DAMAGED:
        sideways = False
    fits = same_shape(image.size, width, height)
    if not fits and not (sideways and same_shape(image.size[::-1], width, height)):
        raise UserError(
            f"{file} is {image.size[0]} × {image.size[1]} pixels, but its camera is for {width} × {height}.",
            "Put back the image that the cameras were made for.",
        )
    return _loaded(image, file, turned=not fits)


def _displayed(image: Image.Image, file: Path) -> Image.Image:
    """An image in 8-bit RGB, or RGBA if it has transparency."""
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N"):
        levels = np.asarray(image).astype(np.int64)
        image = Image.fromarray(np.clip(np.round(levels / 257), 0, 255).astype(np.uint8))
    if image.mode == "F":
        raise UserError(f"{file} holds numbers instead of display colors.", "Save it as an 8-bit PNG.")
    mode = "RGBA" if _has_alpha(image) else "RGB"
    try:
        return image if image.mode == mode else image.convert(mode)
    except _DAMAGED:
        raise _unreadable(file) from None


def _unreadable(file: Path) -> UserError:
    return UserError(f"{file} cannot be read as an image: it is damaged, cut short, or of another kind.", DAMAGED_HINT)
