# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures surfaces and proxies of furniture with known geometry.

python -m scripts.benchmarks.proxies OUT [NAME ...] [--keep]
python -m scripts.benchmarks.proxies --picture RESULT FILE.png

OUT is what scripts.benchmarks.furniture wrote, with a result beside each capture, as train made it of that: OUT/NAME/capture,
OUT/NAME/result, OUT/NAME/truth.ply. Surface and proxy are made anew unless --keep is given; scores go to OUT/NAME/scores.json.

F-score (Knapitsch et al. 2017) at 1 % of the longest side: recall is of 100 000 points, even by area, on what at least three of the
capture's cameras see of the truth; precision is of as many on what at least one sees of the surface, so that what was closed where nobody
saw is left out. PSNR is of the proxy, as captured, by the held-out cameras against their pictures, on white, drawn with Cycles' pixel
filter.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import convolve1d

import engine.kernels  # noqa: F401  (sets Numba up)
from engine import metrics
from engine.cameras import Camera, project
from engine.contract.result import read_result
from engine.data.views import View, frame_camera, load_views, shrunk
from engine.formats.capture import read_capture
from engine.formats.meshes import read_mesh
from engine.formats.proxies import Proxy, read_proxy
from engine.kernels.photometric.reference import srgb_decode, srgb_encode
from engine.kernels.triangles import rasterize
from engine.runs.scoring import target

POINTS = 100_000
SHARE = 0.01
# Rays for a pixel in pictures of the proxy, along each side; and what a point may lie behind what hides it, in shares of the longest side.
FINE, BEHIND = 3, 0.004
# Pixels that the filter reaches with which Cycles rendered the captures (Blackman-Harris, its default).
REACH = 1.5


