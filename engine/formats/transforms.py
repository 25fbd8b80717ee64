# SPDX-License-Identifier: GPL-3.0-or-later
"""transforms.json: nerfstudio's, instant-ngp's, our own, and the pair transforms_train/test.json of the NeRF-synthetic scenes."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ..contract.capture import Frame, check_frame
from ..contract.errors import UserError
from ..contract.parsing import escaped
from ..contract.result import replacing
from .image_sizes import picture_size
from .layouts import CaptureFiles, shown

TRANSFORMS = "transforms.json"
# What our own files say about who made the images.
Source = Literal["blender", "nerf_synthetic", "nerfstudio", "colmap"]
_HINT = "Export the capture again."
_INTRINSICS = ("w", "h", "fl_x", "fl_y", "cx", "cy")
_DISTORTION = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_OTHERS = {"depth_file_path": "depth", "mask_path": "mask", "normal_file_path": "normals", "albedo_file_path": "albedo"}

_PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV")
_FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "FISHEYE")
_LENS_KEYS = frozenset((*_INTRINSICS, *_DISTORTION, "camera_angle_x", "camera_angle_y", "camera_model", "is_fisheye"))
# Flags of instant-ngp and others that make the images no perspective ones.
_PANORAMAS = ("latlong", "equirectangular", "is_equirectangular", "ftheta_p0", "orthographic", "is_orthographic")
# What a key that is not read says about the lens, by its name.
_LENS_LIKE = re.compile(r"[kpsb]\d+|.*(distort|fisheye|shutter|lens|ortho|fov|focal|principal|skew|panoram|ftheta|latlong|equirect).*")
# Values that say so under any key.
_OTHER_LENSES = ("fisheye", "FISHEYE", "OPENCV_FISHEYE", "equirectangular", "EQUIRECTANGULAR", "spherical", "panorama")
_SPLITS = ("train_filenames", "val_filenames", "test_filenames")

# A list or an object of JSON takes up to 100 bytes in memory, whatever it holds. No capture comes near these sizes.
_MAX_FILE, _MAX_CONTAINERS = 1 << 29, (2 << 30) // 100


@dataclass
class Transforms:
    """What one such file says.

    ``missing`` names frames without an image. ``notes`` are sentences about what was not used or not understood. ``fps`` is the rate of a
    camera path, frames a second. ``has_split`` tells whether the file itself says which frames are held out.
    """

    frames: list[Frame] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    source: str = ""
    scale: str = ""
    points: Path | None = None
    fps: float | None = None
    has_split: bool = False


def read_transforms(file: Path, *, test: bool = False, pictures: bool = True) -> Transforms:
    """Reads the frames of a transforms file.

    Args:
        file: the JSON file. Names in it are relative to its folder; see :class:`CaptureFiles` for what else is found.
        test: marks all frames as held out.
        pictures: whether frames need an image; without, the file is a camera path to render along, and names none or new ones.

    Returns:
        The frames whose image is there (or need not be), in the file's order.

    Raises:
        UserError: the file is missing, is not JSON, has no frames, or a bad camera.
    """
    table = _load(file)
    listed = table.get("frames")
    if listed is None and "camera_path" in table:
        raise UserError(
            f"{file} is a camera path of nerfstudio's viewer, which has turned and scaled the world.",
            "Give a transforms.json whose cameras are in the capture's own world.",
        )
    if not isinstance(listed, list) or not listed:
        raise UserError(f"{file} has no frames.", _HINT)
    found = Transforms()
    # Other programs have keys of these names for other things.
    if table.get("source") in get_args(Source):
        found.source, found.scale = table["source"], table["scale"] if table.get("scale") in ("metric", "unknown") else ""
    if not pictures and table.get("fps") is not None:
        found.fps = _number(table["fps"], "fps", file)
    names = [_named(entry, number, file, pictures) for number, entry in enumerate(listed)]
    files = CaptureFiles(file.parent)
    paths = files.images(names) if pictures else [None] * len(names)
    reader = _FrameReader(file, table, files, found)
    held_out = _held_out(table)
    found.has_split = held_out is not None
    for name, path, entry in zip(names, paths, listed, strict=True):
        if path is None and pictures:
            _matrix(entry.get("transform_matrix"), name, file)
            found.missing.append(name)
            continue
        found.frames.append(reader.read(entry, name, path, test or (held_out is not None and held_out(name))))
    reader.note()
    points = table.get("ply_file_path")
    if isinstance(points, str) and points:
        cloud = files.other(points)
        found.points = Path(cloud) if cloud else None
        if cloud is None:
            found.notes.append(f"{file.name} names the points {shown(points)}, which are not there.")
    elif points:
        found.notes.append(f"{file.name} names no file by ply_file_path, which is not read.")
    return found


def write_transforms(
    folder: Path,
    frames: Sequence[Frame],
    *,
    source: Source,
    scale: Literal["metric", "unknown"],
    ply_file_path: str | None = None,
    extra: Mapping[str, Any] | None = None,
    name: str = TRANSFORMS,
) -> Path:
    """Writes transforms.json, completely or not at all.

    Args:
        folder: the capture's folder; every file of the frames lies in it.
        frames: at least one. Intrinsics that all share are written once. ``test`` is not written: readers hold out every 8th view.
        source: who made the images.
        scale: whether the world's unit is the meter.
        ply_file_path: the seed cloud, relative to the folder.
        extra: further keys of the file, plain JSON values.
        name: the file's, where it is a camera path and no capture.

    Returns:
        The file.

    Raises:
        UserError: a frame is not usable or lies outside the folder, or the disk is full.
    """
    file = folder / name
    if not frames:
        raise UserError(f"{file}: there are no views to write.")
    if len({frame.fisheye for frame in frames}) > 1:
        raise UserError(f"{file}: fisheye and perspective cameras do not fit in one file.", "Write them to two folders.")
    lens = _DISTORTION if any(any(frame.distortion[4:]) or frame.fisheye for frame in frames) else _DISTORTION[:4]
    entries = []
    for frame in frames:
        check_frame(frame, file)
        entry: dict[str, Any] = {"file_path": _relative(folder, frame.image, file)}
        entry |= {key: _relative(folder, path, file) for key, name in _OTHERS.items() if (path := getattr(frame, name)) is not None}
        entry |= {key: getattr(frame, key) for key in (*_INTRINSICS, *lens)}
        entry["transform_matrix"] = [list(map(float, row)) for row in frame.transform_matrix]
        entries.append(entry)
    model = "OPENCV_FISHEYE" if frames[0].fisheye else "FULL_OPENCV" if lens == _DISTORTION else "OPENCV"
    table: dict[str, Any] = {"camera_model": model, "source": source, "scale": scale, **(extra or {})}
    for key in (*_INTRINSICS, *lens):
        if len({entry[key] for entry in entries}) == 1:
            table[key] = entries[0][key]
            for entry in entries:
                del entry[key]
    if ply_file_path is not None:
        table["ply_file_path"] = ply_file_path
    table["frames"] = entries
    with replacing(file) as temporary:
        text = json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        temporary.write_text(escaped(text), encoding="utf-8")
    return file


def _load(file: Path) -> dict[str, Any]:
    try:
        size = os.stat(file).st_size
        data = file.read_bytes() if size <= _MAX_FILE else b""
        if size > _MAX_FILE or data.count(b"[") + data.count(b"{") > _MAX_CONTAINERS:
            raise UserError(f"{file} is larger than any capture: {size / 1e6:,.0f} MB.", "Split it into smaller captures.")
        table = json.loads(data)
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.", "Choose the folder of a capture.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{file} is not valid JSON (line {error.lineno}, column {error.colno}); it may be cut short.", "Correct it or export it again."
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not valid JSON: it is not UTF-8 text.", _HINT) from None
    except (ValueError, RecursionError):
        raise UserError(f"{file} is not valid JSON: a number is too long, or it is nested too deep.", _HINT) from None
    except MemoryError:
        raise UserError(f"{file} does not fit in memory.", "Split it into smaller captures.", "out_of_memory") from None
    if not isinstance(table, dict):
        raise UserError(f"{file} is not a capture's transforms file.", _HINT)
    return table


def _named(entry: Any, number: int, file: Path, pictures: bool) -> str:
    if not isinstance(entry, dict):
        raise UserError(f"{file}: frame {number} is not a table.", _HINT)
    name = entry.get("file_path")
    if isinstance(name, str) and name.strip("./\\ "):
        return name
    if not pictures:
        return f"{number:05d}.png"
    raise UserError(f"{file}: frame {number} names no image.", "Give its file_path.")


def _held_out(table: dict[str, Any]) -> Callable[[str], bool] | None:
    """Tells whether a frame of a name is held out, as nerfstudio's lists of file names say; None if the file has none."""
    lists = {key: {name for name in table[key] if isinstance(name, str)} for key in _SPLITS if isinstance(table.get(key), list)}
    train, others = lists.get("train_filenames"), lists.get("val_filenames", set()) | lists.get("test_filenames", set())
    if train and others:
        return lambda name: name not in train
    return (lambda name: name in others) if others else None


