# SPDX-License-Identifier: GPL-3.0-or-later
"""Results and files of others come into a scene.

A result becomes one object that holds all it can look like (see looks.py). So what is moved, turned, scaled or duplicated in the viewport
is what is rendered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import bpy
import numpy as np

from ....engine.cameras import WORLD_AXES, uprighted
from ....engine.contract.alive import writer_runs
from ....engine.contract.errors import UserError
from ....engine.contract.result import RESULT, Result, inside, read_result
from ....engine.contract.schema import from_mapping
from ....engine.contract.settings import ImportSettings
from ....engine.contract.voxels import VoxelShape
from ....engine.formats.meshes import Mesh, read_mesh
from ....engine.formats.ply import read_header
from ....engine.formats.points import PointCloud, read_points
from ....engine.formats.proxies import Proxy, read_proxy
from ....engine.formats.splats import Splats, holds_splats, read_splats
from ....engine.formats.splats.spz import NO_ZSTANDARD
from ....engine.formats.splats.transform import moved
from ....engine.formats.voxels import read_voxels
from ...core import engine_command, private_folders
from ...core.extents import Extent, measure
from ...core.looks import BEST
from ..compat import has_native_splats
from ..tagging import tag
from .assets import check_pictures, make_asset
from .looks import look_object, show
from .measuring import gaussian_weights
from .parts import MESH, POINTS, PROXY, SOLID, Part
from .splats import MINIMUM_ALPHA, most_visible, opacities_of, raise_transparent_bounces, splat_part, training_views
from .surfaces import cloud_part, mesh_part, proxy_part
from .voxel_objects import voxel_object

# Each result has points: those of its splats, else its own, else the corners of its surface.
_MADE_BY = {
    "proxy": "Press Make Proxy in step 3, add [proxy] to the job, or make one with: python -m engine proxy RESULT",
    "mesh": "Press Make Proxy in step 3, which makes one as well, or use: python -m engine surface RESULT",
}


@dataclass(frozen=True, eq=False)
class _Held:
    """What a result or a file holds."""

    splats: Splats | None = None
    points: PointCloud | None = None
    mesh: Mesh | None = None
    proxy: Proxy | None = None
    # What the cameras of the capture saw, where that is known.
    bounds: Extent | None = None
    # What turned them upright, from how they were captured.
    turn: np.ndarray = field(default_factory=lambda: np.eye(3))

    def turned(self, turn: np.ndarray) -> _Held:
        """All of it turned about the origin by ``turn``, [3, 3]."""
        if np.array_equal(turn, np.eye(3)):
            return self
        proxy = self.proxy
        if proxy is not None:
            whole = np.eye(4)
            whole[:3, :3] = turn
            proxy = replace(proxy, placement=whole if proxy.placement is None else whole @ proxy.placement)
        return _Held(
            splats=None if self.splats is None else moved(self.splats, turn),
            points=None if self.points is None else _turned_points(self.points, turn),
            mesh=None if self.mesh is None else Mesh(_turned_points(self.mesh.vertices, turn), self.mesh.triangles),
            proxy=proxy,
            bounds=None if self.bounds is None else self.bounds.turned(turn),
            turn=turn @ self.turn,
        )

    def blend(self, result: Result | None) -> str:
        """How its splats blend, "" where it has none. A file that does not say so is made for the viewers of the field."""
        return "" if self.splats is None else self.splats.blend or (result.blend if result else "srgb")

    def looks(self) -> list[str]:
        return [look for look in BEST if look == "points" or getattr(self, look) is not None]


def import_result(scene: bpy.types.Scene, folder: Path, settings: ImportSettings) -> list[bpy.types.Object]:
    """Brings a result into a scene, upright, at the place and size where it was captured.

    Args:
        scene: receives the object.
        folder: the result.
        settings: what it is brought in as.

    Returns:
        The objects that were made. Their tag (see tagging.py) has ``note``, sentences on what was changed in the scene and what the
        result lacks, or "".

    Raises:
        UserError: there is no result, it does not hold what is asked for, or its file is damaged.
    """
    folder = Path(folder)
    result = read_result(folder)
    files = files_of(folder, result, settings.look)
    if "voxels" in files:
        return [_add_voxels(scene, files["voxels"], folder, settings, result)]
    # The points of splats are the splats' own.
    read = {"splats": read_splats, "mesh": read_mesh, "proxy": read_proxy} | ({} if "splats" in files else {"points": read_points})
    bounds = None if result.bounds is None else Extent(*np.array(result.bounds))
    held = _Held(**{kind: read[kind](file) for kind, file in files.items() if kind in read}, bounds=bounds)
    held = held.turned(uprighted(result.up or (0.0, 0.0, 1.0)))
    first = next(kind for kind in BEST if kind in files)
    return [_add(scene, held, folder.resolve().name or "Result", files[first], settings, result)]


def files_of(folder: Path, result: Result, look: str) -> dict[str, Path]:
    """The files of a result that are imported, by kind; of one that comes in as voxels, these alone.

    Raises:
        UserError: it does not hold what is asked for.
    """
    files = {kind: inside(folder, path, str(folder)) for kind in BEST if (path := result.artifact(kind))}
    # splats.ply is the copy for other viewers, with colors refitted to sRGB.
    if path := result.artifact("splats_linear"):
        files["splats"] = inside(folder, path, str(folder))
    if look == "auto" and (path := result.artifact("voxels")):
        return {"voxels": inside(folder, path, str(folder))}
    if not files:
        if result.artifact("weights"):
            raise UserError(f"The result in {folder} is what a network has learnt.", "Name it as weights of Voxels from Pictures.")
        if result.status != "running":
            raise UserError(f"The result in {folder} holds no splats, mesh or points.", "Train for longer, or choose another result.")
        if writer_runs(folder / RESULT, result.pid, result.pid_started):
            raise UserError(f"The result in {folder} is still being trained.", "Wait until it is done, or choose another result.")
        raise UserError(f"The training of {folder} was broken off.", "Continue it, or choose another result.")
    if look not in ("auto", "points", *files):
        made = _MADE_BY.get(look, f"Import it as {next(iter(files))}.")
        raise UserError(f"The result in {folder} holds no {look}.", made)
    return files


def import_file(
    scene: bpy.types.Scene, file: Path, settings: ImportSettings, axes: str | None = None, chosen_python: str = ""
) -> list[bpy.types.Object]:
    """Brings a file of splats, or a PLY of points, into a scene; its scale is not known.

    Args:
        scene: receives the object.
        file: PLY, SPZ, .splat or GLB.
        settings: as for a result; what the file does not hold is not asked for.
        axes: a name of cameras.WORLD_AXES, None for those that the format has.
        chosen_python: the engine's Python of the preferences, which unpacks SPZ 4 where Blender's own cannot.

    Returns:
        The objects that were made.

    Raises:
        UserError: the file is missing, damaged, or holds neither splats nor points.
    """
    file = Path(file)
    notes: list[str] = []
    if file.suffix.lower() == ".ply" and not holds_splats(read_header(file).properties):
        held = _Held(points=read_points(file, notes.append)).turned(WORLD_AXES[axes or "z-up"])
    else:
        try:
            splats = read_splats(file, axes, notes.append)
        except UserError as error:
            if error.code != NO_ZSTANDARD:
                raise
            splats = _unpacked(file, axes, notes, chosen_python)
        held = _Held(splats=splats)
    return [_add(scene, held, file.stem, file, settings, None, notes)]


def _unpacked(file: Path, axes: str | None, notes: list[str], chosen_python: str) -> Splats:
    """Splats of SPZ 4, unpacked by the engine, whose Python has the library that Blender's lacks."""
    try:
        python = engine_command.interpreter(chosen_python)
    except UserError as error:
        raise UserError(f"{file} is SPZ of version 4, which the engine unpacks. {error.message}", error.hint, error.code) from None
    with private_folders.temporary() as folder:
        made = folder / "splats.ply"
        notes += engine_command.convert(python, file, made, axes)
        return read_splats(made, note=notes.append)


