# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface of a result: what its model shows from many sides, fused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..cameras import Camera
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.result import MESH
from ..contract.settings import SurfaceSettings
from ..data.extent import captured_extent
from ..data.scene import seed_positions
from ..data.views import View, load_views
from ..formats.meshes import Mesh, write_mesh
from ..formats.points import PointCloud
from ..kernels.fusion.cpu import UNKNOWN
from ..methods import Model, load_model
from ..runs.context import Work, working
from ..runs.reporter import Reporter
from ..surfaces import fusion, region, standpoints
from ..surfaces.coloring import vertex_colors
from ..surfaces.depths import DepthMaps
from ..surfaces.triangles import only, pieces, vertex_normals, without_specks

# The artifact that says that the mesh is a surface: fields come with one of their density, which is open at their box and holds more.
SURFACE = "surface"
# Longest side of a depth picture, px: fields take a thousand times as long for one as splats.
_SIDES = {"splat": 1000, "ngp": 300, "nerf": 120}
# Pixels of all depth pictures together, of which each takes 11 bytes.
_MOST_PIXELS = 64_000_000
# What a view between those of the capture counts: nothing was learnt there.
_BETWEEN = 0.5
# Neighbouring pixels whose depths differ by more than this share of the longest side are not one surface.
_JUMP = 0.015
# Steps in which cells grow where the grid would take too much memory.
_COARSER = 0.8


def make_surface(folder: Path, settings: SurfaceSettings, report: Reporter) -> bool:
    """Writes mesh.glb into a result.

    Returns:
        Whether it was written; False where the user ended it.

    Raises:
        UserError: nothing was learnt yet, the capture is gone, or there is no surface.
    """
    with working(folder, "surface", report, settings.threads) as work:
        make_mesh(work, work.capture(), settings)
    return not work.cancelled


def make_mesh(work: Work, capture: Capture, settings: SurfaceSettings) -> Mesh:
    """Makes the surface of a result, and lists it there."""
    work.held.claim(MESH)
    mesh = surface_of(work, load_model(work.folder, work.result, work.workers), capture, settings)
    work.begin_writing()
    write_mesh(work.folder / MESH, mesh)
    work.made("mesh", MESH, work.result.with_artifact(SURFACE, MESH))
    return mesh


def surface_of(work: Work, model: Model, capture: Capture, settings: SurfaceSettings) -> Mesh:
    """The surface that a model shows.

    Raises:
        UserError: there is none.
    """
    box = None
    if settings.box is not None:
        low, high = np.array(settings.box[:3]), np.array(settings.box[3:])
        if not (low < high).all():
            raise UserError("--box has no inside: each minimum must be below its maximum.", "Give XMIN YMIN ZMIN XMAX YMAX ZMAX.")
        box = low, high
    views = _views(capture, settings, work.result.method, work.stage("load"))
    work.compile()
    cameras = [view.camera for view in views]
    alone = views[0].image.shape[2] == 4
    hint = "Train it for longer, or give a --box that holds something."
    nothing = UserError(f"The result in {work.folder} shows no surface.", hint, "no_surface")
    extent = captured_extent(capture, views)
    if box is None and not alone:
        box = region.near_box(cameras, seed_positions(capture)) if extent is None else tuple(map(np.array, extent))
    rough = box or work.result.bounds or region.near_box(cameras, None)
    jump = max(fusion.REACH / settings.cells, _JUMP) * float(np.subtract(rough[1], rough[0]).max())
    extra = standpoints.between(cameras, np.mean(rough, axis=0), settings.extra_views) if alone and settings.extra_views else []
    maps = DepthMaps([*cameras, *extra])
    maps.strengths[len(cameras) :] = _BETWEEN
    say = work.stage("look")
    for number, camera in enumerate(maps.cameras):
        say(number, len(maps.cameras))
        _look(maps, number, model, camera, jump, views[number] if number < len(views) else None, alone)
    box = box or region.object_box(maps)
    if box is None:
        raise nothing
    positions, triangles = _mesh(work, maps, box, alone, settings)
    if not len(triangles):
        raise nothing
    normals = vertex_normals(positions, triangles)
    codes, seen = vertex_colors(maps, positions, normals, jump)
    # What no picture shows, and hangs together with nothing that one shows, is inside of something.
    piece = pieces(len(positions), triangles)
    shown = np.bincount(piece, seen) > 0
    kept = shown[piece]
    if not kept.any():
        raise nothing
    positions, triangles = only(kept[triangles[:, 0]], positions, triangles)
    if extent is not None:
        # Nothing that was captured lies below the floor or beyond a wall.
        positions = np.clip(positions, *extent)
    return Mesh(PointCloud(positions, codes[kept], normals[kept].astype(np.float32)), triangles)


def _views(capture: Capture, settings: SurfaceSettings, method: str, say) -> list[View]:
    """The training views, in the size that depth is looked up in."""
    frames = capture.split("train")
    if not frames:
        raise UserError(f"{capture.folder} has no views.", "Capture it again.")
    wanted = settings.side or _SIDES[method]
    longest, pixels = max(max(frame.w, frame.h) for frame in frames), sum(frame.w * frame.h for frame in frames)
    scale = min(1.0, wanted / longest, (_MOST_PIXELS / pixels) ** 0.5)
    return load_views(capture, "train", scale=scale, progress=say)


def _look(maps: DepthMaps, number: int, model: Model, camera: Camera, jump: float, view: View | None, alone: bool) -> None:
    """Puts in what the model shows a camera."""
    light, alpha, depth = model.layers(camera)
    light = light / np.maximum(alpha, 1e-6)
    codes = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)
    shown = None
    if not alone:
        shown = np.ones_like(alpha)
    elif view is not None:
        shown = view.image[..., 3].astype(np.float32) / 255
    maps.put(number, codes, alpha, depth, jump, shown)
    if view is not None and view.mask is not None:
        maps.depths[number, : camera.height, : camera.width][view.mask == 0] = UNKNOWN


def _mesh(work: Work, maps: DepthMaps, box, alone: bool, settings: SurfaceSettings) -> tuple[np.ndarray, np.ndarray]:
    """The surface in a box, without small pieces."""
    cells, volume = settings.cells, None
    while volume is None:
        grid = fusion.grid_about(*box, cells)
        volume = fusion.fuse(maps, grid, settings.close, alone, settings.memory * 2**30, work.stage("fuse"))
        if volume is None:
            cells = int(cells * _COARSER)
            if cells < 16:
                message = "The grid of the surface takes more memory than it may."
                raise UserError(message, "Give --memory a larger number.", "surface_memory")
    if cells < settings.cells:
        work.report("warning", message=f"The surface has {cells} cells along its longest side, because more would take too much memory.")
    positions, triangles = fusion.extract(volume, settings.close, alone, work.stage("extract"))
    if len(triangles):
        positions, triangles = without_specks(positions, triangles, settings.least_piece)
    return positions, triangles
