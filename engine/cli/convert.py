# SPDX-License-Identifier: GPL-3.0-or-later
"""Command convert."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from .options import SWITCH, Positional, option

_Axes = Literal["auto", "z-up", "y-up", "y-down"]
_AXES_HELP = (
    "z-up as Blender, y-up as glTF and SPZ, y-down as COLMAP and most published PLYs. auto: y-up for .spz and .glb, y-down for .splat; a "
    ".ply is read as it says, which ours do, others as y-down, and written as z-up."
)


@dataclass(frozen=True)
class Convert:
    """Read splats, change them as asked, in the order of these options, and write them to another file."""

    source: Annotated[str, Positional, option("Splats to read: .ply (also PlayCanvas' compressed), .spz, .splat or .glb.", "IN")]
    target: Annotated[str, Positional, option("File to write: .ply, .spz, .splat or .glb.", "OUT")]
    from_axes: Annotated[_Axes, option(f"Axes of IN: {_AXES_HELP}")] = "auto"
    to_axes: Annotated[_Axes, option(f"Axes of OUT: {_AXES_HELP}")] = "auto"
    crop: Annotated[
        tuple[float, float, float, float, float, float] | None,
        option("Keep what lies in this box, in the file's unit and with Z up.", "XMIN YMIN ZMIN XMAX YMAX ZMAX"),
    ] = None
    min_opacity: Annotated[float, option("Remove splats below this opacity (0 to 1).")] = 0.0
    remove_floaters: Annotated[bool, SWITCH, option("Remove splats that are alone in empty space, far from others for their size.")] = False
    decimate: Annotated[
        int | None, option("Keep at most so many splats: the most opaque and largest. Nothing makes up for those that go.", "N")
    ] = None
    blend: Annotated[
        Literal["auto", "linear", "srgb"],
        option(
            "Color space that OUT composites in: srgb (other viewers) or linear (Blender). auto: srgb, and as in IN for .glb, which can "
            "state it. Colors are refitted where the two differ, which is exact for opaque splats only."
        ),
    ] = "auto"
    spz_version: Annotated[Literal[2, 3], option("Version of SPZ to write; 2 is for old readers.")] = 3
    overwrite: Annotated[bool, SWITCH, option("Replace a file that is already there.")] = False

    def run(self) -> int:
        """Returns the exit code."""
        from ..jobs.convert import ConvertRequest, convert

        convert(ConvertRequest(**{**vars(self), "source": Path(self.source), "target": Path(self.target)}), print)
        return 0