def _add(
    scene: bpy.types.Scene,
    held: _Held,
    name: str,
    file: Path,
    settings: ImportSettings,
    result: Result | None,
    notes: Sequence[str] = (),
) -> bpy.types.Object:
    """Makes the object of what was read; ``notes`` are sentences on the reading."""
    held = _shown(held, settings, file)
    if settings.asset:
        check_pictures()
    unit = scene.unit_settings.scale_length
    extent = _extent(held)
    blend = held.blend(result)
    parts = _parts(held, name, blend, result, extent, unit)
    raised = raise_transparent_bounces(scene) if held.splats is not None and not has_native_splats() else ""
    notes = [*notes, raised, _colors_note(scene)]
    if held.proxy is not None and settings.lit and held.proxy.albedo is None:
        notes.append("The capture holds no albedo, so the room's lights fall on the proxy's captured colors.")
    shown = look_object(name, parts, [*held.looks(), "box"])
    shown.location = extent.foot / unit
    looks = _looks(held, settings.look)
    show(shown, *looks, lit=settings.lit and "proxy" in looks)
    scene.collection.objects.link(shown)
    tags: dict[str, object] = {"blend": blend} if blend else {}
    if held.bounds is not None:
        tags["bounds"] = [*held.bounds.low.tolist(), *held.bounds.high.tolist()]
    tag(
        shown,
        "result",
        folder=str(file.parent),
        file=file.name,
        scale=result.scale if result else "unknown",
        # Meters in a unit of its data, and in a unit of its scene.
        unit=unit,
        stands_in=unit,
        # What turned it upright from how it was captured, and where the object's origin was then, in meters.
        turn=held.turn.ravel().tolist(),
        origin=extent.foot.tolist(),
        note=" ".join(filter(None, notes)),
        **tags,
    )
    if settings.asset:
        make_asset(shown, unit)
    return shown


