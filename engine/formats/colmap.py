# SPDX-License-Identifier: GPL-3.0-or-later
"""COLMAP's sparse models: cameras, images and points3D, as .bin and as .txt (https://colmap.github.io/format.html)."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..contract.errors import UserError
from .layouts import shown

_HINT = "Export the model again from COLMAP."
# In the order of COLMAP's own numbers: the name, and how many parameters.
_MODELS = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8), ("OPENCV_FISHEYE", 8), ("FULL_OPENCV", 12),
    ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4), ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12), ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
)  # fmt: skip
# Names of the parameters after cx and cy. Those without a counterpart here must be 0.
_DISTORTION = {
    "SIMPLE_PINHOLE": (),
    "PINHOLE": (),
    "SIMPLE_RADIAL": ("k1",),
    "RADIAL": ("k1", "k2"),
    "OPENCV": ("k1", "k2", "p1", "p2"),
    "FULL_OPENCV": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "OPENCV_FISHEYE": ("k1", "k2", "k3", "k4"),
    "SIMPLE_RADIAL_FISHEYE": ("k1",),
    "RADIAL_FISHEYE": ("k1", "k2"),
    "THIN_PRISM_FISHEYE": ("k1", "k2", "", "", "k3", "k4", "", ""),
}
# Models with one focal length.
_SIMPLE = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")
# Longer lines of images.txt are an image's points.
_MAX_LINE = 1 << 16
_UNDISTORT = "Undistort the photos with colmap image_undistorter."


@dataclass(frozen=True)
class ColmapCamera:
    """Intrinsics in pixels, with OpenCV's distortion; of a ``fisheye`` lens k1 to k4 are those of OpenCV's fisheye model."""

    w: int
    h: int
    fl_x: float
    fl_y: float
    cx: float
    cy: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    k5: float = 0.0
    k6: float = 0.0
    fisheye: bool = False


@dataclass(frozen=True, slots=True)
class ColmapImage:
    """A registered image: world-to-camera, OpenCV axes, quaternion w x y z. ``name`` is as in the file, bytes that are no UTF-8 escaped."""

    name: str
    camera: int
    qvec: tuple[float, float, float, float]
    tvec: tuple[float, float, float]


class _Bytes:
    """Numbers from a file, never past its end."""

    def __init__(self, file: Path):
        self.file, self.offset = file, 0
        try:
            self.data = file.read_bytes()
        except OSError as error:
            raise _unreadable(file, error) from None

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
        text = self.data[self.offset : end].decode("utf-8", errors="surrogateescape")
        self.offset = end + 1
        return text


_COUNT = struct.Struct("<Q")
_CAMERA = struct.Struct("<iiQQ")
_IMAGE = struct.Struct("<i7di")
_POINT = struct.Struct("<Q3d3BdQ")


def read_model(folder: Path) -> tuple[dict[int, ColmapCamera], list[ColmapImage], Path | None]:
    """Reads a model.

    Args:
        folder: holds cameras and images, and maybe points3D, as .bin or .txt; .bin is taken if both are there.

    Returns:
        The cameras that images have, by number; the images; and the path of points3D.

    Raises:
        UserError: a file is missing or damaged, or a lens model is not read.
    """
    cameras_file, images_file, points = _find(folder, "cameras"), _find(folder, "images"), _find(folder, "points3D")
    if cameras_file is None or images_file is None:
        missing = "cameras" if cameras_file is None else "images"
        raise UserError(f"{folder} holds no complete COLMAP model: {missing}.bin or {missing}.txt is missing.", _HINT)
    listed = _cameras_bin(cameras_file) if cameras_file.suffix == ".bin" else _cameras_txt(cameras_file)
    images = _images_bin(images_file) if images_file.suffix == ".bin" else _images_txt(images_file)
    cameras: dict[int, ColmapCamera] = {}
    for image in images:
        if image.camera not in listed:
            name = shown(image.name)
            raise UserError(f"{images_file}: {name} names camera {image.camera}, which {cameras_file.name} does not have.", _HINT)
        if image.camera not in cameras:
            cameras[image.camera] = _camera(cameras_file, image.camera, *listed[image.camera])
    return cameras, images, points


def read_points3d(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The points of points3D.bin or .txt: positions [N, 3] float64 and colors [N, 3] uint8.

    Raises:
        UserError: the file is missing or damaged.
    """
    values = array("d")
    if file.suffix.lower() == ".bin":
        data = _Bytes(file)
        for _ in range(data.count(_POINT.size)):
            _, *point, _, track = data.take(_POINT)
            data.skip(track * 8)
            values.extend(point)
    else:
        for number, line in _lines(file):
            words = line.split(maxsplit=7)
            try:
                color = tuple(map(int, words[4:7]))
                values.extend((*map(float, words[1:4]), *color))
            except (ValueError, OverflowError):
                raise _damaged(file, number) from None
            if len(words) < 7 or not all(0 <= value <= 255 for value in color):
                raise _damaged(file, number)
    table = np.frombuffer(values, dtype=np.float64).reshape(-1, 6)
    return table[:, :3].copy(), table[:, 3:].astype(np.uint8)


