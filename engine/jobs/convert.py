# SPDX-License-Identifier: GPL-3.0-or-later
"""Job convert: splats from one file format to another, cleaned on the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..contract.errors import UserError
from ..formats.splats import check_target, read_splats, write_splats
from ..formats.splats.blending import to_blend
from ..formats.splats.gaussians import Splats
from ..splats import editing

Axes = Literal["auto", "z-up", "y-up", "y-down"]
Blend = Literal["auto", "linear", "srgb"]
_Box = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class ConvertRequest:
    """What to convert; edits apply in the order of the fields.

    Args:
        source, target: files; the suffix gives the format.
        from_axes, to_axes: of the source and of the target; auto goes by the format.
        crop: keeps what lies in this box (low and high corner), in the file's unit with Z up.
        min_opacity: removes splats below this opacity, 0 to 1.
        remove_floaters: removes splats that are alone in empty space.
        decimate: keeps at most so many splats, the most opaque and largest.
        blend: color space that the target composites in.
        spz_version: of an SPZ target.
        overwrite: replace a target that is there.
    """

    source: Path
    target: Path
    from_axes: Axes = "auto"
    to_axes: Axes = "auto"
    crop: _Box | None = None
    min_opacity: float = 0.0
    remove_floaters: bool = False
    decimate: int | None = None
    blend: Blend = "auto"
    spz_version: Literal[2, 3] = 3
    overwrite: bool = False


def convert(request: ConvertRequest, say: Callable[[str], None]) -> None:
    """Reads splats, edits them, and writes them to another file.

    Args:
        say: receives a sentence on each edit, and on what the target cannot hold.

    Raises:
        UserError: a value is out of range, a file cannot be read or written, or nothing remains.
    """
    _check(request)
    # A target that cannot be written is refused before the work is done.
    check_target(request.target)
    if os.path.lexists(request.target) and not request.overwrite:
        raise UserError(f"{request.target} is already there.", "Add --overwrite to replace it, or choose another OUT.", "exists")
    splats = read_splats(request.source, None if request.from_axes == "auto" else request.from_axes, say)
    splats = _edited(splats, request, say)
    suffix = request.target.suffix.lower()
    blend = request.blend
    if blend == "auto":
        # Viewers take a file that cannot state its color space as sRGB; the comment in our PLY is read by us only.
        blend = (splats.blend or "srgb") if suffix == ".glb" else "srgb"
    if (splats.blend or "srgb") != blend:
        say(f"Colors are refitted from {splats.blend or 'srgb'} to {blend} compositing")
    splats = to_blend(splats, blend)
    write_splats(request.target, splats, None if request.to_axes == "auto" else request.to_axes, request.spz_version)
    degree = 0 if suffix == ".splat" else splats.degree
    if degree < splats.degree:
        say(f"A {suffix} file has no harmonics: those of degree {splats.degree} are left out")
    if splats.blend == "linear" and suffix in (".spz", ".splat"):
        say(f"A {suffix} file cannot state that its colors are linear: every reader takes them as sRGB")
    say(f"{len(splats)} splats, harmonics of degree {degree}: {request.target}")


def _check(request: ConvertRequest) -> None:
    if not 0 <= request.min_opacity <= 1:
        raise UserError(f"--min-opacity is {request.min_opacity:g}.", "Give a number from 0 to 1.")
    if request.decimate is not None and request.decimate < 1:
        raise UserError(f"--decimate is {request.decimate}.", "Give a number of at least 1.")
    if request.crop is not None and not all(low < high for low, high in zip(request.crop[:3], request.crop[3:], strict=True)):
        raise UserError("--crop has no inside: each minimum must be below its maximum.", "Give XMIN YMIN ZMIN XMAX YMAX ZMAX.")


def _edited(splats: Splats, request: ConvertRequest, say: Callable[[str], None]) -> Splats:
    edits: list[tuple[str, Callable[[Splats], Splats]]] = []
    if request.crop is not None:
        edits.append(("outside the box", lambda given: editing.crop(given, request.crop[:3], request.crop[3:])))
    if request.min_opacity > 0:
        edits.append((f"with an opacity below {request.min_opacity:g}", lambda given: editing.at_least_opaque(given, request.min_opacity)))
    if request.remove_floaters:
        edits.append(("that float alone", editing.without_floaters))
    if request.decimate is not None:
        edits.append((f"to keep {request.decimate}", lambda given: editing.decimate(given, request.decimate)))
    for reason, edit in edits:
        before = len(splats)
        splats = edit(splats)
        say(f"{before - len(splats)} removed {reason}, {len(splats)} remain")
        if before and not len(splats):
            raise UserError(f"Nothing of {request.source} remains.", "Nothing was written; ask for less to be removed.")
    return splats