class _FrameReader:
    """Reads the entries of one file, and counts what it does not use."""

    def __init__(self, file: Path, table: dict[str, Any], files: CaptureFiles, found: Transforms):
        self.file, self.files, self.found = file, files, found
        self.base = os.path.join(file.parent, "")
        self.shared = {key: value for key, value in table.items() if key in _LENS_KEYS}
        # Frames without a lens of their own share one for each size of image.
        self.lenses: dict[tuple[int, int] | None, dict[str, Any]] = {}
        self.unread: dict[str, bool] = {}
        self.unused: Counter[tuple[str, str]] = Counter()
        for key in table.keys() - _HEAD_KEYS:
            self._unread(key, table[key])

    def read(self, entry: dict[str, Any], name: str, image: str | None, test: bool) -> Frame:
        matrix = _matrix(entry.get("transform_matrix"), name, self.file)
        for key in entry.keys() - _FRAME_KEYS:
            self._unread(key, entry[key])
        own = {key: value for key, value in entry.items() if key in _LENS_KEYS}
        values = {**self.shared, **own} if own else self.shared
        size = None
        if values.get("w") is None or values.get("h") is None:
            if image is None:
                raise UserError(f"{self.file}: {shown(name)} has no size.", "Give w and h in pixels.")
            size = picture_size(Path(image))
        if own:
            lens = _lens(values, size, name, self.file)
        elif (lens := self.lenses.get(size)) is None:
            lens = self.lenses[size] = _lens(values, size, name, self.file)
        others = {other: self._other(entry[key], key) for key, other in _OTHERS.items() if entry.get(key)}
        frame = Frame(
            name=_name(image, name, self.base),
            image=Path(image) if image else self.file.parent / shown(name),
            transform_matrix=matrix,
            test=test,
            **lens,
            **others,
        )
        check_frame(frame, self.file)
        return frame

    def note(self) -> None:
        """Puts what was counted into sentences."""
        file, found = self.file.name, self.found
        lens = sorted(key for key, given in self.unread.items() if given)
        if lens:
            keys = ", ".join(map(shown, lens[:5]))
            found.notes.append(f"{file} describes the lens by {keys}, which is not read; images may not fit their cameras.")
        for (key, reason), count in sorted(self.unused.items()):
            found.notes.append(f"{count} of {len(found.frames)} files that {file} names by {key} {reason}, and are not used.")
        found.notes += replaced_notes(self.files, file)

    def _unread(self, key: str, value: Any) -> None:
        if not self.unread.get(key):
            given = value not in (None, False, 0, "", []) and not (isinstance(value, list) and not any(value))
            if given and key in _PANORAMAS:
                raise UserError(f"{self.file}: {key} says that the images are no perspective ones.", _UNDISTORT)
            self.unread[key] = given and (_LENS_LIKE.fullmatch(key) is not None or value in _OTHER_LENSES)

    def _other(self, name: Any, key: str) -> Path | None:
        path = self.files.other(name) if isinstance(name, str) and name else None
        if path is None:
            self.unused[key, "are not there"] += 1
            return None
        if key in ("depth_file_path", "normal_file_path") and not path.lower().endswith(".npy"):
            # The unit of depth in other programs' images is not known here.
            self.unused[key, "are not .npy"] += 1
            return None
        return Path(path)