def _find(folder: Path, name: str) -> Path | None:
    return next((file for kind in ("bin", "txt") if (file := folder / f"{name}.{kind}").is_file()), None)


def _damaged(file: Path, line: int | None = None) -> UserError:
    where = "" if line is None else f" in line {line}"
    return UserError(f"{file} is cut short or damaged{where}.", _HINT)


def _unreadable(file: Path, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"There is no file {file}.")
    return UserError(f"{file} cannot be read: {error.strerror or error}.")


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, without comments and blank ones."""
    try:
        with open(file, "rb") as stream:
            wide = stream.read(2) in (b"\xff\xfe", b"\xfe\xff")  # as Windows' PowerShell writes
        with open(file, encoding="utf-16" if wide else "utf-8-sig", errors="replace" if wide else "surrogateescape") as stream:
            for number, line in enumerate(stream, 1):
                line = line.strip()
                if line and not line.startswith("#"):
                    yield number, line
    except OSError as error:
        raise _unreadable(file, error) from None


def _camera(file: Path, number: int, model: str, width: int, height: int, p: tuple[float, ...]) -> ColmapCamera:
    if model not in _DISTORTION:
        raise UserError(f"{file}: camera {number} has the lens model {shown(model)}; {', '.join(_DISTORTION)} are read.", _UNDISTORT)
    count = dict(_MODELS)[model]
    if len(p) != count:
        raise UserError(f"{file}: camera {number} has {len(p)} parameters, but the lens model {model} has {count}.", _HINT)
    f, rest = ((p[0], p[0]), p[1:]) if model in _SIMPLE else (p[:2], p[2:])
    distortion = tuple(zip(_DISTORTION[model], rest[2:], strict=True))
    if any(value for name, value in distortion if not name):
        raise UserError(f"{file}: camera {number} has terms of the lens model {model} that are not read.", _UNDISTORT)
    fisheye = model.endswith("FISHEYE")
    return ColmapCamera(width, height, *f, *rest[:2], fisheye=fisheye, **{name: value for name, value in distortion if name})


def _cameras_bin(file: Path) -> dict[int, tuple]:
    data = _Bytes(file)
    cameras = {}
    for _ in range(data.count(_CAMERA.size)):
        number, model, width, height = data.take(_CAMERA)
        if not 0 <= model < len(_MODELS):
            raise UserError(f"{file} uses lens model number {model}, which is not read.", _UNDISTORT)
        name, count = _MODELS[model]
        cameras[number] = (name, width, height, data.take(struct.Struct(f"<{count}d")))
    return cameras


def _cameras_txt(file: Path) -> dict[int, tuple]:
    cameras = {}
    for number, line in _lines(file):
        words = line.split(maxsplit=32)
        try:
            cameras[int(words[0])] = (words[1], int(words[2]), int(words[3]), tuple(map(float, words[4:])))
        except (ValueError, IndexError):
            raise _damaged(file, number) from None
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
    images = []
    for number, line in _lines(file):
        # Below each image's line is one of its points, triples x y ID, which may be blank or missing.
        if len(line) > _MAX_LINE or (len(words := line.split()) % 3 == 0 and _is_whole(words[-1])):
            continue
        words = line.split(maxsplit=9)
        try:
            numbers, camera, name = tuple(map(float, words[1:8])), int(words[8]), words[9]
        except (ValueError, IndexError):
            raise _damaged(file, number) from None
        images.append(_image(file, name, camera, numbers[:4], numbers[4:]))
    return images


def _is_whole(word: str) -> bool:
    try:
        int(word)
    except ValueError:
        return False
    return True


def _image(file: Path, name: str, camera: int, qvec: tuple, tvec: tuple) -> ColmapImage:
    if not all(map(math.isfinite, (*qvec, *tvec))) or not any(qvec):
        raise UserError(f"{file}: the pose of {shown(name)} is not finite.", _HINT)
    return ColmapImage(name, camera, qvec, tvec)
