# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy of a result: its surface with few triangles, textured from the capture's views."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..cameras import Camera
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..contract.result import PROXY, inside
from ..contract.settings import ProxySettings, SurfaceSettings
from ..data.up import up_of_capture
from ..data.views import View, load_views
from ..formats.memory import TOO_LARGE
from ..formats.meshes import Mesh, read_mesh
from ..formats.proxies import Proxy, write_proxy
from ..runs.context import RunContext, run_context
from ..runs.reporter import Reporter
from ..surfaces import baking, hulls
from ..surfaces.simplification import simplified, unwrapped
from ..surfaces.triangles import area, open_share
from ..surfaces.uprightness import standing
from .surface import SURFACE, capture_of, make_mesh, set_threads

# Pixels of all views together, of which each takes 4 bytes, 8 with albedo.
_MOST_PIXELS = 64_000_000
_JPEG_QUALITY = 95
# A proxy of something solid keeps nearly all of its area and is closed. Less area of that of the fine surface, or a larger share of open
# edges, is what plants and rooms have: measured 60 to 88 % and 2 to 12 %, against 97 % and 0.2 % of solid objects.
_LEAST_KEPT, _MAX_OPEN = 0.8, 0.03
_AGAIN = "Make it again with the command surface."
_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def make_proxy(folder: Path, settings: ProxySettings, reporter: Reporter) -> bool:
    """Writes proxy.glb into a result, and mesh.glb before, where there is no surface yet.

    Returns:
        Whether it was written; False where the user cancelled.

    Raises:
        UserError: nothing was trained yet, the capture is gone, or there is no surface.
    """
    with run_context(folder, reporter) as context:
        context.start(context.result, task="proxy")
        workers = set_threads(settings.threads)
        context.folder.claim(PROXY)
        capture = capture_of(context)
        proxy, up = _proxy(context, capture, _mesh(context, capture, workers), settings)
        context.begin_writing()
        write_proxy(folder / PROXY, proxy)
        context.made("proxy", PROXY, replace(context.result, up=up, dimensions=proxy.dimensions))
    return not context.cancelled


def _mesh(context: RunContext, capture: Capture, workers: int) -> Mesh:
    """The result's surface, made first where there is none."""
    path = context.result.artifact(SURFACE)
    if path is not None:
        try:
            mesh = read_mesh(inside(context.path, path, str(context.path)))
        except UserError as error:
            raise UserError(error.message, error.hint if error.code == TOO_LARGE else _AGAIN, error.code) from None
    else:
        mesh = make_mesh(context, capture, SurfaceSettings(), workers)
    if not len(mesh.triangles):
        raise UserError(f"The surface of {context.path} is empty.", _AGAIN, "no_surface")
    return mesh


def _proxy(context: RunContext, capture: Capture, mesh: Mesh, settings: ProxySettings) -> tuple[Proxy, tuple[float, float, float]]:
    """The proxy of a surface, and which way is up in its world."""
    views = _views(capture, context)
    context.compile_kernels()
    fine = baking.surface(mesh.vertices.positions, mesh.triangles)
    positions, triangles = _simplified(context, fine, settings)
    context.stage("unwrap")(0, 1)
    whole = baking.surface(positions, triangles)
    source, corners, uvs = unwrapped(positions, triangles, settings.texture)
    coarse = baking.Surface(positions[source], corners, whole.normals[source])
    texels = baking.map_texels(coarse, uvs, settings.texture, fine)
    albedo = _albedo(capture, views)
    if albedo is None:
        context.report("note", message="The capture holds no albedo, so the lit material has the captured colors, with the light in them.")
    cameras = [view.camera for view in views]
    pixels, _ = baking.bake(texels, fine, cameras, lambda number: _layers(views, albedo, number), context.stage("bake"))
    up = _up(capture, cameras, settings)
    upright, placement = standing(coarse.positions, up)
    rotation = placement[:3, :3]
    proxy = Proxy(
        positions=upright,
        triangles=corners,
        uvs=uvs,
        normals=(coarse.normals @ rotation).astype(np.float32),
        captured=_jpeg(pixels[..., :3]),
        albedo=None if albedo is None else _jpeg(pixels[..., 3:]),
        normal_map=_png(baking.normal_map(texels)),
        hull=_hull(settings, (fine.positions - placement[:3, 3]) @ rotation, upright),
        placement=placement,
        scale=context.result.scale,
    )
    return proxy, tuple(up.tolist())


