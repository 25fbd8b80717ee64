# SPDX-License-Identifier: GPL-3.0-or-later
"""Command render."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ..contract.errors import UserError
from .options import PRECISION_HELP, PROGRAM, SWITCH, Positional, Precision, option
from .reporting import progress_bar


@dataclass(frozen=True)
class Render:
    """Render a result along cameras: to PNG, to EXR with depth, or to a film."""

    result: Annotated[str, Positional, option("Folder of the result.", "RESULT")]
    cameras: Annotated[
        str,
        option(
            "transforms.json with or without images, or a capture's folder, whose cameras are rendered in their order; empty takes the "
            "result's own test views, in the size that it was trained on.",
            "FILE",
        ),
    ] = ""
    out: Annotated[str, option("Folder that receives the images, or a film's file that ends in .mp4.", "DIR")] = ""
    format: Annotated[
        Literal["png", "exr", "mp4"] | None,
        option(
            "png: images for the screen. exr: scene-linear colors, alpha and planar depth, for compositing. mp4: one film. "
            "Without it, --out says."
        ),
    ] = None
    width: Annotated[int | None, option("Width of the images (px); the height follows.", "W")] = None
    height: Annotated[int | None, option("Height of the images (px); the width follows. Given both, what sticks out is cut off.", "H")] = (
        None
    )
    between: Annotated[int, option("New views between each two cameras, along a smooth path.", "N")] = 0
    fps: Annotated[float | None, option("Views in a second of film; empty takes what FILE says, else 24.", "FPS")] = None
    precision: Annotated[Precision, option(PRECISION_HELP)] = "auto"
    overwrite: Annotated[bool, SWITCH, option("Replace a film that is already there.")] = False

    def run(self) -> int:
        """Returns the exit code."""
        if not self.out:
            raise UserError("render needs --out DIR.", f"See {PROGRAM} render --help.")
        from ..jobs.render import RenderRequest, render

        paths = {"result": Path(self.result), "out": Path(self.out), "cameras": Path(self.cameras) if self.cameras else None}
        resolved = {name: path and path.resolve() for name, path in paths.items()}
        with progress_bar() as reporter:
            count, target = render(RenderRequest(**{**vars(self), **resolved}), reporter)
        print(f"{count} {'views' if target.suffix == '.mp4' else 'images'} in {target}")
        return 0
