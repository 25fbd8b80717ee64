# SPDX-License-Identifier: GPL-3.0-or-later
"""A complete capture: every view rendered into a folder, the seed cloud, and transforms.json at the very end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ....engine.cameras import Camera
from ....engine.contract import capture as contract
from ....engine.contract.result import replacing
from ....engine.contract.schema import to_mapping
from ....engine.contract.settings import CaptureSettings
from ....engine.formats.points import write_points
from ....engine.formats.transforms import write_transforms
from ...core.journal import ALBEDO, DEPTH, IMAGES, POINTS, Journal, open_journal, unwritable
from ...core.seed_points import SeedPoints
from ..pixels import read_pixels
from . import passes, views
from .fingerprint import fingerprint

# Settings that change no view.
_NOT_IN_VIEWS = {"out", "overwrite", "seed_points"}
# Receives the kind of an event, note or warning, and a sentence for the user.
Report = Callable[[str, str], None]


def export_capture(
    scene: bpy.types.Scene,
    folder: Path,
    settings: CaptureSettings,
    *,
    replace: bool = False,
    progress: Callable[[int, int], None] = lambda step, steps: None,
    cancelled: Callable[[], bool] = lambda: False,
    report: Report = lambda kind, message: None,
) -> Path:
    """Renders the views of a scene into a capture folder. The scene is left as it is.

    Args:
        scene: what is captured, at its current frame.
        folder: receives ``images/``, ``depth/``, ``albedo/``, ``points.ply`` and, last, ``transforms.json``. A capture that was
            interrupted is continued if it is of the same scene and settings, else it is replaced.
        settings: which views, and how.
        replace: also replace a complete capture that this add-on made. Files of others stay.
        progress: called with the number of finished views and of all, before each view that is rendered and at the end.
        cancelled: asked before each view; once it says so, the unfinished folder is left without ``transforms.json``.
        report: called with what the user should know.

    Returns:
        The folder.

    Raises:
        UserError: no camera, nothing to render, a camera that cannot be captured, a folder that holds something else or cannot be
            written, a full disk.
    """
    try:
        with views.planned(scene, settings) as plan, passes.studio(scene, settings, plan.subject, plan.background) as studio:
            cameras = [studio.aim(view.pose, view.lens) for view in plan.views]
            files = [_files_of(view.name) for view in plan.views]
            key = _key(scene, settings, plan, cameras)
            journal = open_journal(folder, key, [POINTS, *(name for three in files for name in three)], replace)
            done = sum(journal.complete.issuperset(three) for three in files)
            progress(done, len(files))
            if notes := [*_notes(scene, journal, done), *plan.notes]:
                report("note", " ".join(notes))
            if message := _use_clean_samples(studio, plan, journal):
                report("warning", message)
            writer = _Views(folder, settings, studio, journal, files)
            if not writer.render(plan.views, cameras, done, progress, cancelled):
                return folder
            points = writer.seeds.result()
            if len(points[0]):
                journal.begin([POINTS])
                write_points(folder / POINTS, *points)
            write_transforms(
                folder,
                writer.frames,
                source="blender",
                scale="metric",
                ply_file_path=POINTS if len(points[0]) else None,
                extra=_record(scene, settings, studio.samples, plan.background),
            )
        journal.finish()
    except OSError as error:
        raise unwritable(folder, error) from None
    return folder


class _Views:
    """The views of a capture as they are written: their frames, and the seed points that they show."""

    def __init__(self, folder: Path, settings: CaptureSettings, studio: passes.Studio, journal: Journal, files: list[tuple[str, str, str]]):
        self._folder, self._settings, self._studio, self._journal, self._files = folder, settings, studio, journal, files
        self.frames: list[contract.Frame] = []
        self.seeds = SeedPoints(settings.seed_points, len(files), settings.seed)

    def render(
        self,
        planned: Sequence[views.View],
        cameras: Sequence[Camera],
        done: int,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> bool:
        """Renders the views that are not complete yet; False once it was cancelled. ``done`` counts those that are."""
        for index, (view, camera, names) in enumerate(zip(planned, cameras, self._files, strict=True)):
            image, depth_file, albedo = (self._folder / name for name in names)
            if self._journal.complete.issuperset(names):
                depth = np.load(depth_file, allow_pickle=False)
            else:
                if cancelled():
                    return False
                depth = self._render_view(index, view, names)
                done += 1
                progress(done, len(self._files))
            if self._settings.seed_points:
                self.seeds.add(camera, np.round(read_pixels(image) * 255).astype(np.uint8), depth)
            self.frames.append(frame_of(view.name, image, camera, depth_file, albedo))
        return True

    def _render_view(self, index: int, view: views.View, names: tuple[str, str, str]) -> np.ndarray:
        """Writes the files of one view and gives its depth."""
        image, depth_file, albedo = (self._folder / name for name in names)
        self._journal.begin(names)
        _, depth = self._studio.shoot(view.pose, view.lens, (self._settings.seed * 100_003 + index) & 0x7FFFFFFF, image, albedo)
        with replacing(depth_file) as part, open(part, "wb") as stream:
            np.save(stream, depth, allow_pickle=False)
        self._journal.end(names)
        return depth


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


def _files_of(view: str) -> tuple[str, str, str]:
    """The files of a view, relative to the capture's folder."""
    return f"{IMAGES}/{view}.png", f"{DEPTH}/{view}.npy", f"{ALBEDO}/{view}.png"


