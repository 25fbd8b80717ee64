# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture: posed images of one scene, as plain values. All readers of captures end here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .errors import UserError

Matrix = tuple[tuple[float, float, float, float], ...]

# Trainers compute in float32, in which areas and volumes of larger worlds overflow.
MAX_COORDINATE = 1e12
# Pixels on a side of an image.
MAX_SIDE = 1 << 16
# Focal lengths and principal points beyond these, in pixels, are mistakes that overflow later.
_MIN_FOCAL, _MAX_PIXELS = 1e-6, 1e9
_HINT = "Export the cameras again."


@dataclass(frozen=True)
class Frame:
    """One view. ``name`` is its image's path inside the capture (without images/), and may hold slashes.

    Files are absolute paths; they lie inside the capture's folder unless the user named or linked others. ``transform_matrix`` is
    camera-to-world, OpenGL (looks along -Z, Y up), 4×4, rigid. Intrinsics are in pixels of the full image, with (0, 0) at the outer
    corner of the first pixel. Distortion is OpenCV's: the rational model, or with ``fisheye`` the equidistant one, which has ``k1`` to
    ``k4``.
    ``albedo`` shows the colors of surfaces without light, as sRGB values with straight alpha.
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
    k3: float = 0.0
    k4: float = 0.0
    k5: float = 0.0
    k6: float = 0.0
    fisheye: bool = False
    depth: Path | None = None
    mask: Path | None = None
    normals: Path | None = None
    albedo: Path | None = None
    near: float | None = None
    far: float | None = None
    test: bool = False

    @property
    def distortion(self) -> tuple[float, ...]:
        """The coefficients in OpenCV's order."""
        if self.fisheye:
            return (self.k1, self.k2, self.k3, self.k4)
        return (self.k1, self.k2, self.p1, self.p2, self.k3, self.k4, self.k5, self.k6)


@dataclass(frozen=True)
class Capture:
    """A folder of posed views.

    ``source`` says who made it: captures from Blender default to linear blending. ``scale`` is metric where the world's unit is the
    meter. ``points`` is the seed cloud. ``warnings`` say what was chosen, left out or not understood while reading, a sentence each.
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
    (xx, yx, zx, tx), (xy, yy, zy, ty), (xz, yz, zz, tz), last = frame.transform_matrix
    numbers = (xx, yx, zx, tx, xy, yy, zy, ty, xz, yz, zz, tz, *last, frame.fl_x, frame.fl_y, frame.cx, frame.cy, *frame.distortion)
    if not all(map(math.isfinite, numbers)):
        raise UserError(f"{file}: the camera of {frame.name} holds a number that is not finite.", _HINT)
    if not (1 <= frame.w <= MAX_SIDE and 1 <= frame.h <= MAX_SIDE):
        raise UserError(f"{file}: width and height of {frame.name} are not between 1 and {MAX_SIDE} pixels.", _HINT)
    if not (_MIN_FOCAL <= frame.fl_x <= _MAX_PIXELS and _MIN_FOCAL <= frame.fl_y <= _MAX_PIXELS):
        raise UserError(f"{file}: the focal length of {frame.name} is not positive, or not one of a camera.", _HINT)
    if max(abs(frame.cx), abs(frame.cy)) > _MAX_PIXELS:
        raise UserError(f"{file}: the principal point of {frame.name} is far outside of its image.", _HINT)
    if max(abs(tx), abs(ty), abs(tz)) > MAX_COORDINATE:
        raise UserError(f"{file}: the camera of {frame.name} is farther than {MAX_COORDINATE:g} from the origin.", _HINT)
    off = max(
        abs(xx * xx + xy * xy + xz * xz - 1),
        abs(yx * yx + yy * yy + yz * yz - 1),
        abs(zx * zx + zy * zy + zz * zz - 1),
        abs(xx * yx + xy * yy + xz * yz),
        abs(xx * zx + xy * zy + xz * zz),
        abs(yx * zx + yy * zy + yz * zz),
    )
    determinant = xx * (yy * zz - yz * zy) - xy * (yx * zz - yz * zx) + xz * (yx * zy - yy * zx)
    # Published captures carry float32 rotations with up to 1e-3 of drift; a scaled parent or a mirror is far outside.
    if not off <= 1e-2 or determinant < 0 or max(abs(last[0]), abs(last[1]), abs(last[2]), abs(last[3] - 1)) > 1e-6:
        raise UserError(
            f"{file}: the matrix of {frame.name} is not a rigid camera pose.", "Export camera-to-world matrices without scale or shear."
        )


def hold_out(frames: list[Frame]) -> list[Frame]:
    """Marks every 8th frame, sorted by name and from the first, as a test view: the field's convention where no test list exists."""
    ordered = sorted(frames, key=lambda frame: frame.name)
    if len(ordered) > 1:
        ordered[::8] = [replace(frame, test=True) for frame in ordered[::8]]
    return ordered
