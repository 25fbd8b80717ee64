# SPDX-License-Identifier: GPL-3.0-or-later
"""Job surface: a mesh with colored vertices, fused from depth maps that the model renders from many sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import devices
from ..cameras import Camera
from ..color import linear_to_srgb
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.methods import METHODS
from ..contract.result import MESH
from ..contract.settings import SurfaceSettings
from ..data.extent import captured_extent
from ..data.scene import seed_positions
from ..data.views import View, load_views
from ..formats.capture import read_capture
from ..formats.meshes import Mesh, write_mesh
from ..formats.points import PointCloud
from ..kernels import use_threads
from ..kernels.fusion.cpu import UNKNOWN
from ..methods import check_has_model, load_model
from ..methods.interface import Model
from ..runs.context import RunContext, run_context
from ..runs.reporter import Reporter
from ..surfaces import fusion, region, standpoints
from ..surfaces.coloring import vertex_colors
from ..surfaces.depths import DepthMaps
from ..surfaces.triangles import only, pieces, vertex_normals, without_specks

# The artifact that says that the mesh is a surface: fields come with one of their density, which is open at their box and holds more.
SURFACE = "surface"
# Pixels of all depth pictures together, of which each takes 11 bytes.
_MOST_PIXELS = 64_000_000
# What a view between those of the capture counts: nothing was learnt there.
_BETWEEN = 0.5
# Neighboring pixels whose depths differ by more than this share of the longest side are not one surface.
_JUMP = 0.015
# Steps in which cells grow where the grid would take too much memory.
_COARSER = 0.8


def make_surface(folder: Path, settings: SurfaceSettings, reporter: Reporter) -> bool:
    """Writes mesh.glb into a result.

    Returns:
        Whether it was written; False where the user cancelled.

    Raises:
        UserError: nothing was trained yet, the capture is gone, or there is no surface.
    """
    with run_context(folder, reporter) as context:
        context.start(context.result, task="surface")
        make_mesh(context, capture_of(context), settings, set_threads(settings.threads))
    return not context.cancelled


def make_mesh(context: RunContext, capture: Capture, settings: SurfaceSettings, workers: int) -> Mesh:
    """Makes the surface of a result, and lists it there."""
    context.folder.claim(MESH)
    mesh = _surface_of(context, load_model(context.path, context.result, workers), capture, settings)
    context.begin_writing()
    write_mesh(context.path / MESH, mesh)
    context.made("mesh", MESH, context.result.with_artifact(SURFACE, MESH))
    return mesh


def capture_of(context: RunContext) -> Capture:
    """The capture that a result was made from.

    Raises:
        UserError: it is not there any more, or damaged; or the result is of voxels.
    """
    folder = Path(context.result.capture)
    check_has_model(context.path, context.result)
    if not folder.exists():
        message = f"The capture {folder}, which {context.path} was made from, is not there any more."
        raise UserError(message, "Put it back there.", "no_capture")
    capture = read_capture(folder)
    for warning in capture.warnings:
        context.report("warning", message=warning)
    return capture


def set_threads(threads: int) -> int:
    """Has the kernels run on so many threads, 0 for all cores. Returns their number."""
    workers = devices.threads(threads)
    use_threads(workers)
    return workers


def _surface_of(context: RunContext, model: Model, capture: Capture, settings: SurfaceSettings) -> Mesh:
    """The surface that a model shows.

    Raises:
        UserError: there is none.
    """
    box = _chosen_box(settings)
    views = _views(capture, settings, context.result.method, context.stage("load"))
    context.compile_kernels()
    hint = "Train it for longer, or give a --box that holds something."
    nothing = UserError(f"The result in {context.path} shows no surface.", hint, "no_surface")
    cameras, transparent = [view.camera for view in views], views[0].image.shape[2] == 4
    extent = captured_extent(capture, views)
    if box is None and not transparent:
        box = region.near_box(cameras, seed_positions(capture)) if extent is None else tuple(map(np.array, extent))
    rough = box or context.result.bounds or region.near_box(cameras, None)
    jump = max(fusion.REACH / settings.cells, _JUMP) * float(np.subtract(rough[1], rough[0]).max())
    extra = standpoints.between(cameras, np.mean(rough, axis=0), settings.extra_views) if transparent and settings.extra_views else []
    maps = _depth_maps(context, model, views, extra, jump)
    box = box or region.object_box(maps)
    if box is None:
        raise nothing
    positions, triangles = _mesh(context, maps, box, transparent, settings)
    if not len(triangles):
        raise nothing
    normals = vertex_normals(positions, triangles)
    colors, seen = vertex_colors(maps, positions, normals, jump)
    # What no image shows, and hangs together with nothing that one shows, is inside of something.
    piece = pieces(len(positions), triangles)
    shown = np.bincount(piece, seen) > 0
    kept = shown[piece]
    if not kept.any():
        raise nothing
    positions, triangles = only(kept[triangles[:, 0]], positions, triangles)
    if extent is not None:
        # Nothing that was captured lies below the floor or beyond a wall.
        positions = np.clip(positions, *extent)
    return Mesh(PointCloud(positions, colors[kept], normals[kept].astype(np.float32)), triangles)


def _chosen_box(settings: SurfaceSettings) -> tuple[np.ndarray, np.ndarray] | None:
    if settings.box is None:
        return None
    low, high = np.array(settings.box[:3]), np.array(settings.box[3:])
    if not (low < high).all():
        raise UserError("--box has no inside: each minimum must be below its maximum.", "Give XMIN YMIN ZMIN XMAX YMAX ZMAX.")
    return low, high


def _depth_maps(context: RunContext, model: Model, views: list[View], extra: list[Camera], jump: float) -> DepthMaps:
    """Renders depth and color from the views' cameras, and from further ones between them."""
    maps = DepthMaps([*(view.camera for view in views), *extra])
    maps.strengths[len(views) :] = _BETWEEN
    progress = context.stage("depth")
    for number in range(len(maps.cameras)):
        progress(number, len(maps.cameras))
        _render_depth(maps, number, model, jump, views)
    progress(len(maps.cameras), len(maps.cameras))
    return maps