def _shown(held: _Held, settings: ImportSettings, file: Path) -> _Held:
    """What is shown of what was read: the splats that can be seen, and points in any case."""
    if held.splats is not None:
        held = replace(held, splats=_visible(held.splats, settings.max_splats, file), points=None)
    elif held.points is None or not len(held.points):
        held = replace(held, points=_corners(held, file))
    if held.mesh is not None and not len(held.mesh.triangles):
        raise UserError(f"{file} holds no triangles.", "Make the mesh again, or choose another result.")
    return held


def _parts(held: _Held, name: str, blend: str, result: Result | None, extent: Extent, unit: float) -> list[Part]:
    """The parts of the object's mesh, about the foot of its extent; that which tells the extent names its solid vertices."""
    place = extent.foot, unit
    if held.splats is not None:
        views = training_views(result.capture, held.turn) if result and held.splats.degree else []
        parts = [splat_part(held.splats, blend, views, *place)]
    else:
        parts = [cloud_part(held.points, *place)]
    if held.mesh is not None:
        parts.append(mesh_part(held.mesh, *place))
    if held.proxy is not None:
        parts.append(proxy_part(name, held.proxy, *place))
    measured = next(part for part in parts if part.number == _measured(held))
    measured.attributes[SOLID] = ("BOOLEAN", extent.moved(-extent.foot).scaled(1 / unit).holds(measured.positions))
    return parts


def _add_voxels(scene: bpy.types.Scene, file: Path, folder: Path, settings: ImportSettings, result: Result) -> bpy.types.Object:
    """Voxels as a mesh whose threshold, smoothness and size can be changed; at first as the result was made."""
    known = {name: value for name, value in result.settings.items() if name in VoxelShape.__dataclass_fields__}
    shape = from_mapping(VoxelShape, known, str(folder / RESULT))
    if settings.asset:
        check_pictures()
    unit = scene.unit_settings.scale_length
    item = voxel_object(folder.resolve().name or "Voxels", read_voxels(file), shape, unit, folder=str(folder), file=file.name)
    scene.collection.objects.link(item)
    if settings.asset:
        make_asset(item, unit)
    return item


def _visible(splats: Splats, most: int, file: Path) -> Splats:
    splats = most_visible(splats.select(opacities_of(splats) > MINIMUM_ALPHA), most)
    if not len(splats):
        raise UserError(f"{file} holds no splats that can be seen.", "Train for longer, or choose another result.")
    return splats


def _turned_points(cloud: PointCloud, turn: np.ndarray) -> PointCloud:
    normals = None if cloud.normals is None else (cloud.normals @ turn.T).astype(np.float32)
    return replace(cloud, positions=cloud.positions @ turn.T, normals=normals)


def _corners(held: _Held, file: Path) -> PointCloud:
    """The points of what has none of its own."""
    if held.mesh is not None and len(held.mesh.vertices):
        return held.mesh.vertices
    if held.proxy is None:
        raise UserError(f"{file} holds no points.", "Choose another file.")
    placement = np.eye(4) if held.proxy.placement is None else held.proxy.placement
    return PointCloud(np.unique(held.proxy.positions, axis=0) @ placement[:3, :3].T + placement[:3, 3])


def _extent(held: _Held) -> Extent:
    """Where the solid part was captured, as :func:`~.measuring.extent_of` finds it later."""
    measured = _measured(held)
    if measured == PROXY:
        placement = np.eye(4) if held.proxy.placement is None else held.proxy.placement
        return measure(held.proxy.positions @ placement[:3, :3].T + placement[:3, 3], None, held.bounds)
    if held.splats is not None:
        return measure(held.splats.means, gaussian_weights(opacities_of(held.splats), np.exp(held.splats.log_scales)), held.bounds)
    positions = (held.mesh.vertices if measured == MESH else held.points).positions
    return measure(positions, np.ones(len(positions)), held.bounds)


def _measured(held: _Held) -> int:
    """The part that tells the extent."""
    return PROXY if held.proxy is not None else MESH if held.mesh is not None and held.splats is None else POINTS


def _colors_note(scene: bpy.types.Scene) -> str:
    """Says that the scene changes captured colors, "" where it shows them as they were."""
    view = scene.view_settings
    if view.view_transform != "Standard":
        cause = f"The view transform {view.view_transform} changes"
    elif view.look != "None" or view.exposure != 0 or view.gamma != 1 or view.use_curve_mapping:
        cause = "The look, exposure, gamma or curves of this scene change"
    else:
        return ""
    return f"{cause} captured colors; Standard alone shows them as they were (Render Properties > Color Management)."


def _looks(held: _Held, asked: str) -> tuple[str, str]:
    """What is shown at first, in the viewport and in renders."""
    there = held.looks()
    best = next(look for look in BEST if look in there)
    if asked == "auto" or asked not in there:
        asked = best
    if asked != "splats" or has_native_splats():
        return asked, asked
    return "proxy" if held.proxy is not None else "points", "splats"