def _key(scene: bpy.types.Scene, settings: CaptureSettings, plan: views.Plan, cameras: list[Camera]) -> dict[str, Any]:
    """What the files of views depend on, as JSON values."""
    return {
        "settings": {name: value for name, value in to_mapping(settings).items() if name not in _NOT_IN_VIEWS},
        "scene": _digest(scene),
        "views": [[view.name, *views.describe(camera)] for view, camera in zip(plan.views, cameras, strict=True)],
        "subject": sorted(thing.name_full for thing in plan.subject or ()),
        "background": plan.background,
        "blender": bpy.app.version_string,
    }


def _digest(scene: bpy.types.Scene) -> str:
    try:
        return fingerprint(scene)
    except Exception:
        # Add-ons may put anything into a file. A digest that never comes again makes the next try start over.
        return secrets.token_hex()


def _notes(scene: bpy.types.Scene, journal: Journal, done: int) -> list[str]:
    """What differs from what the user may expect."""
    notes = []
    if done:
        notes.append(f"{done} views of the interrupted capture are kept.")
    if journal.discarded:
        notes.append("The interrupted capture in this folder was of other settings or another scene, so it starts over.")
    if scene.render.engine != "CYCLES":
        engine = "EEVEE" if "EEVEE" in scene.render.engine else scene.render.engine.removeprefix("BLENDER_").capitalize()
        notes.append(f"The scene is set to {engine}; views are rendered by Cycles, and may look different.")
    if (view := scene.view_settings).view_transform != "Standard" or view.look != "None":
        look = "" if view.look == "None" else f" with the look {view.look}"
        notes.append(f"Views are captured in the view transform Standard, without the contrast of the scene's {view.view_transform}{look}.")
    return notes


def _use_clean_samples(studio: passes.Studio, plan: views.Plan, journal: Journal) -> str:
    """Raises the samples where Blender cannot denoise, as far as the interrupted try did, and says so."""
    if "samples" in journal.kept:
        studio.samples = journal.kept["samples"]
        return journal.kept["message"]
    message = studio.use_clean_samples(plan.views)
    journal.keep({"samples": studio.samples, "message": message})
    return message


def _record(scene: bpy.types.Scene, settings: CaptureSettings, samples: int, background: bool) -> dict[str, Any]:
    """How the views came about, and what the scene itself would have looked like."""
    view = scene.view_settings
    return {
        "color_management": {
            "display_device": "sRGB",
            "view_transform": "Standard",
            "look": "None",
            "exposure": settings.exposure,
            "gamma": 1.0,
            "dither": 0.0,
        },
        "scene_color_management": {
            "display_device": scene.display_settings.display_device,
            "view_transform": view.view_transform,
            "look": view.look,
            "exposure": view.exposure,
            "gamma": view.gamma,
        },
        "renderer": {"name": "Cycles", "samples": samples, "background": background, "blender": bpy.app.version_string},
    }