def drawn(camera: Camera, positions: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces, depth and shares of a mesh as a camera sees it, see kernels/triangles."""
    pixels, depth = project(camera, positions)
    return rasterize(np.concatenate([pixels, depth[:, None]], axis=1), triangles, camera.width, camera.height)


def sampled(positions: np.ndarray, triangles: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Points on a mesh, even by area, [count, 3]."""
    a, b, c = (positions[triangles[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = rng.choice(len(triangles), count, p=areas / areas.sum())
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]


def seen(cameras: list[Camera], positions: np.ndarray, triangles: np.ndarray, points: np.ndarray, behind: float) -> np.ndarray:
    """By how many cameras points on a mesh are seen, [P]."""
    count = np.zeros(len(points), int)
    for camera in cameras:
        _, z, _ = drawn(camera, positions, triangles)
        pixels, depth = project(camera, points)
        inside = (depth > 0) & (pixels >= 0).all(axis=1) & (pixels < (camera.width, camera.height)).all(axis=1)
        column, row = pixels[inside].astype(int).T
        front = z[row, column]
        count[np.flatnonzero(inside)[(front > 0) & (depth[inside] <= front + behind)]] += 1
    return count


def f_score(cameras: list[Camera], true: tuple, found: tuple) -> dict[str, float]:
    """Precision, recall and F-score of a mesh (positions, triangles) against the true one."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    size = float(np.ptp(true[0], axis=0).max())
    wide = [camera.resized(2 * camera.width, 2 * camera.height) for camera in cameras]

    def visible(mesh: tuple, least: int) -> np.ndarray:
        points = sampled(*mesh, 6 * POINTS, rng)
        points = points[seen(wide, *mesh, points, BEHIND * size) >= least]
        return points[:POINTS]

    recalled, made = visible(true, 3), visible(found, 1)
    dense = [sampled(*mesh, 10 * POINTS, rng) for mesh in (true, found)]
    precision = float((cKDTree(dense[0]).query(made, distance_upper_bound=SHARE * size)[0] <= SHARE * size).mean())
    recall = float((cKDTree(dense[1]).query(recalled, distance_upper_bound=SHARE * size)[0] <= SHARE * size).mean())
    return {"precision": precision, "recall": recall, "f_score": 2 * precision * recall / max(precision + recall, 1e-9)}


def look(proxy: Proxy, camera: Camera, texture: np.ndarray | None) -> np.ndarray:
    """The proxy as captured, on white, [3, H, W] sRGB codes, blended in linear light; without a texture, its faces in gray."""
    import torch

    placement = proxy.placement
    world = proxy.positions @ placement[:3, :3].T + placement[:3, 3]
    fine = camera.resized(FINE * camera.width, FINE * camera.height)
    faces, _, shares = drawn(fine, world, proxy.triangles)
    there = faces >= 0
    corners = proxy.triangles[faces[there]]
    second, third = shares[there].astype(np.float64).T
    parts = np.stack([1 - second - third, second, third], axis=1)[..., None]
    uvs = (proxy.uvs[corners] * parts).sum(axis=1)
    light = np.ones((*there.shape, 3), np.float32)
    if texture is None:
        a, b, c = (world[corners[:, corner]] for corner in range(3))
        normals = np.cross(b - a, c - a)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
        light[there] = 0.05 + 0.6 * np.abs(normals @ -camera.direction)[:, None] ** 2
    else:
        light[there] = _texels(texture, uvs)
    offsets = np.arange(-int(REACH * FINE), int(REACH * FINE) + 1) / FINE
    turns = 2 * np.pi * (offsets / (2 * REACH) + 0.5)
    filter = 0.35875 - 0.48829 * np.cos(turns) + 0.14128 * np.cos(2 * turns) - 0.01168 * np.cos(3 * turns)
    for axis in (0, 1):
        light = convolve1d(light, filter / filter.sum(), axis=axis, mode="nearest")
    light = light[FINE // 2 :: FINE, FINE // 2 :: FINE]
    return srgb_encode(torch.from_numpy(light)).numpy().transpose(2, 0, 1)


def _texels(texture: np.ndarray, uvs: np.ndarray) -> np.ndarray:
    """Linear light [P, 3] of a texture [S, S, 3] of codes, between four texels."""
    import torch

    height, width = texture.shape[:2]
    x, y = uvs[:, 0] * width - 0.5, (1 - uvs[:, 1]) * height - 0.5
    left, top = np.clip(np.floor(x), 0, width - 2).astype(int), np.clip(np.floor(y), 0, height - 2).astype(int)
    s, t = np.clip(x - left, 0, 1)[:, None], np.clip(y - top, 0, 1)[:, None]
    upper = texture[top, left] * (1 - s) + texture[top, left + 1] * s
    lower = texture[top + 1, left] * (1 - s) + texture[top + 1, left + 1] * s
    return srgb_decode(torch.from_numpy((upper * (1 - t) + lower * t) / 255).float()).numpy()


def texture_of(proxy: Proxy) -> np.ndarray:
    """What was captured, [S, S, 3] float32 codes, 0 to 255."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(proxy.captured)).convert("RGB")).astype(np.float32)


def draw_picture(result: Path, file: Path) -> None:
    """Four held-out views: captured, of the proxy as captured, and its faces."""
    from PIL import Image

    proxy = read_proxy(result / "proxy.glb")
    views = load_views(read_capture(Path(read_result(result).capture)), "test")
    texture, columns = texture_of(proxy), []
    for view in [views[index * len(views) // 4] for index in range(4)]:
        factor = 300 / view.camera.height
        view = shrunk(view, factor) if factor < 1 else view
        columns.append(np.concatenate([target(view, "srgb"), look(proxy, view.camera, texture), look(proxy, view.camera, None)], axis=1))
    codes = np.concatenate(columns, axis=2).transpose(1, 2, 0)
    Image.fromarray(np.rint(codes.clip(0, 1) * 255).astype(np.uint8)).save(file)


def proxy_psnr(proxy: Proxy, views: list[View]) -> float:
    """Mean over views of the proxy's PSNR as captured."""
    texture = texture_of(proxy)
    return float(np.mean([metrics.psnr(look(proxy, view.camera, texture), target(view, "linear")) for view in views]))


def measure(folder: Path, keep: bool) -> dict[str, float]:
    """Makes surface and proxy of a piece, and scores them."""
    result, scores = folder / "result", {}
    for command in ("surface", "proxy"):
        begin = time.monotonic()
        if not keep:
            subprocess.run([sys.executable, "-m", "engine", command, str(result)], check=True)
        scores[f"{command}_seconds"] = time.monotonic() - begin
    capture = read_capture(folder / "capture")
    cameras = [frame_camera(frame) for frame in capture.frames]
    true, found = (read_mesh(file) for file in (folder / "truth.ply", result / "mesh.glb"))
    pair = [(mesh.vertices.positions, mesh.triangles) for mesh in (true, found)]
    scores |= f_score(cameras, *pair)
    proxy = read_proxy(result / "proxy.glb")
    scores["faces"] = len(proxy.triangles)
    scores["psnr"] = proxy_psnr(proxy, load_views(capture, "test"))
    extent = np.ptp(pair[0][0], axis=0)
    scores["dimensions_off"] = float(np.abs(np.array(read_result(result).dimensions) / extent - 1).max())
    return scores


def main(out: Path, names: list[str], keep: bool) -> None:
    """Measures pieces, all that are there or the named ones."""
    there = sorted(path.name for path in out.iterdir() if (path / "result" / "result.json").is_file())
    for folder in [out / name for name in there if not names or name in names]:
        scores = measure(folder, keep)
        (folder / "scores.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")
        print(folder.name, json.dumps({name: round(value, 4) for name, value in scores.items()}), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--picture":
        draw_picture(Path(sys.argv[2]), Path(sys.argv[3]))
        sys.exit(0)
    main(Path(sys.argv[1]), [name for name in sys.argv[2:] if name != "--keep"], "--keep" in sys.argv)