_FRAME_KEYS = _LENS_KEYS | {*_OTHERS, "file_path", "transform_matrix"}
_HEAD_KEYS = _LENS_KEYS | {*_SPLITS, "frames", "ply_file_path"}
_UNDISTORT = "Undistort the images to perspective ones."


def replaced_notes(files: CaptureFiles, named_by: str) -> list[str]:
    """Says which files were taken that do not lie where they are named."""
    if not files.replaced:
        return []
    (name, path), count = files.replaced[0], len(files.replaced)
    missed = f"1 file is not where {named_by} names it" if count == 1 else f"{count} files are not where {named_by} names them"
    more = "" if count == 1 else ", and so on"
    return [f"{missed}; the same name elsewhere is used instead: {shown(path)} for {shown(name)}{more}."]


def _lens(values: Mapping[str, Any], size: tuple[int, int] | None, name: str, file: Path) -> dict[str, Any]:
    """The intrinsics and distortion of a frame."""
    where = f"of {shown(name)}"

    def number(key: str) -> float | None:
        return None if values.get(key) is None else _number(values[key], f"{key} {where}", file)

    model = values.get("camera_model") or "OPENCV"
    if not isinstance(model, str) or model.upper() not in (*_PERSPECTIVE, *_FISHEYE):
        read = ", ".join((*_PERSPECTIVE, *_FISHEYE))
        raise UserError(f"{file} uses the camera model {shown(str(model))!r}; {read} are read.", _UNDISTORT)
    fisheye = model.upper() in _FISHEYE or bool(values.get("is_fisheye"))
    w, h = size or (number("w"), number("h"))
    w, h = round(w), round(h)
    fl_x = number("fl_x") or _focal(number("camera_angle_x"), w)
    fl_y = number("fl_y") or _focal(number("camera_angle_y"), h)
    if fl_x is None and fl_y is None:
        raise UserError(
            f"{file}: {shown(name)} has neither a focal length nor an angle of view.", "Give fl_x in pixels or camera_angle_x in radians."
        )
    # One of the two means square pixels, and so does camera_angle_x alone.
    fl_x, fl_y = fl_x or fl_y, fl_y or fl_x
    cx, cy = number("cx"), number("cy")
    lens: dict[str, Any] = {key: number(key) or 0.0 for key in _DISTORTION}
    lens["fisheye"] = fisheye
    unread = ("p1", "p2", "k5", "k6") if fisheye else () if model.upper() == "FULL_OPENCV" else ("k4", "k5", "k6")
    for key in unread:
        if lens[key]:
            # Metashape's and nerfstudio's k4 is a factor of r⁸, OpenCV's divides.
            hint = _UNDISTORT if fisheye else f'{_UNDISTORT[:-1]}, or give the camera_model "FULL_OPENCV" if {key} is OpenCV\'s.'
            raise UserError(f"{file}: the distortion {key} {where} is not read with the camera model {model}.", hint)
    return {"w": w, "h": h, "fl_x": fl_x, "fl_y": fl_y, "cx": w / 2 if cx is None else cx, "cy": h / 2 if cy is None else cy, **lens}


