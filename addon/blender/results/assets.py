# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as assets: they stand in the asset browser's catalog "Reconstruct", and are dragged into rooms of other files."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import bpy
import mathutils
import numpy as np

from ....engine.contract.errors import UserError
from ...core import private_folders
from ...core.extents import measure
from ..compat import set_picture_format, use_cycles
from ..noise import use_clean_samples
from ..tagging import kind_of, tagged, update_tag
from .edits import applied_transform
from .looks import has_node_splats, looks_of
from .measuring import extent_of, has_known_scale, size_of
from .parts import PART, POINTS, PROXY, values_of
from .splats import raise_transparent_bounces

CATALOG = "2f7f1c4e-6c0e-4d0b-9a35-7f5d0c1b8e52"
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
_SIZE = 256
# Samples of a picture where Blender can denoise, and seconds that it may take.
_SAMPLES, _PATIENCE = 16, 600
_ROOT = Path(__file__).resolve().parents[3]
# Run by a background Blender without extensions.
_RENDER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("reconstruct", {init!r}, submodule_search_locations=[{root!r}])
root = sys.modules["reconstruct"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(root)
from reconstruct.addon.blender.results.assets import render_preview
render_preview({file!r}, {picture!r})
"""


def make_asset(item: bpy.types.Object, unit: float) -> None:
    """Makes a result an asset, with tags, its real size, and a picture that takes a few seconds.

    The catalog gets its name when the file is saved, see :func:`write_catalog`.

    Args:
        item: an imported result.
        unit: meters in a Blender unit.

    Raises:
        UserError: no picture can be rendered, nothing is left of the result, or it belongs to another file.
    """
    if item.library is not None or item.override_library is not None:
        hint = "Open that file, and make it an asset there."
        raise UserError(f"{item.name} is linked from another file, so it cannot be an asset of this one.", hint)
    check_pictures()
    pixels = _picture(item)
    item.asset_mark()
    about = item.asset_data
    about.catalog_id = CATALOG
    describe(item, unit)
    for name in (_NAME, *looks_of(item)):
        about.tags.new(name, skip_if_exists=True)
    preview = item.preview_ensure()
    preview.image_size = (_SIZE, _SIZE)
    preview.image_pixels_float.foreach_set(pixels)


def check_pictures() -> None:
    """Refuses to make an asset while a render is running, which reads the data that the picture is made from.

    Raises:
        UserError: a render is running.
    """
    if _is_rendering():
        raise UserError("A render is running, and an asset needs one for its picture.", "Wait until it is finished, then try again.")


def _is_rendering() -> bool:
    return bpy.app.is_job_running("RENDER")


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


def write_catalog(blend: str) -> Path | None:
    """Writes our catalog where Blender looks for it, in the asset library that a .blend lies in, else beside it.

    A list of catalogs that is there already is somebody else's, and stays as it is; assets are listed as Unassigned then.

    Args:
        blend: path of the .blend.

    Returns:
        The list that is there and does not have our catalog, None where the catalog is known.
    """
    file = _library(Path(blend).parent) / _FILE
    line = f"{CATALOG}:{_NAME}:{_NAME}"
    try:
        with open(file, "x", encoding="utf-8") as made:
            made.write(f"{_HEAD}{line}\n")
    except FileExistsError:
        return None if CATALOG in file.read_text(encoding="utf-8", errors="replace") else file
    return None


def _library(folder: Path) -> Path:
    roots = [Path(bpy.path.abspath(library.path)).resolve() for library in bpy.context.preferences.filepaths.asset_libraries]
    folder = folder.resolve()
    return next((root for root in roots if root == folder or root in folder.parents), folder)


def _picture(item: bpy.types.Object) -> np.ndarray:
    """RGBA [4 · 256²] of the result alone, as it is rendered.

    A Blender of its own renders it: a render in this one would replace what is in the slots of the user's Render Result.
    """
    extent, applied = extent_of(item), applied_transform(item)
    box = extent.turned(applied[:3, :3]).moved(applied[:3, 3])
    twin = item.copy()
    twin.asset_clear()
    made: list[bpy.types.ID] = [twin]
    try:
        twin.parent = None
        twin.constraints.clear()
        twin.matrix_world = mathutils.Matrix.Identity(4)
        made += _stage(mathutils.Vector(box.middle), max(float(np.linalg.norm(box.size)) / 2, 1e-6))
        with private_folders.temporary() as folder:
            file, picture = folder / "preview.blend", folder / "preview.png"
            # Not a scene with them in it: Blender 5.2 crashes when it writes one.
            bpy.data.libraries.write(str(file), set(made), path_remap="ABSOLUTE")
            _render(file, picture, item.name)
            image = bpy.data.images.load(str(picture), check_existing=False)
            pixels = np.empty(4 * _SIZE * _SIZE, dtype=np.float32)
            image.pixels.foreach_get(pixels)
            bpy.data.images.remove(image)
        return pixels
    finally:
        for block in made:
            data = block.data if isinstance(block, bpy.types.Object) and block is not twin else None
            bpy.data.batch_remove([block] if data is None else [block, data])


def _render(file: Path, picture: Path, name: str) -> None:
    """Has a background Blender with factory settings render what is in a .blend file."""
    code = _RENDER.format(init=str(_ROOT / "__init__.py"), root=str(_ROOT), file=str(file), picture=str(picture))
    if bpy.app.binary_path:
        command = [bpy.app.binary_path, "--background", "--factory-startup", "--python-exit-code", "1", "--python-expr", code]
    else:
        # The bpy module in a Python of its own.
        command = [sys.executable, "-c", code]
    flags = subprocess.CREATE_NO_WINDOW if os.name == "nt" else 0
    try:
        subprocess.run(command, capture_output=True, check=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL, creationflags=flags)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else str(error)
        raise UserError(f"The picture of {name} could not be rendered: {reason}", "Close other programs, then try again.") from None


def render_preview(file: str, picture: str) -> None:
    """Renders the objects and the world of a .blend file, in place of the open file: an RGBA PNG, transparent around the objects."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(file) as (held, taken):
        taken.objects, taken.worlds = held.objects, held.worlds
    scene = bpy.context.scene
    scene.world = taken.worlds[0]
    for item in taken.objects:
        scene.collection.objects.link(item)
        if item.type == "CAMERA":
            scene.camera = item
    render = scene.render
    use_cycles(scene)
    render.film_transparent, render.filepath = True, picture
    render.resolution_x = render.resolution_y = _SIZE
    set_picture_format(render.image_settings, "PNG")
    render.image_settings.color_mode = "RGBA"
    scene.view_settings.view_transform = "Standard"
    if any(map(has_node_splats, scene.objects)):
        raise_transparent_bounces(scene)
    # Adaptive sampling would end earlier than the samples that were found.
    scene.cycles.use_adaptive_sampling = False
    use_clean_samples(scene, _SAMPLES, [lambda: None], 1)
    bpy.ops.render.render(write_still=True)


def _stage(aim: mathutils.Vector, radius: float) -> list[bpy.types.ID]:
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
    world = bpy.data.worlds.new("Preview")
    world.color = (0.6, 0.6, 0.6)
    return [camera, sun, world]


@bpy.app.handlers.persistent
def after_saving(file: str, *_: object) -> None:
    """Enters the catalog where a saved file has assets of its own from us: Blender saves no names of catalogs in a .blend. Not for
    copies, such as that which a capture is made from.
    """
    own = (item.asset_data for item in bpy.data.objects if item.library is None)
    if file and Path(file) == Path(bpy.data.filepath) and any(data and data.catalog_id == CATALOG for data in own):
        write_catalog(file)


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
    if any(map(has_node_splats, objects)):
        raise_transparent_bounces(bpy.context.scene)
    if objects and not bpy.app.background:
        bpy.app.timers.register(_after_drop, first_interval=0.0)


def _after_drop() -> None:
    """Has a result that was just dragged in rest on what it was dropped on, as a step that can be undone."""
    manager = bpy.context.window_manager
    drop = manager.operators[-1] if manager.operators else None
    if drop is None or drop.bl_idname != "OBJECT_OT_transform_to_mouse":
        return
    # Not the one that was brought in: packed ones are made local afterwards.
    item = next((item for item in bpy.data.objects if item.session_uid == drop.properties.session_uid), None)
    if item is not None and kind_of(item) == "result" and item.is_editable and item.type == "MESH" and len(item.data.vertices):
        _settle(item)
        with bpy.context.temp_override(window=manager.windows[0]):
            bpy.ops.ed.undo_push(message="Drop Asset")


def _settle(item: bpy.types.Object) -> None:
    """Puts the foot of the solid part of a result where that of all its vertices is.

    Blender drops the box of all vertices, strays and reflections below a floor included, and cannot be given another one.
    """
    applied = applied_transform(item)
    try:
        extent = extent_of(item)
    except UserError:
        return
    solid = extent.turned(applied[:3, :3]).moved(applied[:3, 3])
    shift = measure(values_of(item.data, "position")).foot - solid.foot
    # Its matrix_world is that from before the drop until the scene is evaluated.
    item.location += item.matrix_basis.to_3x3() @ mathutils.Vector(shift)


def register() -> None:
    """Follows what is saved and what is brought in from other files."""
    bpy.app.handlers.save_post.append(after_saving)
    bpy.app.handlers.blend_import_post.append(_after_appending)


def unregister() -> None:
    """Stops following."""
    bpy.app.handlers.save_post.remove(after_saving)
    bpy.app.handlers.blend_import_post.remove(_after_appending)
