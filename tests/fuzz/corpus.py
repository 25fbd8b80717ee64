# SPDX-License-Identifier: GPL-3.0-or-later
"""Small valid files of every kind that the engine or the add-on reads."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from engine.contract.result import Artifact, Result, write_result
from engine.formats.binvox import VoxelGrid, write_binvox
from engine.formats.meshes import Mesh, write_mesh
from engine.formats.points import PointCloud, write_points
from engine.formats.proxies import Proxy, write_proxy
from engine.formats.splats import Splats, write_splats
from engine.formats.voxels import Voxels, write_voxels


@dataclass(frozen=True)
class Source:
    """A valid input: what reads it (a name of targets.READERS), its folder, and the file in it that is damaged."""

    reader: str
    folder: Path
    file: str


def build(folder: Path) -> list[Source]:
    """Writes the files, each kind in a folder of its own."""
    sources: list[Source] = []

    def add(reader: str, name: str, write: Callable[[Path], None]) -> None:
        own = folder / f"{len(sources):02d}"
        own.mkdir(parents=True)
        write(own / name)
        sources.append(Source(reader, own, name))

    some, box = _splats(), cube()
    add("splats", "a.ply", lambda file: write_splats(file, some))
    add("splats", "packed.ply", _write_compressed)
    add("splats", "raw.spz", lambda file: _write_unpacked_spz(file, some))
    add("splats", "two.spz", lambda file: write_splats(file, some, spz_version=2))
    add("splats", "three.spz", lambda file: write_splats(file, some))
    add("splats", "four.spz", _write_spz4)
    add("splats", "a.splat", lambda file: write_splats(file, some))
    add("splats", "a.glb", lambda file: write_splats(file, some))
    add("points", "a.ply", lambda file: write_points(file, box.vertices.positions, box.vertices.colors, box.vertices.normals))
    add("points", "text.ply", lambda file: file.write_text(_ply_text("ascii")))
    add("points", "listed.ply", _write_big_endian)
    add("points", "floats.ply", lambda file: _write_big_endian(file, "double", ">f8"))
    add("points", "points3D.txt", lambda file: file.write_text(_points_text()))
    add("points", "points3D.bin", _write_points_bin)
    add("mesh", "a.ply", lambda file: write_mesh(file, box))
    add("mesh", "a.glb", lambda file: write_mesh(file, box))
    add("proxy", "proxy.glb", lambda file: write_proxy(file, _proxy(box)))
    add("voxels", "voxels.npz", _write_voxels)
    add("binvox", "a.binvox", _write_binvox)
    add("job", "job.toml", lambda file: file.write_text(_JOB))
    add("result", "result.json", lambda file: write_result(file.parent, _RESULT))
    add("events", "events.jsonl", lambda file: file.write_text(_EVENTS))
    captures = {"nerfstudio": _nerfstudio, "synthetic": _synthetic, "llff": _llff, "colmap": _colmap, "texts": _colmap_texts}
    for name, write in captures.items():
        sources += [Source("capture", folder / name, file) for file in write(folder / name)]
    sources.append(Source("path", folder / "nerfstudio", "transforms.json"))
    return sources


def _splats(count: int = 9, degree: int = 1) -> Splats:
    rng, single = np.random.default_rng(0), np.float32
    return Splats(
        rng.normal(size=(count, 3)).astype(single),
        rng.uniform(-6, -2, (count, 3)).astype(single),
        rng.normal(size=(count, 4)).astype(single),
        rng.uniform(-3, 3, count).astype(single),
        rng.uniform(-0.5, 0.5, (count, (degree + 1) ** 2, 3)).astype(single),
    )


def _write_compressed(file: Path) -> None:
    """PlayCanvas' compressed PLY, of random codes."""
    rng, count = np.random.default_rng(0), 300
    names = [f"{end}_{prefix}{axis}" for prefix in ("", "scale_") for end in ("min", "max") for axis in "xyz"]
    head = ["ply", "format binary_little_endian 1.0", "element chunk 2", *(f"property float {name}" for name in names)]
    head += [f"element vertex {count}", *(f"property uint packed_{name}" for name in ("position", "rotation", "scale", "color"))]
    head += [f"element sh {count}", *(f"property uchar f_rest_{index}" for index in range(9)), "end_header", ""]
    bounds = np.sort(rng.normal(size=(2, 2, 2, 3)), axis=2).astype("<f4").tobytes()
    codes = rng.integers(0, 2**32, (count, 4), dtype=np.uint32).astype("<u4").tobytes()
    file.write_bytes("\n".join(head).encode() + bounds + codes + rng.integers(0, 256, (count, 9), np.uint8).tobytes())


def _write_unpacked_spz(file: Path, splats: Splats) -> None:
    write_splats(file, splats)
    file.write_bytes(gzip.decompress(file.read_bytes()))


