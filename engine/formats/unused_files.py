# SPDX-License-Identifier: GPL-3.0-or-later
"""What else lies in a capture's folder: masks are used, and the rest is named in a sentence each."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ..contract.capture import Capture, Frame
from ..contract.errors import UserError
from .image_sizes import picture_size, same_shape
from .layouts import (
    IMAGE_SUFFIXES,
    MASK_FOLDERS,
    POINT_FILES,
    UNNAMED_FOLDERS,
    CaptureFiles,
    image_folders,
    images_in,
    is_image,
    joined,
    shown,
)


def finished(capture: Capture, notes: list[str]) -> Capture:
    """Adds masks that no file names, and sentences about what else lies there unused."""
    images = {str(frame.image) for frame in capture.frames}
    places = {path.rpartition(os.sep)[0] for path in images}
    try:
        common = Path(os.path.commonpath(places))
    except ValueError:  # several drives
        common = capture.folder
    base = os.path.join(capture.folder, "")
    real = {os.path.realpath(place) for place in places}
    real |= {os.path.dirname(os.path.realpath(path)) for path in images if os.path.islink(path)}
    outside = sorted(path for path in real if not os.path.join(path, "").startswith(base))
    if outside:
        notes.append(f"Photos are read from {outside[0]}{' and others' if len(outside) > 1 else ''}, outside {capture.folder}.")
    capture, masks = _with_masks(capture, common)
    return replace(capture, warnings=(*notes, *masks, *_without_camera(capture, images, places, common), *_unused(capture)))


def _with_masks(capture: Capture, common: Path) -> tuple[Capture, list[str]]:
    """Takes masks that are named as their photos are: masks/NAME.png for images/NAME.jpg, as COLMAP and others have them."""
    beside = {capture.folder: None, common if common == capture.folder else common.parent: None}
    folders = [path for place in beside for name in MASK_FOLDERS if (path := place / name).is_dir()]
    if not folders or any(frame.mask for frame in capture.frames):
        return capture, []
    folder, name = folders[0], folders[0].name
    by_name: dict[str, Path] = {}
    for path in CaptureFiles(folder).below():
        if is_image(os.path.basename(path)):
            by_name.setdefault(path.lower(), folder / path)
            by_name.setdefault(os.path.splitext(path.lower())[0], folder / path)
    if not by_name:
        return capture, []
    frames = []
    for frame in capture.frames:
        view = frame.name.lower()
        # COLMAP's is called NAME.jpg.png.
        mask = by_name.get(view) or by_name.get(os.path.splitext(view)[0])
        frames.append(replace(frame, mask=mask) if mask and _fits(mask, frame) else frame)
    count = sum(frame.mask is not None for frame in frames)
    if not count:
        return capture, [f"{name}/ is not used: none of its files has the name and the shape of a photo."]
    note = f"{count} of {len(frames)} photos have a mask in {name}/; what is black there is left out of training."
    return replace(capture, frames=tuple(frames)), [note]


def _fits(mask: Path, frame: Frame) -> bool:
    try:
        return same_shape(picture_size(mask), frame.w, frame.h)
    except UserError:
        return False


def _without_camera(capture: Capture, images: set[str], places: set[str], common: Path) -> list[str]:
    """A sentence about photos without a camera, if there are any.

    Args:
        images: the paths of all that have one. places: the folders they are in. common: the folder above these.
    """
    others = {str(path) for frame in capture.frames for path in (frame.mask, frame.albedo) if path}
    lying = set()
    # Cameras of one rig have a folder each below the photos' own.
    for top in map(str, image_folders(capture.folder)):
        if within := {place for place in places if place == top or place.startswith(top + os.sep)}:
            lying |= {joined(top, path) for path in CaptureFiles(Path(top)).below() if path.lower().endswith(IMAGE_SUFFIXES)}
            places = places - within
    lying |= {joined(place, name) for place in places for name in images_in(place)}
    lying -= others
    if lying <= images:
        return []
    where = below(common, capture.folder)
    return [f"{len(lying & images)} of {len(lying)} photos in {where} have a camera; the others are not used."]


def _unused(capture: Capture) -> list[str]:
    """Sentences about depth, points and other files that lie in a capture and are not used."""
    notes, folder = [], capture.folder
    for name, key in zip(UNNAMED_FOLDERS, ("depth", "depth", "normals", "normals", "albedo"), strict=True):
        if not any(getattr(frame, key) for frame in capture.frames) and CaptureFiles(folder / name).below():
            notes.append(f"{name}/ is not used: no frame names its files.")
    beside = [folder, *([capture.points.parent] if capture.points else [])]
    clouds = sorted({path for place in beside for path in place.glob("*.[pP][lL][yY]")} - {capture.points})
    if clouds:
        start = f"training starts from {below(capture.points, folder)}" if capture.points else f"its points are if it is {POINT_FILES[0]}"
        notes.append(f"{below(clouds[0], folder)}{' and others are' if len(clouds) > 1 else ' is'} not used; {start}.")
    return notes


def below(path: Path, folder: Path) -> str:
    """A path for messages: relative to a folder if it lies in it."""
    if path == folder:
        return str(folder)
    return shown(path.relative_to(folder).as_posix()) if path.is_relative_to(folder) else shown(str(path))
