# SPDX-License-Identifier: GPL-3.0-or-later
"""LLFF's poses_bounds.npy (Mildenhall et al. 2019): cameras of photos that face one scene, and the depth range of each."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from tokenize import TokenError

import numpy as np

from ..cameras import llff_to_pose
from ..contract.capture import Frame, check_frame
from ..contract.errors import UserError
from .image_sizes import picture_size
from .layouts import image_folders, images_in

POSES = "poses_bounds.npy"
_HINT = "Make it again with LLFF's imgs2poses.py."


def read_llff(folder: Path) -> list[Frame]:
    """Reads the frames of an LLFF scene: a row of poses_bounds.npy for each photo of images/, in the order of their names.

    If images/ is not there, another folder of photos is taken, or the largest of images_2, images_4, …; the cameras are for the full size
    all the same.

    Raises:
        UserError: the file is damaged, has other rows than there are photos, or holds an impossible camera.
    """
    file = folder / POSES
    rows = _rows(file)
    choices = [(place, names) for place in image_folders(folder) if (names := images_in(place))]
    place, names = next((choice for choice in choices if len(choice[1]) == len(rows)), (choices or [(folder / "images", [])])[0])
    if len(rows) != len(names):
        raise UserError(
            f"{file} has {len(rows)} cameras, but {place} holds {len(names)} photos, and cameras belong to photos by their order.",
            "Put exactly the photos there that it was made of.",
        )
    frames = []
    for name, row in zip(names, rows, strict=True):
        matrix = row[:15].reshape(3, 5)
        height, width, focal = matrix[:, 4]
        near, far = row[15:]
        if not np.isfinite(row).all():
            raise UserError(f"{file}: the camera of {name} is not usable.", _HINT)
        if not 0 < near < far:
            said = f"{file}: the nearest and the farthest depth of {name} are {near:g} and {far:g}, but need to be above 0 and to rise."
            raise UserError(said, _HINT)
        frame = Frame(
            name=name,
            image=place / name,
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
            raise UserError(f"{file} does not hold 17 numbers for each photo.", _HINT)
        return np.array(mapped, dtype=np.float64)
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.", "Choose the folder of a capture.") from None
    # Its header is parsed as Python literals; an array of objects cannot be mapped, and is not unpickled.
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, OverflowError, AttributeError, struct.error, TokenError, MemoryError,
            RecursionError):  # fmt: skip
        raise UserError(f"{file} cannot be read as numbers.", _HINT) from None


def _fitted(frame: Frame) -> Frame:
    """LLFF rounds the size when it makes photos smaller: cameras follow the photos."""
    width, height = picture_size(frame.image)
    sx, sy = width / frame.w, height / frame.h
    if abs(sx / sy - 1) > 0.02:
        raise UserError(
            f"{frame.image} is {width} × {height} pixels, but its camera is for {frame.w} × {frame.h}.",
            "Put back the photo that the cameras were made for.",
        )
    return replace(frame, w=width, h=height, fl_x=frame.fl_x * sx, fl_y=frame.fl_y * sy, cx=frame.cx * sx, cy=frame.cy * sy)