def _name(image: str | None, named: str, base: str) -> str:
    """What a view is called: its image's path in the capture, without images/; the last two parts of one that lies elsewhere.

    Args:
        image: its path, or None. named: how the file names it. base: the capture's folder, with a separator at its end.
    """
    inside = image is None or image.startswith(base)
    path = (named if image is None else image.removeprefix(base)).replace("\\", "/")
    if inside and path.startswith("images/") and ".." not in path:
        return shown(path[7:])
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    if not inside or ".." in path:
        parts = parts[-2:]
    return shown("/".join(parts[1:] if parts[0] == "images" and len(parts) > 1 else parts))


def _relative(folder: Path, path: Path, file: Path) -> str:
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        raise UserError(f"{file}: {path} lies outside the capture's folder.", "Move it inside.") from None


def _number(value: Any, what: str, file: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(f"{file}: {what} is not a number.", _HINT)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UserError(f"{file}: {what} is not finite.", _HINT)
    return number


def _matrix(rows: Any, name: str, file: Path) -> tuple[tuple[float, float, float, float], ...]:
    try:
        shape = list(map(len, rows)) if isinstance(rows, list) else []
    except TypeError:
        shape = []
    if shape not in ([4] * 4, [4] * 3) or not all(type(row) is list for row in rows):
        raise UserError(f"{file}: {shown(name)} has no 4×4 transform_matrix.", _HINT)
    for row in rows:
        if set(map(type, row)) != {float}:
            what = f"the matrix of {shown(name)}"
            rows = [[_number(value, what, file) for value in row] for row in rows]
            break
    matrix = tuple(map(tuple, rows))
    return matrix if len(matrix) == 4 else (*matrix, (0.0, 0.0, 0.0, 1.0))


def _focal(angle: float | None, side: int) -> float | None:
    if angle is None or not 0 < angle < math.pi:
        return None
    return 0.5 * side / math.tan(0.5 * angle)
