# SPDX-License-Identifier: GPL-3.0-or-later
"""COLMAP's sparse models: cameras, images and points3D, as .bin and as .txt (https://colmap.github.io/format.html)."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..contract.errors import UserError

_HINT = "Export the model again from COLMAP."
# In the order of COLMAP's own numbers.
_MODELS = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8), ("OPENCV_FISHEYE", 8), ("FULL_OPENCV", 12),
    ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4), ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12),
)  # fmt: skip
_UNDISTORT = "Undistort the pictures with colmap image_undistorter."
_READ = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")


@dataclass(frozen=True)
class ColmapCamera:
    """Intrinsics in pixels, with OpenCV's distortion."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0


@dataclass(frozen=True)
class ColmapImage:
    """A registered picture: world-to-camera, OpenCV axes, quaternion w x y z."""

    name: str
    camera: int
    qvec: tuple[float, float, float, float]
    tvec: tuple[float, float, float]


class _Bytes:
    """Numbers from a file, never past its end."""

    def __init__(self, file: Path):
        self.file, self.data, self.offset = file, _read(file), 0

    def take(self, layout: struct.Struct) -> tuple:
        if self.offset + layout.size > len(self.data):
            raise _damaged(self.file)
        values = layout.unpack_from(self.data, self.offset)
        self.offset += layout.size
        return values

    def count(self, least: int) -> int:
        """A number of records that take at least so many bytes each."""
        (count,) = self.take(_COUNT)
        if count * least > len(self.data) - self.offset:
            raise _damaged(self.file)
        return count

    def skip(self, size: int) -> None:
        if size > len(self.data) - self.offset:
            raise _damaged(self.file)
        self.offset += size

    def text(self) -> str:
        end = self.data.find(b"\0", self.offset)
        if end < 0:
            raise _damaged(self.file)
        text = self.data[self.offset : end].decode("utf-8", errors="replace")
        self.offset = end + 1
        return text


_COUNT = struct.Struct("<Q")
_CAMERA = struct.Struct("<iiQQ")
_IMAGE = struct.Struct("<i7di")
_POINT = struct.Struct("<Q3d3BdQ")


def model_folder(folder: Path) -> Path | None:
    """Where a capture's model lies: sparse/0 or sparse; None where there is none."""
    for candidate in (folder / "sparse" / "0", folder / "sparse"):
        if any((candidate / f"images.{kind}").is_file() for kind in ("bin", "txt")):
            return candidate
    return None


def read_model(folder: Path) -> tuple[dict[int, ColmapCamera], list[ColmapImage], Path | None]:
    """Reads a model.

    Args:
        folder: holds cameras and images, and maybe points3D, as .bin or .txt; .bin is taken where both are there.

    Returns:
        The cameras by number, the pictures, and the path of points3D.

    Raises:
        UserError: a file is missing or damaged, or a lens model is not read.
    """
    cameras_file, images_file, points = _find(folder, "cameras"), _find(folder, "images"), _find(folder, "points3D")
    if cameras_file is None or images_file is None:
        raise UserError(f"{folder} holds no whole COLMAP model: cameras or images is missing.", _HINT)
    cameras = _cameras_bin(cameras_file) if cameras_file.suffix == ".bin" else _cameras_txt(cameras_file)
    images = _images_bin(images_file) if images_file.suffix == ".bin" else _images_txt(images_file)
    for image in images:
        if image.camera not in cameras:
            raise UserError(f"{images_file}: {image.name} names camera {image.camera}, which {cameras_file.name} does not have.", _HINT)
    return cameras, images, points


