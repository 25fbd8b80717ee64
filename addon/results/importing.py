# SPDX-License-Identifier: GPL-3.0-or-later
"""Results and files of others come into a scene.

A result becomes one object. Splats are a coloured point cloud, light enough for the viewport; where splats are asked for, its modifier
"Splats" turns the points into gaussians in renders. A radiance field becomes its mesh, or its points. So what is moved, turned, scaled or
duplicated in the viewport is what is rendered.
"""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from ...engine.contract.errors import UserError
from ...engine.contract.result import Result, inside, read_result
from ...engine.contract.settings import ImportSettings
from ...engine.formats.meshes import Mesh, read_mesh
from ...engine.formats.ply import read_vertices
from ...engine.formats.points import PointCloud, read_points
from ...engine.formats.splats import Splats, read_splats
from ..jobs.alive import is_alive
from ..rooms.layouts import Extent, measure
from .meshes import mesh_object
from .point_clouds import point_cloud_object, spacing
from .splats import MINIMUM_ALPHA, most_visible, opacities_of, raise_transparent_bounces, solid_points, splat_object, to_linear
from .tagging import tag

_GREY = 0.5
# What a result may hold, the first one that is asked for being taken, and the switches that ask for it.
_SWITCHES = {"splats": "Splats or Points", "mesh": "Mesh", "points": "Points"}


def import_result(scene: bpy.types.Scene, folder: Path, settings: ImportSettings) -> list[bpy.types.Object]:
    """Brings a result into a scene, at the place and size where it was captured.

    Args:
        scene: receives a collection named after the result.
        folder: the result.
        settings: what is brought back, and how much of it.

    Returns:
        The objects that were made. Their tag (see tagging.py) has ``note``, a sentence on what was changed in the scene, or "".

    Raises:
        UserError: there is no result, it holds nothing that can be imported or is asked for, or its file is damaged.
    """
    folder = Path(folder)
    result = read_result(folder)
    held = [kind for kind in _SWITCHES if result.artifact(kind)]
    asked = {"splats": settings.splats or settings.points, "mesh": settings.mesh, "points": settings.points}
    kind = next((kind for kind in held if asked[kind]), None)
    if kind is None:
        if held:
            switches = " or ".join(_SWITCHES[kind] for kind in held)
            raise UserError(f"Nothing that the result in {folder} holds is asked for.", f"Switch on {switches}.")
        if result.status != "running":
            raise UserError(f"The result in {folder} holds no splats, mesh or points.", "Train for longer, or choose another result.")
        if is_alive(result.pid):
            raise UserError(f"The result in {folder} is still being trained.", "Wait until it is done, or choose another result.")
        raise UserError(f"The training of {folder} was broken off.", "Continue it, or choose another result.")
    file = inside(folder, result.artifact(kind), str(folder))
    name = folder.resolve().name or "Result"
    if kind == "mesh":
        return [_add_mesh(scene, read_mesh(file), file, name, result.scale)]
    if kind == "points":
        return [_add_points(scene, read_points(file), file, name, result.scale)]
    splats = read_splats(file)
    blend = splats.blend or result.blend
    return [_add_splats(scene, splats, name, blend, settings, file, result)]


def import_file(scene: bpy.types.Scene, file: Path, settings: ImportSettings) -> list[bpy.types.Object]:
    """Brings a file of splats, or a PLY of points, into a scene; its scale is not known.

    Args:
        scene: receives a collection named after the file.
        file: PLY, SPZ, .splat or GLB.
        settings: as for a result; a file of points comes as points whatever they say.

    Returns:
        The objects that were made.

    Raises:
        UserError: the file is missing, damaged, or holds neither splats nor points.
    """
    file = Path(file)
    if file.suffix.lower() == ".ply":
        columns = read_vertices(file).columns
        if "f_dc_0" not in columns and "packed_position" not in columns:
            return [_add_points(scene, read_points(file), file)]
    splats = read_splats(file)
    # A file that does not say how its splats blend is made for the viewers of the field.
    return [_add_splats(scene, splats, file.stem, splats.blend or "srgb", settings, file, None)]


def _add_splats(
    scene: bpy.types.Scene, splats: Splats, name: str, blend: str, settings: ImportSettings, file: Path, result: Result | None
) -> bpy.types.Object:
    if not (settings.points or settings.splats):
        raise UserError("Neither points nor splats are asked for.", "Switch on one of them.")
    splats = most_visible(splats.select(opacities_of(splats) > MINIMUM_ALPHA), settings.max_splats)
    if not len(splats):
        raise UserError(f"{file} holds no splats that can be seen.", "Train for longer, or choose another result.")
    unit = scene.unit_settings.scale_length
    extent = measure(splats.means, opacities_of(splats))
    note = ""
    if settings.splats:
        shown = splat_object(name, splats, blend, extent.foot, unit, viewport=not settings.points)
        note = raise_transparent_bounces(scene)
    else:
        shown = solid_points(name, splats, blend, extent.foot, unit)
    scale = result.scale if result else "unknown"
    _finish(scene, shown, extent, file, scale, note, count=len(splats), blend=blend)
    return shown


def _add_points(scene: bpy.types.Scene, cloud: PointCloud, file: Path, name: str = "", scale: str = "unknown") -> bpy.types.Object:
    if not len(cloud):
        raise UserError(f"{file} holds no points.", "Choose another file.")
    unit = scene.unit_settings.scale_length
    extent = measure(cloud.positions, np.ones(len(cloud)))
    colors = _light(cloud)
    positions = (cloud.positions - extent.foot) / unit
    shown = point_cloud_object(name or file.stem, positions, colors, np.full(len(cloud), 0.5 * spacing(positions)))
    shown.location = extent.foot / unit
    _finish(scene, shown, extent, file, scale, "", count=len(cloud))
    return shown


def _add_mesh(scene: bpy.types.Scene, mesh: Mesh, file: Path, name: str, scale: str) -> bpy.types.Object:
    if not len(mesh.triangles):
        raise UserError(f"{file} holds no triangles.", "Bring in its points instead.")
    unit, cloud = scene.unit_settings.scale_length, mesh.vertices
    extent = measure(cloud.positions, np.ones(len(cloud)))
    shown = mesh_object(name, (cloud.positions - extent.foot) / unit, mesh.triangles, _light(cloud))
    shown.location = extent.foot / unit
    _finish(scene, shown, extent, file, scale, "", count=len(cloud))
    return shown


def _light(cloud: PointCloud) -> np.ndarray:
    """Scene-linear colours [N, 3]."""
    return np.full((len(cloud), 3), _GREY) if cloud.colors is None else to_linear(cloud.colors / 255.0)


def _finish(scene: bpy.types.Scene, shown: bpy.types.Object, extent: Extent, file: Path, scale: str, note: str, **values: object) -> None:
    """Puts the object into a collection of its own and tags it. ``low`` and ``high``: where its solid part was taken, in metres."""
    collection = bpy.data.collections.new(shown.name)
    tag(collection, "result")
    scene.collection.children.link(collection)
    collection.objects.link(shown)
    tag(
        shown,
        "result",
        folder=str(file.parent),
        file=file.name,
        scale=scale,
        low=extent.low.tolist(),
        high=extent.high.tolist(),
        note=note,
        **values,
    )
