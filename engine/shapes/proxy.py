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
from ..surfaces import baking, hulls
from ..surfaces.simplification import simplified, unwrapped
from ..surfaces.triangles import area, open_share
from ..surfaces.uprightness import standing
from ..training.reporting import Reporter
from .surface import SURFACE, make_mesh
from .work import Work, working

# Pixels of all views together, of which each takes 4 bytes, 8 with albedo.
_MOST_PIXELS = 64_000_000
_JPEG_QUALITY = 95
# A proxy of something solid keeps nearly all of its area and is closed. Less area of that of the fine surface, or a larger share of open
# edges, is what plants and rooms have: measured 60 to 88 % and 2 to 12 %, against 97 % and 0.2 % of solid objects.
_LEAST_KEPT, _MAX_OPEN = 0.8, 0.03
_AGAIN = "Make it again with the command surface."
_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def make_proxy(folder: Path, settings: ProxySettings, report: Reporter) -> bool:
    """Writes proxy.glb into a result, and mesh.glb before, where there is no surface yet.

    Returns:
        Whether it was written; False where the user ended it.

    Raises:
        UserError: nothing was learnt yet, the capture is gone, or there is no surface.
    """
    with working(folder, "proxy", report, settings.threads) as work:
        work.held.claim(PROXY)
        capture = work.capture()
        proxy, up = _proxy(work, capture, _mesh(work, capture), settings)
        work.begin_writing()
        write_proxy(folder / PROXY, proxy)
        work.made("proxy", PROXY, replace(work.result, up=up, dimensions=proxy.dimensions))
    return not work.cancelled


def _mesh(work: Work, capture: Capture) -> Mesh:
    """The result's surface, made first where there is none."""
    path = work.result.artifact(SURFACE)
    if path is not None:
        try:
            mesh = read_mesh(inside(work.folder, path, str(work.folder)))
        except UserError as error:
            raise UserError(error.message, error.hint if error.code == TOO_LARGE else _AGAIN, error.code) from None
    else:
        mesh = make_mesh(work, capture, SurfaceSettings())
    if not len(mesh.triangles):
        raise UserError(f"The surface of {work.folder} is empty.", _AGAIN, "no_surface")
    return mesh


def _proxy(work: Work, capture: Capture, mesh: Mesh, settings: ProxySettings) -> tuple[Proxy, tuple[float, float, float]]:
    """The proxy of a surface, and which way is up in its world."""
    views = _views(capture, work)
    work.compile()
    fine = baking.surface(mesh.vertices.positions, mesh.triangles)
    cameras = [view.camera for view in views]
    work.stage("simplify")(0, 1)
    positions, triangles = simplified(fine.positions, fine.triangles, settings.faces)
    if not len(triangles):
        message = f"Nothing of the surface remains with {settings.faces} triangles."
        raise UserError(message, "Give --faces a larger number.", "too_few_faces")
    kept, gaps = area(positions, triangles) / area(fine.positions, fine.triangles), open_share(triangles)
    if kept < _LEAST_KEPT or gaps > _MAX_OPEN:
        what = f"{kept:.0%} of its area remain" if kept < _LEAST_KEPT else f"{gaps:.0%} of the proxy's edges are open"
        hint = "For one object in a wide scene, first run surface with --box XMIN YMIN ZMIN XMAX YMAX ZMAX; for fine parts, raise --faces."
        work.report("warning", message=f"The proxy may look like shards, because this is no closed, smooth surface: {what}. {hint}")
    work.stage("unwrap")(0, 1)
    whole = baking.surface(positions, triangles)
    source, corners, uvs = unwrapped(positions, triangles, settings.texture)
    light = baking.Surface(positions[source], corners, whole.normals[source])
    texels = baking.map_texels(light, uvs, settings.texture, fine)
    albedo = _albedo(capture, views)
    if albedo is None:
        work.report("note", message="The capture holds no albedo, so the lit material has the captured colours, with the light in them.")

    def picture(number: int) -> np.ndarray:
        shown = views[number].image
        if shown.shape[2] == 3:
            shown = np.concatenate([shown, np.full_like(shown[..., :1], 255)], axis=2)
        if views[number].mask is not None:
            shown = np.where((views[number].mask == 0)[..., None], 0, shown)
        if albedo is None:
            return shown
        return np.concatenate([shown[..., :3], albedo[number].image[..., :3], shown[..., 3:]], axis=2)

    codes, _ = baking.bake(texels, fine, cameras, picture, work.stage("bake"))
    up = _up(capture, cameras, settings)
    upright, placement = standing(light.positions, up)
    turn = placement[:3, :3]
    hull = ()
    if settings.hull == "pieces":
        hull = hulls.convex_pieces((fine.positions - placement[:3, 3]) @ turn)
    elif settings.hull == "box":
        hull = hulls.box_hull(upright)
    proxy = Proxy(
        positions=upright,
        triangles=corners,
        uvs=uvs,
        normals=(light.normals @ turn).astype(np.float32),
        captured=_jpeg(codes[..., :3]),
        albedo=None if albedo is None else _jpeg(codes[..., 3:]),
        normal_map=_png(baking.normal_map(texels)),
        hull=hull,
        placement=placement,
        scale=work.result.scale,
    )
    return proxy, tuple(up.tolist())


def _views(capture: Capture, work: Work) -> list[View]:
    """The views that colours are taken from: those that were trained on."""
    frames = capture.split("train")
    if not frames:
        raise UserError(f"{capture.folder} has no views.", "Capture it again.")
    scale = min(1.0, (_MOST_PIXELS / sum(frame.w * frame.h for frame in frames)) ** 0.5)
    return load_views(capture, "train", scale=scale, progress=work.stage("load"))


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
