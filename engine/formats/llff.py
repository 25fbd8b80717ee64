# SPDX-License-Identifier: GPL-3.0-or-later
"""LLFF's poses_bounds.npy (Mildenhall et al. 2019): cameras of photos that face one scene, and how deep each one sees."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from tokenize import TokenError

import numpy as np

from ..cameras import llff_to_pose
from ..contract.capture import Frame, check_frame
from ..contract.errors import UserError
from .pictures import picture_size

POSES = "poses_bounds.npy"
_HINT = "Make it again with LLFF's imgs2poses.py."
_PICTURES = (".png", ".jpg", ".jpeg")
_MAX_SIDE = 1 << 16


def read_llff(folder: Path) -> list[Frame]:
    """Reads the frames of an LLFF scene: a row of poses_bounds.npy for each picture of images/, in the order of their names.

    Where images/ is not there, the largest of images_2, images_4, … is taken; the cameras are for the full size all the same.

    Raises:
        UserError: the file is damaged, has other rows than there are pictures, or holds an impossible camera.
    """
    file = folder / POSES
    rows = _rows(file)
    pictures = _pictures(folder)
    if len(rows) != len(pictures):
        raise UserError(
            f"{file} has {len(rows)} cameras, but {pictures[0].parent if pictures else folder / 'images'} holds {len(pictures)} pictures.",
            "Put the pictures back that it was made for.",
        )
    frames = []
    for picture, row in zip(pictures, rows, strict=True):
        matrix = row[:15].reshape(3, 5)
        height, width, focal = matrix[:, 4]
        near, far = row[15:]
        if not np.isfinite(row).all() or not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
            raise UserError(f"{file}: the camera of {picture.name} is not usable.", _HINT)
        if not 0 < near < far:
            raise UserError(f"{file}: the depths that {picture.name} reaches are {near:g} to {far:g}.", _HINT)
        frame = Frame(
            name=picture.name,
            image=picture,
            transform_matrix=tuple(tuple(map(float, line)) for line in llff_to_pose(matrix[:, :4])),
            w=round(width),
            h=round(height),
            fl_x=float(focal),
            fl_y=float(focal),
            cx=width / 2,
            cy=height / 2,
            near=float(near),
            far=float(far),
        )
        check_frame(frame, file)
        frames.append(_fitted(frame))
    return frames


def _rows(file: Path) -> np.ndarray:
    """[N, 17] float64."""
    try:
        # Mapped first: a header that promises more than the file holds is found out before memory is taken.
        mapped = np.lib.format.open_memmap(file, mode="r")
        if mapped.ndim != 2 or mapped.shape[1] != 17 or mapped.dtype.kind != "f" or not len(mapped):
            raise UserError(f"{file} does not hold 17 numbers for each picture.", _HINT)
        return np.array(mapped, dtype=np.float64)
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.", "Choose the folder of a capture.") from None
    # Its header is parsed as Python literals; an array of objects cannot be mapped, and is not unpickled.
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, OverflowError, AttributeError, struct.error, TokenError, MemoryError,
            RecursionError):  # fmt: skip
        raise UserError(f"{file} cannot be read as numbers.", _HINT) from None


def _pictures(folder: Path) -> list[Path]:
    reduced = sorted((int(path.name[7:]), path) for path in folder.glob("images_*") if path.name[7:].isdecimal() and len(path.name) < 12)
    for place in (folder / "images", *(path for _, path in reduced)):
        if place.is_dir():
            return sorted(path for path in place.iterdir() if path.suffix.lower() in _PICTURES)
    return []


def _fitted(frame: Frame) -> Frame:
    """LLFF rounds the size when it makes pictures smaller: cameras follow the pictures, as nobody can follow both."""
    width, height = picture_size(frame.image)
    if max(width, height) > _MAX_SIDE:
        raise UserError(f"{frame.image} is too large.", "Scale it down.")
    sx, sy = width / frame.w, height / frame.h
    if abs(sx / sy - 1) > 0.02:
        raise UserError(
            f"{frame.image} is {width} × {height} pixels, but its camera is for {frame.w} × {frame.h}.",
            "Put back the picture that the cameras were made for.",
        )
    return replace(frame, w=width, h=height, fl_x=frame.fl_x * sx, fl_y=frame.fl_y * sy, cx=frame.cx * sx, cy=frame.cy * sy)