def _write_spz4(file: Path) -> None:
    import zstandard

    count = 50
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 256, width * count, np.uint8).tobytes() for width in (9, 1, 3, 3, 4, 9)]
    packed = [zstandard.ZstdCompressor().compress(part) for part in parts]
    axes = struct.pack("<III", 0xADBE0003, 4, 6)
    head = struct.pack("<IIIBBBBI12x", 0x5053474E, 4, count, 1, 12, 2, len(parts), 32 + len(axes))
    table = b"".join(struct.pack("<QQ", len(small), len(part)) for small, part in zip(packed, parts, strict=True))
    file.write_bytes(head + axes + table + b"".join(packed))


def cube() -> Mesh:
    """A cube of side 1 with a corner at the origin."""
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float64)
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = np.array([triangle for a, b, c, d in sides for triangle in ((a, b, c), (a, c, d))])
    normals = ((corners - 0.5) / np.sqrt(0.75)).astype(np.float32)
    return Mesh(PointCloud(corners, (corners * 255).astype(np.uint8), normals), triangles)


def _proxy(box: Mesh) -> Proxy:
    uvs = box.vertices.positions[:, :2].astype(np.float32)
    hull = ((box.vertices.positions, box.triangles),)
    picture = _png(np.full((8, 8, 3), 90, np.uint8))
    return Proxy(box.vertices.positions, box.triangles, uvs, box.vertices.normals, picture, picture, picture, hull, np.eye(4))


def _png(pixels: np.ndarray) -> bytes:
    import io

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _ply_text(order: str) -> str:
    head = ["ply", f"format {order} 1.0", "comment by hand", "element strip 2", "property list uchar int index", "element vertex 4"]
    head += [*(f"property float {axis}" for axis in "xyz"), *(f"property uchar {name}" for name in ("red", "green", "blue")), "end_header"]
    return "\n".join([*head, "2 7 8", "1 3", *(f"{index} {index / 2} -1e-1 0 128 255" for index in range(4)), ""])


def _write_big_endian(file: Path, counter: str = "uchar", kind: str = "u1") -> None:
    head = _ply_text("binary_big_endian").split("end_header")[0].replace("list uchar", f"list {counter}") + "end_header\n"
    row = np.zeros(4, [("place", ">f4", 3), ("color", "u1", 3)])
    strips = b"".join(np.array(len(strip), kind).tobytes() + np.array(strip, ">i4").tobytes() for strip in ([7, 8], [3]))
    file.write_bytes(head.encode() + strips + row.tobytes())


def _points_text() -> str:
    return "# 3D points\n" + "".join(f"{index} {index}.5 -1 2e-1 10 20 30 0.5 1 2 2 7\n" for index in range(1, 6))


def _write_points_bin(file: Path) -> None:
    row = b"".join(struct.pack("<QdddBBBdQ", index, index, 2, 3, 10, 20, 30, 0.5, 1) + struct.pack("<ii", 1, 2) for index in range(5))
    file.write_bytes(struct.pack("<Q", 5) + row)


def _write_voxels(file: Path) -> None:
    values = np.random.default_rng(0).random((8, 8, 8)).astype(np.float32)
    write_voxels(file, Voxels(values, np.full((5, 3), 80, np.uint8)), full=values > 0.5)


def _write_binvox(file: Path) -> None:
    write_binvox(file, VoxelGrid(np.random.default_rng(0).random((8, 8, 8)) > 0.7))


_JOB = """schema = "1.0"
scene = "room.blend"
[capture]
out = "capture"
[train]
minutes = 3
[train.splat]
max_gaussians = 1000
[voxels]
images = ["chair.jpg"]
[import]
[place]
room = true
[render]
out = "picture.png"
"""

_RESULT = Result(
    status="done",
    method="splat",
    capture="/captures/room",
    settings={"method": "splat", "steps": 10, "splat": {"max_gaussians": 1000}},
    artifacts=(Artifact("splats", "splats.ply"), Artifact("metrics", "metrics.json")),
    metrics={"psnr": 20.0},
    timing={"total": 3.0},
    bounds=((0.0, 0.0, 0.0), (1.0, 2.0, 3.0)),
    up=(0.0, 0.0, 1.0),
    dimensions=(1.0, 2.0, 3.0),
    step=10,
)

_EVENTS = "".join(
    json.dumps({"schema": "1.0", "time": index, "event": kind, **values}) + "\n"
    for index, (kind, values) in enumerate(
        {
            "started": {"pid": 1, "stage": "train"},
            "progress": {"stage": "train", "step": 1, "steps": 10, "seconds": 1.0, "eta_seconds": 9.0, "loss": 0.1},
            "preview": {"path": "previews/1.png", "step": 1},
            "warning": {"message": "A sentence."},
            "done": {"metrics": {"psnr": 20.0}},
        }.items()
    )
)

_HEAD = {"camera_model": "OPENCV", "w": 24, "h": 16, "fl_x": 20.0, "fl_y": 20.0, "cx": 12.0, "cy": 8.0, "k1": 0.01, "p2": 0.001}


