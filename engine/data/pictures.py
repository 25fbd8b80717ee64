# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading picture, mask and depth files as arrays, whatever state they are in."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from tokenize import TokenError

import numpy as np
from PIL import Image, ImageOps

from ..contract.errors import UserError

_HINT = "Save it again, or take it out of the capture."
# What Pillow raises on damaged files of one kind or another.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, TypeError, IndexError, KeyError, OverflowError, AttributeError, struct.error)


def read_picture(file: Path, width: int, height: int) -> np.ndarray:
    """Reads a picture as it is displayed.

    Args:
        file: anything that Pillow reads.
        width, height: what the camera says; the picture may have another size of the same shape. A camera solver works on pixels as they
            are stored, so the EXIF orientation is only followed where the stored shape does not fit the camera and the turned one does.

    Returns:
        uint8 sRGB [H, W, 3], or [H, W, 4] with straight alpha.

    Raises:
        UserError: the file is missing, damaged, too large, or has another shape than the camera.
    """
    image = _open(file, width, height)
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        levels = np.asarray(image).astype(np.int64)
        gray = np.clip(np.round(levels / 257), 0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode == "F":
        raise UserError(f"{file} holds numbers instead of display colours.", "Save it as an 8-bit PNG.")
    transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    try:
        return np.array(image.convert("RGBA" if transparent else "RGB"))
    except _DAMAGED:
        raise UserError(f"{file} cannot be read as a picture.", _HINT) from None


def read_mask(file: Path, width: int, height: int) -> np.ndarray:
    """Reads a mask as uint8 [H, W]; 0 is left out of training. Arguments and errors as in :func:`read_picture`."""
    image = _open(file, width, height)
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
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
        raise UserError(f"{file} is not a picture of normals, three numbers a pixel.", _HINT)
    return unit_normals(normals)


def unit_normals(normals: np.ndarray) -> np.ndarray:
    """Vectors [3, H, W] at length 1, or 0 where they have no direction."""
    with np.errstate(invalid="ignore", over="ignore"):
        length = np.sqrt((normals * normals).sum(axis=0))
        known = np.isfinite(length) & (length > 1e-3)
        return np.where(known, np.ascontiguousarray(normals) / np.where(known, length, 1), np.float32(0))


def same_shape(size: tuple[int, int], width: int, height: int) -> bool:
    """Whether a picture's size (width, height) has the proportions of another, within a pixel."""
    return abs(size[0] * height / width - size[1]) <= 1 or abs(size[1] * width / height - size[0]) <= 1


def _read_numbers(file: Path, dimensions: int, what: str) -> np.ndarray:
    """A .npy of floating-point numbers as float32."""
    try:
        # Mapped first: a header that promises more than the file holds is found out before memory is taken.
        mapped = np.lib.format.open_memmap(file, mode="r")
        if mapped.ndim != dimensions or mapped.dtype.kind != "f":
            raise UserError(f"{file} is not a picture of {what} in floating-point numbers.", _HINT)
        return np.array(mapped, dtype=np.float32)
    except (*_DAMAGED, TokenError, MemoryError, RecursionError):  # its header is parsed as Python literals
        raise UserError(f"{file} cannot be read as {what}.", _HINT) from None


def _open(file: Path, width: int, height: int) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns of large photos long before it refuses them.
            warnings.simplefilter("ignore")
            image = Image.open(file)
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            if not same_shape(image.size, width, height):
                if not (turned and same_shape(image.size[::-1], width, height)):
                    raise UserError(
                        f"{file} is {image.size[0]} × {image.size[1]} pixels, but its camera is for {width} × {height}.",
                        "Put back the picture that the cameras were made for.",
                    )
                image = ImageOps.exif_transpose(image)
            image.load()
    except FileNotFoundError:
        raise UserError(f"There is no picture {file}.") from None
    except Image.DecompressionBombError:
        raise UserError(f"{file} is too large.", "Scale it down.") from None
    except _DAMAGED:
        raise UserError(f"{file} cannot be read as a picture.", _HINT) from None
    return image