def _views(capture: Capture, settings: SurfaceSettings, method: str, say) -> list[View]:
    """The training views, in the size that depth is looked up in."""
    frames = capture.split("train")
    if not frames:
        raise UserError(f"{capture.folder} has no views.", "Capture it again.")
    wanted = settings.side or METHODS[method].depth_side
    longest, pixels = max(max(frame.w, frame.h) for frame in frames), sum(frame.w * frame.h for frame in frames)
    scale = min(1.0, wanted / longest, (_MOST_PIXELS / pixels) ** 0.5)
    return load_views(capture, "train", scale=scale, progress=say)


def _render_depth(maps: DepthMaps, number: int, model: Model, jump: float, views: list[View]) -> None:
    """Fills in the map of a camera."""
    camera, transparent = maps.cameras[number], views[0].image.shape[2] == 4
    view = views[number] if number < len(views) else None
    linear, alpha, depth = model.layers(camera)
    srgb = linear_to_srgb(linear / np.maximum(alpha, 1e-6))
    shown = None
    if not transparent:
        shown = np.ones_like(alpha)
    elif view is not None:
        shown = view.image[..., 3].astype(np.float32) / 255
    maps.put(number, srgb, alpha, depth, jump, shown)
    if view is not None and view.mask is not None:
        maps.depths[number, : camera.height, : camera.width][view.mask == 0] = UNKNOWN


def _mesh(context: RunContext, maps: DepthMaps, box, transparent: bool, settings: SurfaceSettings) -> tuple[np.ndarray, np.ndarray]:
    """The surface in a box, without small pieces."""
    cells, volume = settings.cells, None
    while volume is None:
        grid = fusion.grid_about(*box, cells)
        volume = fusion.fuse(maps, grid, settings.close, transparent, settings.memory * 2**30, context.stage("fuse"))
        if volume is None:
            cells = int(cells * _COARSER)
            if cells < 16:
                message = "The grid of the surface takes more memory than it may."
                raise UserError(message, "Give --memory a larger number.", "surface_memory")
    if cells < settings.cells:
        context.report("warning", message=f"The surface has {cells} cells along its longest side, because more would take too much memory.")
    positions, triangles = fusion.extract(volume, settings.close, transparent, context.stage("extract"))
    if len(triangles):
        positions, triangles = without_specks(positions, triangles, settings.least_piece)
    return positions, triangles