def _poses(count: int) -> list[np.ndarray]:
    """Cameras on a circle that look at the origin, [4, 4] with OpenGL axes."""
    poses = []
    for angle in np.arange(count) * 2 * np.pi / count:
        position = np.array([3 * np.cos(angle), 3 * np.sin(angle), 1.0])
        back = position / np.linalg.norm(position)
        right = np.cross([0, 0, 1], back) / np.linalg.norm(np.cross([0, 0, 1], back))
        pose = np.eye(4)
        pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(back, right), back, position
        poses.append(pose)
    return poses


def _picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (16, 24, 3), np.uint8)


def _nerfstudio(folder: Path) -> list[str]:
    frames = []
    for index, pose in enumerate(_poses(9)):
        names = {kind: f"{kind}/{index}.{suffix}" for kind, suffix in (("images", "png"), ("masks", "png"), ("depth", "npy"))}
        for name in names.values():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_picture(index)).save(folder / names["images"])
        Image.fromarray(np.full((16, 24), 255, np.uint8)).save(folder / names["masks"])
        np.save(folder / names["depth"], np.full((16, 24), 3, np.float32))
        frame = {"file_path": names["images"], "mask_path": names["masks"], "depth_file_path": names["depth"]}
        frames.append({**frame, "transform_matrix": pose.tolist()})
    write_points(folder / "points.ply", np.random.default_rng(0).normal(size=(50, 3)), np.zeros((50, 3), np.uint8))
    (folder / "transforms.json").write_text(json.dumps({**_HEAD, "ply_file_path": "points.ply", "frames": frames}, indent=1))
    return ["transforms.json", "images/0.png", "masks/0.png", "depth/0.npy", "points.ply"]


def _synthetic(folder: Path) -> list[str]:
    (folder / "train").mkdir(parents=True)
    frames = []
    for index, pose in enumerate(_poses(4)):
        Image.fromarray(np.dstack([_picture(index), np.full((16, 24), 200, np.uint8)])).save(folder / f"train/r_{index}.png")
        frames.append({"file_path": f"./train/r_{index}", "rotation": 0.01, "transform_matrix": pose.tolist()})
    (folder / "transforms_train.json").write_text(json.dumps({"camera_angle_x": 0.7, "frames": frames}))
    (folder / "transforms_test.json").write_text(json.dumps({"camera_angle_x": 0.7, "frames": frames[:1]}))
    return ["transforms_train.json", "transforms_test.json", "train/r_0.png"]


def _llff(folder: Path) -> list[str]:
    (folder / "images").mkdir(parents=True)
    rows = []
    for index, pose in enumerate(_poses(5)):
        Image.fromarray(_picture(index)).save(folder / f"images/{index}.jpg")
        table = np.concatenate([pose[:3, [1, 0, 2, 3]] * [-1, 1, 1, 1], [[16], [24], [20]]], axis=1)
        rows.append([*table.ravel(), 1.0, 9.0])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return ["poses_bounds.npy", "images/0.jpg"]


def _solved(folder: Path) -> list[tuple[int, np.ndarray, np.ndarray, str]]:
    """Pictures in images/, and of each its number, quaternion, translation and name as COLMAP has them."""
    from engine.rotations import quaternions

    (folder / "images").mkdir(parents=True)
    (folder / "sparse" / "0").mkdir(parents=True)
    images = []
    for index, pose in enumerate(_poses(5), 1):
        Image.fromarray(_picture(index)).save(folder / f"images/{index}.jpg")
        rotation = (pose[:3, :3] * [1, -1, -1]).T
        images.append((index, quaternions(rotation[None])[0], -rotation @ pose[:3, 3], f"{index}.jpg"))
    return images


def _colmap(folder: Path) -> list[str]:
    images, model = _solved(folder), folder / "sparse" / "0"
    (model / "cameras.bin").write_bytes(struct.pack("<QiiQQdddd", 1, 1, 1, 24, 16, 20, 20, 12, 8))
    rows = (struct.pack("<i7di", index, *quat, *offset, 1) + name.encode() + bytes(9) for index, quat, offset, name in images)
    (model / "images.bin").write_bytes(struct.pack("<Q", len(images)) + b"".join(rows))
    _write_points_bin(model / "points3D.bin")
    return [f"sparse/0/{name}.bin" for name in ("cameras", "images", "points3D")]


def _colmap_texts(folder: Path) -> list[str]:
    images, model = _solved(folder), folder / "sparse" / "0"
    (model / "cameras.txt").write_text("# Cameras\n1 OPENCV 24 16 20 20 12 8 0.01 0 0 0\n")
    rows = (f"{index} {' '.join(map(str, [*quat, *offset]))} 1 {name}\n1.5 2.5 -1\n" for index, quat, offset, name in images)
    (model / "images.txt").write_text("# Images\n" + "".join(rows))
    (model / "points3D.txt").write_text(_points_text())
    return [f"sparse/0/{name}.txt" for name in ("cameras", "images", "points3D")]
