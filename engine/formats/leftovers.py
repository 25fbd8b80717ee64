# SPDX-License-Identifier: GPL-3.0-or-later
"""What else lies in a capture's folder, masks among it, and what a folder holds that is no capture: in sentences."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ..contract.capture import Capture, Frame
from ..contract.errors import UserError
from .layouts import (
    IMAGE_SUFFIXES,
    MASK_FOLDERS,
    POINT_FILES,
    UNNAMED_FOLDERS,
    VIDEO_SUFFIXES,
    CaptureFiles,
    image_folders,
    images_in,
    is_image,
    joined,
    model_folders,
    shown,
)
from .pictures import picture_size, same_shape

# The files by which a capture is known.
_MARKS = ("transforms.json", "transforms_train.json", "poses_bounds.npy", "images.bin", "images.txt")


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


def no_folder(folder: Path) -> UserError:
    if not folder.is_file():
        return UserError(f"There is no folder {folder}.", "Choose the folder of a capture.")
    video = folder.suffix.lower() in VIDEO_SUFFIXES
    if is_image(folder.name) or video:
        return UserError(f"{folder} is a single file without cameras.", _cameras_hint(folder if video else folder.parent, video))
    called = ", in which its cameras have to be called transforms.json" if folder.suffix.lower() == ".json" else ""
    return UserError(f"{folder} is a file, not a capture's folder.", f"Choose {folder.parent}{called}.")


def no_capture(folder: Path) -> UserError:
    """Says what a folder holds instead, and what to do with it."""
    lying = CaptureFiles(folder).below()
    nested = sorted({folder / os.path.dirname(path) for path in lying if os.path.basename(path) in _MARKS})
    if nested:
        what = f"{len(nested)} captures below it" if len(nested) > 1 else "one below it"
        return UserError(
            f"{folder} holds no capture itself, but {what}: {', '.join(shown(str(path)) for path in nested[:3])}.", f"Choose {nested[0]}."
        )
    for above in folder.parents[:3]:
        if any((above / mark).is_file() for mark in _MARKS) or model_folders(above):
            return UserError(f"{folder} has no cameras, but {above}, in which it lies, is a capture.", f"Choose {above}.")
    missing = f"no {', no '.join(_MARKS[:3])} and no COLMAP model"
    photos = sum(is_image(os.path.basename(path)) for path in lying)
    videos = [path for path in lying if path.lower().endswith(VIDEO_SUFFIXES)]
    if photos or videos:
        what = f"{photos} photos" if photos else "a video"
        hint = _cameras_hint(folder if photos else folder / videos[0], not photos)
        return UserError(f"{folder} holds {what}, but no cameras: {missing}.", hint)
    return UserError(f"{folder} is not a capture: it has {missing}.", "Choose the folder that a capture was written to.")


def _cameras_hint(data: Path, video: bool) -> str:
    """How the cameras of photos are found."""
    kind, colmap = ("video", "") if video else ("images", f', or colmap automatic_reconstructor --image_path "{data}" --workspace_path OUT')
    return f'Find them with ns-process-data {kind} --data "{data}" --output-dir OUT (nerfstudio){colmap}; then choose OUT.'


def below(path: Path, folder: Path) -> str:
    """A path for messages: relative to a folder if it lies in it."""
    if path == folder:
        return str(folder)
    return shown(path.relative_to(folder).as_posix()) if path.is_relative_to(folder) else shown(str(path))
