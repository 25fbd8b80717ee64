# SPDX-License-Identifier: GPL-3.0-or-later
"""transforms.json: nerfstudio's, our own, and the pair transforms_train/test.json of the NeRF-synthetic scenes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..contract.capture import Frame, check_frame
from ..contract.errors import UserError
from ..contract.result import inside, replacing
from .pictures import picture_size

TRANSFORMS = "transforms.json"
_HINT = "Export the capture again."
_INTRINSICS = ("w", "h", "fl_x", "fl_y", "cx", "cy")
_DISTORTION = ("k1", "k2", "p1", "p2")
_OTHERS = {"depth_file_path": "depth", "mask_path": "mask", "normal_file_path": "normals", "albedo_file_path": "albedo"}
_MAX_SIDE = 1 << 16


@dataclass
class Transforms:
    """What one such file says. ``missing`` counts frames without a picture, ``passed_over`` other files that are not there or not read.
    ``fps`` is how many frames of a camera path pass in a second.
    """

    frames: list[Frame] = field(default_factory=list)
    missing: int = 0
    passed_over: int = 0
    source: str = ""
    scale: str = ""
    points: Path | None = None
    fps: float | None = None


def read_transforms(file: Path, *, test: bool = False, pictures: bool = True) -> Transforms:
    """Reads the frames of a transforms file.

    Args:
        file: the JSON file; its pictures lie in the same folder or below.
        test: marks all frames as held out.
        pictures: whether frames need a picture; without, the file is a camera path to render along, and names none or new ones.

    Returns:
        The frames whose picture is there (or need not be), in the file's order.

    Raises:
        UserError: the file is missing, is not JSON, has no frames, a bad camera, or names a file outside its folder.
    """
    table = _load(file)
    listed = table.get("frames")
    if listed is None and "camera_path" in table:
        raise UserError(
            f"{file} is a camera path of nerfstudio's viewer, which has turned and scaled the world.",
            "Give a transforms.json whose cameras stand in the capture's own world.",
        )
    if not isinstance(listed, list) or not listed:
        raise UserError(f"{file} has no frames.", _HINT)
    model = table.get("camera_model", "OPENCV")
    if model not in ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "SIMPLE_RADIAL", "RADIAL"):
        raise UserError(f"{file} uses the camera model {model!r}, which is not read.", "Undistort the pictures to a perspective camera.")
    found = Transforms(source=_text(table, "source", file), scale=_text(table, "scale", file))
    if table.get("fps") is not None:
        found.fps = _number(table["fps"], "fps", file)
    for number, entry in enumerate(listed):
        if not isinstance(entry, dict):
            raise UserError(f"{file}: frame {number} is not a table.", _HINT)
        frame = _frame(table, entry, number, file, test, pictures, found)
        if frame is not None:
            found.frames.append(frame)
    points = _text(table, "ply_file_path", file)
    if points:
        found.points = _file(file, points)
        if found.points is None:
            found.passed_over += 1
    return found


def write_transforms(
    folder: Path,
    frames: Sequence[Frame],
    *,
    source: Literal["blender", "nerf_synthetic", "nerfstudio", "colmap"],
    scale: Literal["metric", "unknown"],
    ply_file_path: str | None = None,
    extra: Mapping[str, Any] | None = None,
    name: str = TRANSFORMS,
) -> Path:
    """Writes transforms.json, whole or not at all.

    Args:
        folder: the capture's folder; every file of the frames lies in it.
        frames: at least one. Intrinsics that all share are written once. ``test`` is not written: readers hold out every 8th view.
        source: who made the pictures.
        scale: whether the world's unit is the metre.
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
    entries = []
    for frame in frames:
        check_frame(frame, file)
        entry: dict[str, Any] = {"file_path": _relative(folder, frame.image, file)}
        entry |= {key: _relative(folder, path, file) for key, name in _OTHERS.items() if (path := getattr(frame, name)) is not None}
        entry |= {key: getattr(frame, key) for key in (*_INTRINSICS, *_DISTORTION)}
        entry["transform_matrix"] = [list(map(float, row)) for row in frame.transform_matrix]
        entries.append(entry)
    table: dict[str, Any] = {"camera_model": "OPENCV", "source": source, "scale": scale, **(extra or {})}
    for key in (*_INTRINSICS, *_DISTORTION):
        if len({entry[key] for entry in entries}) == 1:
            table[key] = entries[0][key]
            for entry in entries:
                del entry[key]
    if ply_file_path is not None:
        table["ply_file_path"] = ply_file_path
    table["frames"] = entries
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return file


