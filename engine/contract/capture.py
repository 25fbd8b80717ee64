# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture: posed pictures of one place, as plain values. Readers of the various file formats end here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .errors import UserError

Matrix = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Frame:
    """One view. ``name`` is its picture's path inside the capture (without images/), and may hold slashes.

    Files are absolute and lie inside the capture's folder. ``transform_matrix`` is camera-to-world, OpenGL (looks along -Z, Y up), 4×4,
    rigid. Intrinsics are in pixels of the full picture, with (0, 0) at the outer corner of the first pixel; distortion is OpenCV's.
    ``albedo`` shows the colours of surfaces without light, as sRGB codes with straight alpha.
    ``near`` and ``far`` are planar depths in the world's unit between which all that it sees lies, where its file says so.
    """

    name: str
    image: Path
    transform_matrix: Matrix
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
    depth: Path | None = None
    mask: Path | None = None
    normals: Path | None = None
    albedo: Path | None = None
    near: float | None = None
    far: float | None = None
    test: bool = False


@dataclass(frozen=True)
class Capture:
    """A folder of posed views.

    ``source`` tells who made it: captures from Blender default to linear blending. ``scale`` is metric where the world's unit is the
    metre. ``points`` is the seed cloud. ``warnings`` say what was left out while reading.
    """

    folder: Path
    frames: tuple[Frame, ...]
    source: Literal["blender", "nerf_synthetic", "nerfstudio", "colmap", "llff"]
    scale: Literal["metric", "unknown"] = "unknown"
    points: Path | None = None
    warnings: tuple[str, ...] = ()

    def split(self, name: Literal["train", "test"]) -> tuple[Frame, ...]:
        """The training or the held-out frames."""
        return tuple(frame for frame in self.frames if frame.test == (name == "test"))


def check_frame(frame: Frame, file: Path) -> None:
    """Refuses a frame that no trainer can use.

    Args:
        frame: the frame.
        file: where it was read, for the message.

    Raises:
        UserError: NaN or infinity, a matrix that is not rigid, impossible intrinsics.
    """
    rows = frame.transform_matrix
    numbers = [value for row in rows for value in row]
    lens = (frame.fl_x, frame.fl_y, frame.cx, frame.cy, frame.k1, frame.k2, frame.p1, frame.p2)
    if not all(math.isfinite(value) for value in (*numbers, *lens)):
        raise UserError(f"{file}: the camera of {frame.name} holds a number that is not finite.", "Export the cameras again.")
    if frame.w < 1 or frame.h < 1 or frame.fl_x <= 0 or frame.fl_y <= 0:
        raise UserError(f"{file}: the size or focal length of {frame.name} is not positive.", "Export the cameras again.")
    axes = [[rows[row][column] for row in range(3)] for column in range(3)]
    dots = [sum(a * b for a, b in zip(axes[i], axes[j], strict=True)) for i in range(3) for j in range(3)]
    identity = [1.0 if i == j else 0.0 for i in range(3) for j in range(3)]
    x, y, z = axes
    determinant = x[0] * (y[1] * z[2] - y[2] * z[1]) - x[1] * (y[0] * z[2] - y[2] * z[0]) + x[2] * (y[0] * z[1] - y[1] * z[0])
    # Published captures carry float32 rotations with up to 1e-3 of drift; a scaled parent or a mirror is far outside.
    last = rows[3]
    if (
        max(abs(a - b) for a, b in zip(dots, identity, strict=True)) > 1e-2
        or determinant < 0
        or max(abs(a - b) for a, b in zip(last, (0.0, 0.0, 0.0, 1.0), strict=True)) > 1e-6
    ):
        raise UserError(
            f"{file}: the matrix of {frame.name} is not a rigid camera pose.", "Export camera-to-world matrices without scale or shear."
        )


def hold_out(frames: list[Frame]) -> list[Frame]:
    """Marks every 8th frame, sorted by name and from the first, as a test view: the field's habit where no test list exists."""
    ordered = sorted(frames, key=lambda frame: frame.name)
    return [replace(frame, test=index % 8 == 0) for index, frame in enumerate(ordered)] if len(ordered) > 1 else ordered
