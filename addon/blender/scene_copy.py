# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of the open file that a background Blender captures, with its job file, in a private folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import bpy

from ...engine.contract.errors import UserError
from ...engine.contract.job import write_toml
from ...engine.contract.schema import to_mapping
from ...engine.contract.settings import CaptureSettings
from ..core import private_folders
from ..core.journal import unwritable

JOB_FILE = "job.toml"
SCENE_COPY = "scene.blend"


def copy_scene(scene: bpy.types.Scene, out: Path, settings: CaptureSettings, replace: bool) -> Path:
    """Saves the open file and a job that captures one of its scenes into a new private folder.

    Args:
        scene: the scene to capture.
        out: receives the capture.
        settings: what is captured.
        replace: whether the job replaces a capture that is there.

    Returns:
        The job file. Its folder is removed with ``private_folders.remove``.

    Raises:
        UserError: the copy cannot be saved.
    """
    stage = {**to_mapping(dataclasses.replace(settings, out=str(out))), "overwrite": replace}
    text = write_toml({"scene": SCENE_COPY, "scene_name": scene.name, "capture": stage})
    try:
        folder = private_folders.new_folder()
    except OSError as error:
        raise unwritable(private_folders.base(), error) from None
    try:
        (folder / JOB_FILE).write_text(text, encoding="utf-8")
        bpy.ops.wm.save_as_mainfile(filepath=str(folder / SCENE_COPY), copy=True, check_existing=False)
    except (OSError, RuntimeError) as error:
        private_folders.remove(folder)
        if isinstance(error, OSError):
            raise unwritable(folder, error) from None
        message = f"A copy of the scene cannot be saved to {folder}: {str(error).strip()}"
        raise UserError(message, "Check the free disk space.") from None
    return folder / JOB_FILE


def missing_in_copy() -> str:
    """What the copy lacks, in a sentence for the user; empty where it lacks nothing."""
    images = [image.name for image in bpy.data.images if image.is_dirty and image.users and image.source in ("FILE", "GENERATED", "TILED")]
    caches = sorted(set(_disk_caches()))
    sentences = []
    if images:
        sentences.append(f"Unsaved changes to {_listed(images)} are not captured. Use Image > Save All Images, then capture again.")
    if caches:
        sentences.append(f"Disk caches of {_listed(caches)} are not captured. Bake into the file or use an external cache.")
    return " ".join(sentences)


def _disk_caches() -> Iterator[str]:
    """Names of the objects and scenes whose simulations are read from a folder that is named after the .blend file, or is relative to it
    in a way that Blender does not adapt in copies.
    """
    for item in bpy.data.objects:
        caches = [getattr(modifier, "point_cache", None) for modifier in item.modifiers]
        caches += [system.point_cache for system in item.particle_systems]
        surfaces = [modifier.canvas_settings.canvas_surfaces for modifier in item.modifiers if getattr(modifier, "canvas_settings", None)]
        caches += [surface.point_cache for group in surfaces for surface in group]
        nodes = [modifier for modifier in item.modifiers if modifier.type == "NODES" and modifier.bakes]
        if any(map(_on_disk, caches)) or any(map(_bakes_to_disk, nodes)):
            yield item.name
    for scene in bpy.data.scenes:
        if scene.rigidbody_world is not None and _on_disk(scene.rigidbody_world.point_cache):
            yield scene.name


def _on_disk(cache: bpy.types.PointCache | None) -> bool:
    return cache is not None and cache.use_disk_cache and not cache.use_external


def _bakes_to_disk(modifier: bpy.types.Modifier) -> bool:
    targets = {modifier.bake_target if bake.bake_target == "INHERIT" else bake.bake_target for bake in modifier.bakes}
    return "DISK" in targets


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