def read_points3d(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The points of points3D.bin or .txt: positions [N, 3] float64 and colours [N, 3] uint8.

    Raises:
        UserError: the file is missing or damaged.
    """
    rows = []
    if file.suffix.lower() == ".bin":
        data = _Bytes(file)
        for _ in range(data.count(_POINT.size)):
            _, x, y, z, r, g, b, _, track = data.take(_POINT)
            data.skip(track * 8)
            rows.append((x, y, z, r, g, b))
    else:
        for words in _rows(file):
            try:
                rows.append((*map(float, words[1:4]), *map(int, words[4:7])))
            except ValueError:
                raise _damaged(file) from None
            if len(rows[-1]) != 6 or not all(0 <= value <= 255 for value in rows[-1][3:]):
                raise _damaged(file)
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return table[:, :3].copy(), table[:, 3:].astype(np.uint8)


def _find(folder: Path, name: str) -> Path | None:
    return next((file for kind in ("bin", "txt") if (file := folder / f"{name}.{kind}").is_file()), None)


def _damaged(file: Path) -> UserError:
    return UserError(f"{file} is cut short or damaged.", _HINT)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None


def _lines(file: Path) -> list[str]:
    lines = _read(file).decode("utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if not line.startswith("#")]


def _rows(file: Path) -> Iterator[list[str]]:
    return (line.split() for line in _lines(file) if line)


def _camera(file: Path, model: str, width: int, height: int, p: tuple[float, ...]) -> ColmapCamera:
    if model not in _READ:
        raise UserError(f"{file} uses the lens model {model}; {', '.join(_READ)} are read.", _UNDISTORT)
    if len(p) != dict(_MODELS)[model]:
        raise _damaged(file)
    if model == "SIMPLE_PINHOLE":
        return ColmapCamera(width, height, p[0], p[0], p[1], p[2])
    if model == "PINHOLE":
        return ColmapCamera(width, height, *p)
    if model in ("SIMPLE_RADIAL", "RADIAL"):
        return ColmapCamera(width, height, p[0], p[0], p[1], p[2], *p[3:])
    return ColmapCamera(width, height, *p)


def _cameras_bin(file: Path) -> dict[int, ColmapCamera]:
    data = _Bytes(file)
    cameras = {}
    for _ in range(data.count(_CAMERA.size)):
        number, model, width, height = data.take(_CAMERA)
        if not 0 <= model < len(_MODELS):
            raise UserError(f"{file} uses lens model number {model}, which is not read.", _UNDISTORT)
        name, count = _MODELS[model]
        cameras[number] = _camera(file, name, width, height, data.take(struct.Struct(f"<{count}d")))
    return cameras


def _cameras_txt(file: Path) -> dict[int, ColmapCamera]:
    cameras = {}
    for words in _rows(file):
        try:
            number, width, height = int(words[0]), int(words[2]), int(words[3])
            parameters = tuple(map(float, words[4:]))
        except (ValueError, IndexError):
            raise _damaged(file) from None
        cameras[number] = _camera(file, words[1], width, height, parameters)
    return cameras


def _images_bin(file: Path) -> list[ColmapImage]:
    data = _Bytes(file)
    images = []
    for _ in range(data.count(_IMAGE.size + 1)):
        values = data.take(_IMAGE)
        name = data.text()
        data.skip(data.count(24) * 24)
        images.append(_image(file, name, values[8], values[1:5], values[5:8]))
    return images


def _images_txt(file: Path) -> list[ColmapImage]:
    lines = _lines(file)
    images = []
    # Every second line holds the picture's points, and may be empty.
    for line in lines[::2]:
        words = line.split(maxsplit=9)
        if not words:
            continue
        try:
            numbers = tuple(map(float, words[1:8]))
            camera, name = int(words[8]), words[9]
        except (ValueError, IndexError):
            raise _damaged(file) from None
        images.append(_image(file, name, camera, numbers[:4], numbers[4:]))
    return images


def _image(file: Path, name: str, camera: int, qvec: tuple, tvec: tuple) -> ColmapImage:
    if not all(map(math.isfinite, (*qvec, *tvec))) or not any(qvec):
        raise UserError(f"{file}: the pose of {name} is not finite.", _HINT)
    return ColmapImage(name, camera, qvec, tvec)
