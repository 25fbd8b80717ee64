# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as assets: they stand in the asset browser's catalogue "Reconstruct", and are dragged into rooms of other files."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import bpy
import mathutils
import numpy as np

from ...engine.contract.errors import UserError
from ..compat import has_cycles, set_picture_format, use_cycles
from ..console import quiet
from .edits import applied_transform
from .looks import look_modifier, looks_of
from .measuring import extent_of, has_known_scale, size_of
from .parts import PART, POINTS, PROXY, values_of
from .splats import raise_transparent_bounces
from .tagging import kind_of, tagged, update_tag

CATALOGUE = "2f7f1c4e-6c0e-4d0b-9a35-7f5d0c1b8e52"
_FILE = "blender_assets.cats.txt"
_NAME = "Reconstruct"
_HEAD = """\
# This is an Asset Catalog Definition file for Blender.
#
# Empty lines and lines starting with `#` will be ignored.
# The first non-ignored line should be the version indicator.
# Other lines are of the format "UUID:catalog/path/for/assets:simple catalog name"

VERSION 1

"""
_SIZE, _SAMPLES = 256, 16


def make_asset(item: bpy.types.Object, unit: float) -> None:
    """Makes a result an asset, with tags, its real size, and a picture that takes a few seconds.

    The catalogue gets its name when the file is saved, see :func:`write_catalogue`.

    Args:
        item: an imported result.
        unit: metres in a Blender unit.

    Raises:
        UserError: no picture can be rendered, or nothing is left of the result.
    """
    check_pictures()
    pixels = _picture(item)
    item.asset_mark()
    about = item.asset_data
    about.catalog_id = CATALOGUE
    describe(item, unit)
    for name in (_NAME, *looks_of(item)):
        about.tags.new(name, skip_if_exists=True)
    preview = item.preview_ensure()
    preview.image_size = (_SIZE, _SIZE)
    preview.image_pixels_float.foreach_set(pixels)


def check_pictures() -> None:
    """Whether the picture of an asset can be rendered now.

    Raises:
        UserError: another render is running, or Cycles is switched off.
    """
    if bpy.app.is_job_running("RENDER"):
        raise UserError("A render is running, and an asset needs one for its picture.", "Wait until it is finished, then try again.")
    if not has_cycles():
        raise UserError("Cycles is switched off, and an asset needs it for its picture.", "Enable the Cycles add-on in Preferences.")


def describe(item: bpy.types.Object, unit: float) -> None:
    """Writes how large an asset of ours is now, and what it is made of, into its description."""
    parts = [" × ".join(f"{side:.2f}" for side in size_of(item, unit)) + " m"] if has_known_scale(item, unit) else []
    if PART in item.data.attributes:
        part = values_of(item.data, PART)
        parts.append(f"{(part == POINTS).sum():,} points")
        if (part == PROXY).any():
            first = np.empty(len(item.data.polygons), dtype=np.int32)
            item.data.polygons.foreach_get("loop_start", first)
            corners = np.empty(len(item.data.loops), dtype=np.int32)
            item.data.loops.foreach_get("vertex_index", corners)
            parts.append(f"proxy of {(part[corners[first]] == PROXY).sum():,} faces")
    item.asset_data.description = "; ".join(parts)


def write_catalogue(blend: str) -> None:
    """Enters the catalogue where Blender looks for it: in the asset library that a .blend lies in, else beside it.

    Args:
        blend: path of the .blend.
    """
    folder = _library(Path(blend).parent)
    file = folder / _FILE
    before = file.read_text(encoding="utf-8") if file.exists() else _HEAD
    if CATALOGUE not in before:
        file.write_text(f"{before.rstrip()}\n{CATALOGUE}:{_NAME}:{_NAME}\n", encoding="utf-8")


def _library(folder: Path) -> Path:
    roots = [Path(bpy.path.abspath(library.path)).resolve() for library in bpy.context.preferences.filepaths.asset_libraries]
    folder = folder.resolve()
    return next((root for root in roots if root == folder or root in folder.parents), folder)


