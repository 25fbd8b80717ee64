# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole capture: every view rendered into a folder, the seed cloud, and transforms.json at the very end."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ...engine.cameras import Camera
from ...engine.contract import capture as contract
from ...engine.contract.errors import UserError
from ...engine.contract.result import replacing
from ...engine.contract.settings import CaptureSettings
from ...engine.formats.points import write_points
from ...engine.formats.transforms import TRANSFORMS, write_transforms
from . import cameras, passes
from .seed_points import SeedPoints

IMAGES, DEPTH, ALBEDO, POINTS = "images", "depth", "albedo", "points.ply"
# Lies in the folder while a capture is being made, and lists its files, so that a later capture removes those and no others. A folder
# that also holds transforms.json is complete.
UNFINISHED = "unfinished"
_HEADER = "A capture is being made here, or was interrupted. Its files:"
# Version 0.1 listed no files.
_OLD_HEADERS = ("", "A capture is being made here, or was broken off.")


def export_capture(
    scene: bpy.types.Scene,
    folder: Path,
    settings: CaptureSettings,
    *,
    replace: bool = False,
    progress: Callable[[int, int], None] = lambda step, steps: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Renders the views of a scene into a capture folder. The scene is left as it is.

    Args:
        scene: what is captured, at its current frame.
        folder: receives ``images/``, ``depth/``, ``albedo/``, ``points.ply`` and, last, ``transforms.json``. A capture that was
            interrupted is replaced.
        settings: which views, and how.
        replace: also replace a complete capture that this add-on made. Files of others stay.
        progress: called with the number of finished views and of all.
        cancelled: asked before each view; once it says so, the unfinished folder is left without ``transforms.json``.

    Returns:
        The folder.

    Raises:
        UserError: no camera, nothing to render, a camera that cannot be captured, a folder that holds something else or cannot be
            written, a full disk.
    """
    try:
        with cameras.stands(scene, settings) as stands, passes.studio(scene, settings) as studio:
            prepare_folder(folder, [_view_files(stand.name) for stand in stands], replace)
            frames, seeds = [], SeedPoints(settings.seed_points, len(stands), settings.seed)
            for index, stand in enumerate(stands):
                progress(index, len(stands))
                if cancelled():
                    return folder
                picture, depth_file = folder / IMAGES / f"{stand.name}.png", folder / DEPTH / f"{stand.name}.npy"
                albedo = folder / ALBEDO / f"{stand.name}.png"
                camera, depth = studio.shoot(stand.pose, stand.lens, (settings.seed * 100_003 + index) & 0x7FFFFFFF, picture, albedo)
                np.save(depth_file, depth, allow_pickle=False)
                if settings.seed_points:
                    seeds.add(camera, np.round(passes.read_pixels(picture) * 255).astype(np.uint8), depth)
                frames.append(frame_of(stand.name, picture, camera, depth_file, albedo))
        points = seeds.result()
        if len(points[0]):
            write_points(folder / POINTS, *points)
        write_transforms(
            folder,
            frames,
            source="blender",
            scale="metric",
            ply_file_path=POINTS if len(points[0]) else None,
            extra=_record(settings),
        )
        (folder / UNFINISHED).unlink()
        progress(len(stands), len(stands))
    except OSError as error:
        raise unwritable(folder, error) from None
    return folder


def unwritable(folder: Path, error: OSError) -> UserError:
    """What is said where a capture's folder cannot be written."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return UserError(f"The disk is full: {folder} could not be written.", "Free some space, then capture again.", "disk_full")
    return UserError(f"The folder {folder} cannot be written: {error.strerror or error}.", "Choose another folder.")


def made_here(folder: Path) -> bool:
    """Whether a complete capture that this add-on made lies in a folder."""
    try:
        return json.loads((folder / TRANSFORMS).read_text(encoding="utf-8")).get("source") == "blender"
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def prepare_folder(folder: Path, views: Iterable[tuple[str, ...]], replace: bool) -> None:
    """Prepares a folder for a capture: what an earlier one left is removed, files of others stay.

    Args:
        folder: made where it is missing.
        views: the files of each view, relative to the folder.
        replace: whether a complete capture of ours is removed as well.

    Raises:
        UserError: the folder holds a capture that is not to be replaced, or a file of somebody else under a name that is needed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    complete = (folder / TRANSFORMS).exists()
    if complete and not (replace and made_here(folder)):
        raise UserError(f"{folder} already holds a capture.", "Choose another folder, or delete it first.", "exists")
    old = _files_of_capture(folder) if complete else _files_of_unfinished(folder)
    new = {POINTS, *(file for view in views for file in view)}
    taken = next((file for file in (UNFINISHED, *sorted(new)) if file not in old and (folder / file).exists()), None)
    if taken is None and not old:
        # Pictures of somebody, such as a capture by another program: none of ours are put among them.
        taken = next((name for name in (IMAGES, DEPTH, ALBEDO) if (folder / name).exists()), None)
    if taken is not None:
        raise UserError(f"{folder} already holds {taken}, and not from an unfinished capture.", "Choose an empty folder.", "exists")
    # First the list: whenever this is interrupted, a second try knows what is ours.
    with replacing(folder / UNFINISHED) as temporary:
        temporary.write_text("\n".join([_HEADER, *sorted((old | new) - {UNFINISHED}), ""]), encoding="utf-8")
    (folder / TRANSFORMS).unlink(missing_ok=True)
    for file in old - {UNFINISHED}:
        (folder / file).unlink(missing_ok=True)
    for name in (IMAGES, DEPTH, ALBEDO):
        (folder / name).mkdir(exist_ok=True)


def _view_files(name: str) -> tuple[str, ...]:
    """The files of a view, relative to the capture's folder."""
    return f"{IMAGES}/{name}.png", f"{DEPTH}/{name}.npy", f"{ALBEDO}/{name}.png"


def _files_of_capture(folder: Path) -> set[str]:
    """What a complete capture of ours wrote, with the list of one that was interrupted at its very end."""
    table = json.loads((folder / TRANSFORMS).read_text(encoding="utf-8"))
    named = {table.get("ply_file_path")}
    for frame in table.get("frames") or []:
        named |= {frame.get(key) for key in ("file_path", "depth_file_path", "albedo_file_path")} if isinstance(frame, dict) else set()
    return _ours(named) | _files_of_unfinished(folder)


def _files_of_unfinished(folder: Path) -> set[str]:
    """What an interrupted capture listed, the list included; empty where there is none."""
    try:
        header, *lines = (folder / UNFINISHED).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return set()
    if header == _HEADER:
        return {UNFINISHED} | _ours(lines)
    return {UNFINISHED} if header in _OLD_HEADERS else set()


def _ours(names: Iterable[object]) -> set[str]:
    """Those of the names that a capture of ours can have written: nothing outside its folders is ever removed."""
    pattern = rf"{POINTS}|({IMAGES}|{DEPTH}|{ALBEDO})/[\w.-]*\w"
    return {name for name in names if isinstance(name, str) and re.fullmatch(pattern, name)}


def frame_of(name: str, picture: Path, camera: Camera, depth: Path | None = None, albedo: Path | None = None) -> contract.Frame:
    """A view as it is written to transforms.json."""
    return contract.Frame(
        name=name,
        image=picture,
        transform_matrix=tuple(tuple(float(value) for value in row) for row in camera.camera_to_world),
        w=camera.width,
        h=camera.height,
        fl_x=camera.fx,
        fl_y=camera.fy,
        cx=camera.cx,
        cy=camera.cy,
        depth=depth,
        albedo=albedo,
    )


def _record(settings: CaptureSettings) -> dict[str, Any]:
    """How the pictures came about, for whoever compares them later."""
    return {
        "color_management": {
            "display_device": "sRGB",
            "view_transform": "Standard",
            "look": "None",
            "exposure": settings.exposure,
            "gamma": 1.0,
            "dither": 0.0,
        },
        "renderer": {"name": "Cycles", "samples": settings.samples, "blender": bpy.app.version_string},
    }
