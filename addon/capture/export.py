# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole capture: every view rendered into a folder, the seed cloud, and transforms.json at the very end."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ...engine.cameras import Camera
from ...engine.contract import capture as contract
from ...engine.contract.errors import UserError
from ...engine.contract.settings import CaptureSettings
from ...engine.formats.points import write_points
from ...engine.formats.transforms import TRANSFORMS, write_transforms
from . import cameras, passes
from .seed_points import SeedPoints

IMAGES, DEPTH, ALBEDO, POINTS = "images", "depth", "albedo", "points.ply"
# Lies in the folder while a capture is being made, and so tells a broken-off one from somebody's pictures; also in one to be replaced.
UNFINISHED = "unfinished"


def export_capture(
    scene: bpy.types.Scene,
    folder: Path,
    settings: CaptureSettings,
    *,
    progress: Callable[[int, int], None] = lambda step, steps: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Renders the views of a scene into a capture folder. The scene is left as it is.

    Args:
        scene: what is captured, at its current frame.
        folder: receives ``images/``, ``depth/``, ``albedo/``, ``points.ply`` and, last, ``transforms.json``. A capture that was broken off
            is replaced.
        settings: which views, and how.
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
            _make_room(folder)
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
    finally:
        # A capture that was to be replaced, and was not, is whole.
        with contextlib.suppress(OSError):
            if (folder / TRANSFORMS).exists():
                (folder / UNFINISHED).unlink(missing_ok=True)
    return folder


def unwritable(folder: Path, error: OSError) -> UserError:
    """What is said where a capture's folder cannot be written."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return UserError(f"The disk is full: {folder} could not be written.", "Free some space, then capture again.", "disk_full")
    return UserError(f"The folder {folder} cannot be written: {error.strerror or error}.", "Choose another folder.")


def _make_room(folder: Path) -> None:
    """Makes the folder ready, or refuses it: what is in it may be somebody's pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    own = [folder / name for name in (IMAGES, DEPTH, ALBEDO, POINTS)]
    if (folder / UNFINISHED).exists():
        (folder / TRANSFORMS).unlink(missing_ok=True)
        for path in own:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    elif (folder / TRANSFORMS).exists():
        raise UserError(f"{folder} already holds a capture.", "Choose another folder, or delete it first.", "exists")
    taken = next((path for path in own if path.exists()), None)
    if taken is not None:
        raise UserError(f"{folder} already holds {taken.name}, and not from an unfinished capture.", "Choose an empty folder.", "exists")
    (folder / UNFINISHED).write_text("A capture is being made here, or was broken off.\n", encoding="utf-8")
    for name in (IMAGES, DEPTH, ALBEDO):
        (folder / name).mkdir()


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