def _picture(item: bpy.types.Object) -> np.ndarray:
    """RGBA [4 · 256²] of the result alone, as it is rendered."""
    extent, applied = extent_of(item), applied_transform(item)
    box = extent.turned(applied[:3, :3])
    scene = bpy.data.scenes.new("Reconstruct preview")
    twin = item.copy()
    made: list[bpy.types.ID] = [twin]
    try:
        scene.collection.objects.link(twin)
        twin.parent = None
        twin.constraints.clear()
        twin.matrix_world = mathutils.Matrix.Identity(4)
        made += _stage(scene, mathutils.Vector(box.middle + applied[:3, 3]), max(float(np.linalg.norm(box.size)) / 2, 1e-6))
        use_cycles(scene)
        scene.cycles.samples, scene.cycles.use_denoising = _SAMPLES, True
        raise_transparent_bounces(scene)
        render = scene.render
        render.resolution_x = render.resolution_y = _SIZE
        render.film_transparent = True
        scene.view_settings.view_transform = "Standard"
        set_picture_format(render.image_settings, "PNG")
        render.image_settings.color_mode = "RGBA"
        with tempfile.TemporaryDirectory() as folder:
            render.filepath = str(Path(folder) / "preview.png")
            with quiet():
                bpy.ops.render.render(write_still=True, scene=scene.name)
            image = bpy.data.images.load(render.filepath, check_existing=False)
            pixels = np.empty(4 * _SIZE * _SIZE, dtype=np.float32)
            image.pixels.foreach_get(pixels)
            bpy.data.images.remove(image)
        return pixels
    except RuntimeError as error:
        raise UserError(f"The picture of {item.name} could not be rendered: {str(error).strip()}") from None
    finally:
        for block in made:
            data = block.data if isinstance(block, bpy.types.Object) and block is not twin else None
            bpy.data.batch_remove([block] if data is None else [block, data])
        bpy.data.scenes.remove(scene)


def _stage(scene: bpy.types.Scene, aim: mathutils.Vector, radius: float) -> list[bpy.types.ID]:
    """A camera that takes in a ball, the sun over its shoulder, and a sky."""
    lens = bpy.data.cameras.new("Preview")
    away = mathutils.Vector((-0.55, -1.0, 0.55)).normalized()
    lens.clip_start, lens.clip_end = 0.01 * radius, 100 * radius
    camera = bpy.data.objects.new("Preview", lens)
    distance = 1.05 * radius / math.sin(lens.angle / 2)
    camera.matrix_world = mathutils.Matrix.Translation(aim + distance * away) @ (-away).to_track_quat("-Z", "Y").to_matrix().to_4x4()
    light = bpy.data.lights.new("Preview", "SUN")
    light.energy, light.angle = 2.5, 0.3
    sun = bpy.data.objects.new("Preview", light)
    sun.rotation_euler = (math.radians(40), 0, math.radians(-60))
    for item in (camera, sun):
        scene.collection.objects.link(item)
    scene.camera = camera
    scene.world = bpy.data.worlds.new("Preview")
    scene.world.color = (0.6, 0.6, 0.6)
    return [camera, sun, scene.world]


@bpy.app.handlers.persistent
def after_saving(file: str, *_: object) -> None:
    """Enters the catalogue where a saved file has assets of its own from us: Blender saves no names of catalogues in a .blend. Not for
    copies, such as that which a capture is made from.
    """
    own = (item.asset_data for item in bpy.data.objects if item.library is None)
    if file and Path(file) == Path(bpy.data.filepath) and any(data and data.catalog_id == CATALOGUE for data in own):
        write_catalogue(file)


@bpy.app.handlers.persistent
def _after_appending(context: bpy.types.BlendImportContext, *_: object) -> None:
    """A file that results are brought into from another one has them in their real size, and lets Cycles see through splats."""
    objects = [item.id for item in context.import_items if isinstance(item.id, bpy.types.Object) and kind_of(item.id) == "result"]
    unit = bpy.context.scene.unit_settings.scale_length
    for item in objects:
        before = tagged(item).get("stands_in", unit)
        if item.library is None and before != unit:
            item.location *= before / unit
            item.scale *= before / unit
            update_tag(item, stands_in=unit)
    if any(look_modifier(item) and "splats" in looks_of(item) for item in objects):
        raise_transparent_bounces(bpy.context.scene)


def register() -> None:
    """Follows what is saved and what is brought in from other files."""
    bpy.app.handlers.save_post.append(after_saving)
    bpy.app.handlers.blend_import_post.append(_after_appending)


def unregister() -> None:
    """Stops following."""
    bpy.app.handlers.save_post.remove(after_saving)
    bpy.app.handlers.blend_import_post.remove(_after_appending)