def _load(file: Path) -> dict[str, Any]:
    try:
        table = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.", "Choose the folder of a capture.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        raise UserError(f"{file} is not valid JSON; it may be cut short.", _HINT) from None
    if not isinstance(table, dict):
        raise UserError(f"{file} is not a capture's transforms file.", _HINT)
    return table


def _text(table: dict[str, Any], key: str, file: Path) -> str:
    value = table.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(f"{file}: {key} must be a text.", _HINT)
    return value


def _frame(
    table: dict[str, Any], entry: dict[str, Any], number: int, file: Path, test: bool, pictures: bool, found: Transforms
) -> Frame | None:
    named = _text(entry, "file_path", file) or ("" if pictures else f"{number:05d}.png")
    if not named:
        raise UserError(f"{file}: frame {number} names no picture.", _HINT)
    image = _file(file, named)
    if image is None and not Path(named).suffix:
        named += ".png"
        image = _file(file, named)
    matrix = _matrix(entry.get("transform_matrix"), named, file)
    if image is None and pictures:
        found.missing += 1
        return None

    def number_of(key: str) -> float | None:
        value = entry.get(key, table.get(key))
        if value is None:
            return None
        return _number(value, f"{key} of {named}", file)

    for key in ("k3", "k4", "k5", "k6"):
        if number_of(key):
            raise UserError(f"{file}: the distortion {key} of {named} is not read.", "Undistort the pictures, or fit only k1 k2 p1 p2.")
    w, h = number_of("w"), number_of("h")
    if w is None or h is None:
        if image is None:
            raise UserError(f"{file}: {named} has no size.", "Give w and h in pixels.")
        w, h = picture_size(image)
    if not (1 <= w <= _MAX_SIDE and 1 <= h <= _MAX_SIDE):
        raise UserError(f"{file}: the size of {named} is {w:g} × {h:g}.", _HINT)
    w, h = round(w), round(h)
    fl_x = number_of("fl_x") or _focal(number_of("camera_angle_x"), w)
    fl_y = number_of("fl_y") or _focal(number_of("camera_angle_y"), h)
    if fl_x is None and fl_y is None:
        raise UserError(f"{file}: {named} has neither focal length nor camera angle.", _HINT)
    # One of the two means square pixels, and so does camera_angle_x alone.
    fl_x, fl_y = fl_x or fl_y, fl_y or fl_x
    cx, cy = number_of("cx"), number_of("cy")
    lens = {key: number_of(key) or 0.0 for key in _DISTORTION}
    others: dict[str, Path | None] = {}
    for key, name in _OTHERS.items():
        other = _text(entry, key, file)
        path = _file(file, other) if other else None
        # Depth in other programs' PNGs has a unit of its own, which is not known here.
        if path is not None and name in ("depth", "normals") and path.suffix.lower() != ".npy":
            path = None
        if other and path is None:
            found.passed_over += 1
        others[name] = path
    frame = Frame(
        name=_name(named),
        image=image or file.parent / named,
        transform_matrix=matrix,
        w=w,
        h=h,
        fl_x=fl_x,
        fl_y=fl_y,
        cx=w / 2 if cx is None else cx,
        cy=h / 2 if cy is None else cy,
        test=test,
        **lens,
        **others,
    )
    check_frame(frame, file)
    return frame


def _name(named: str) -> str:
    """How a view is called: its path, without what all share."""
    parts = [part for part in named.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts[1:] if parts[0] == "images" and len(parts) > 1 else parts)


def _file(file: Path, named: str) -> Path | None:
    """A file of the capture, None where it is not there."""
    try:
        path = inside(file.parent, named, str(file))
        return path if path.is_file() else None
    except (OSError, ValueError):
        return None


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


def _matrix(rows: Any, named: str, file: Path) -> tuple[tuple[float, float, float, float], ...]:
    if not isinstance(rows, list) or len(rows) not in (3, 4) or not all(isinstance(row, list) and len(row) == 4 for row in rows):
        raise UserError(f"{file}: {named} has no 4×4 transform_matrix.", _HINT)
    matrix = tuple(tuple(_number(value, f"the matrix of {named}", file) for value in row) for row in rows)
    return matrix if len(matrix) == 4 else (*matrix, (0.0, 0.0, 0.0, 1.0))


def _focal(angle: float | None, side: int) -> float | None:
    if angle is None or not 0 < angle < math.pi:
        return None
    return 0.5 * side / math.tan(0.5 * angle)
