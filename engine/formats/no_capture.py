# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals of folders and files that are no capture: what they hold instead, and what to do with it."""

from __future__ import annotations

import os
from pathlib import Path

from ..contract.errors import UserError
from .layouts import VIDEO_SUFFIXES, CaptureFiles, is_image, model_folders, shown

# The files by which a capture is known.
_MARKS = ("transforms.json", "transforms_train.json", "poses_bounds.npy", "images.bin", "images.txt")


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