def _simplified(context: RunContext, fine: baking.Surface, settings: ProxySettings) -> tuple[np.ndarray, np.ndarray]:
    """The positions and triangles of a surface with few triangles, with a warning where that loses much of it."""
    context.stage("simplify")(0, 1)
    positions, triangles = simplified(fine.positions, fine.triangles, settings.faces)
    if not len(triangles):
        message = f"Nothing of the surface remains with {settings.faces} triangles."
        raise UserError(message, "Give --faces a larger number.", "too_few_faces")
    kept, gaps = area(positions, triangles) / area(fine.positions, fine.triangles), open_share(triangles)
    if kept < _LEAST_KEPT or gaps > _MAX_OPEN:
        what = f"{kept:.0%} of its area remain" if kept < _LEAST_KEPT else f"{gaps:.0%} of the proxy's edges are open"
        hint = "For one object in a wide scene, first run surface with --box XMIN YMIN ZMIN XMAX YMAX ZMAX; for fine parts, raise --faces."
        context.report("warning", message=f"The proxy may look like shards, because this is no closed, smooth surface: {what}. {hint}")
    return positions, triangles


def _layers(views: list[View], albedo: list[View] | None, number: int) -> np.ndarray:
    """The channels of a view that are baked: RGB, with albedo three more, and alpha, [H, W, 4 or 7] uint8."""
    image, mask = views[number].image, views[number].mask
    if image.shape[2] == 3:
        image = np.concatenate([image, np.full_like(image[..., :1], 255)], axis=2)
    if mask is not None:
        image = np.where((mask == 0)[..., None], 0, image)
    if albedo is None:
        return image
    return np.concatenate([image[..., :3], albedo[number].image[..., :3], image[..., 3:]], axis=2)


def _hull(settings: ProxySettings, fine: np.ndarray, coarse: np.ndarray) -> tuple:
    """The collision hull, of the fine or of the coarse surface's positions in the proxy's frame."""
    if settings.hull == "pieces":
        return hulls.convex_pieces(fine)
    return hulls.box_hull(coarse) if settings.hull == "box" else ()


def _views(capture: Capture, context: RunContext) -> list[View]:
    """The views that colors are taken from: those that were trained on."""
    frames = capture.split("train")
    if not frames:
        raise UserError(f"{capture.folder} has no views.", "Capture it again.")
    scale = min(1.0, (_MOST_PIXELS / sum(frame.w * frame.h for frame in frames)) ** 0.5)
    return load_views(capture, "train", scale=scale, progress=context.stage("load"))


def _albedo(capture: Capture, views: list[View]) -> list[View] | None:
    """The same views without light, None where one lacks it."""
    frames = capture.split("train")
    if any(frame.albedo is None for frame in frames):
        return None
    bare = tuple(replace(frame, image=frame.albedo, depth=None, mask=None, normals=None) for frame in frames)
    scale = min(1.0, (_MOST_PIXELS / sum(frame.w * frame.h for frame in frames)) ** 0.5)
    found = load_views(replace(capture, frames=bare), "train", scale=scale)
    return found if all(one.image.shape[:2] == other.image.shape[:2] for one, other in zip(found, views, strict=True)) else None


def _up(capture: Capture, cameras: list[Camera], settings: ProxySettings) -> np.ndarray:
    """The direction, unit [3], that is up in the capture's world."""
    if settings.up != "auto":
        axis = np.array(_AXES[settings.up[-1]])
        return -axis if settings.up[0] == "-" else axis
    return up_of_capture(capture.source, cameras)


def _jpeg(codes: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(codes)).save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return stream.getvalue()


def _png(codes: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(codes).save(stream, "PNG")
    return stream.getvalue()
