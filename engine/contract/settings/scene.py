# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of what a job does in a Blender scene with a result: import, placement, render."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..schema import setting


@dataclass(frozen=True)
class ImportSettings:
    """How a result comes back into Blender."""

    result: str = setting("", "Folder of the result; empty takes what this job trained.")
    look: Literal["auto", "splats", "points", "proxy", "mesh"] = setting(
        "auto",
        "Representation to import: auto renders the best one that the result holds, and shows its proxy or points in the "
        "viewport. The others are imported as well and can be shown at any time.",
    )
    lit: bool = setting(True, "Let the room's lights shade the proxy; off shows it in the light it was captured in.")
    asset: bool = setting(False, "Mark the result as an asset, so that it can be dragged into rooms of other files once this one is saved.")
    new_scene: bool = setting(False, "Import into a new, empty scene instead of the captured one.")
    max_splats: int = setting(0, "Maximum number of imported splats, the most visible first; 0 imports all.", minimum=0, advanced=True)


@dataclass(frozen=True)
class PlaceSettings:
    """Where the imported result stands."""

    room: bool = setting(False, "Build an empty room (floor, walls, light) and place the result in it.")
    room_size: tuple[float, float, float] = setting(
        (8.0, 8.0, 3.4), "Width, depth and height of the room that is built.", unit="m", minimum=0.5, maximum=1000.0
    )
    location: tuple[float, float, float] | None = setting(
        None, "Position of the center of the result's footprint; without it the result stays where it is.", unit="m"
    )
    rotation: float | None = setting(
        None,
        "Rotation about the vertical axis, relative to the capture; without it the result keeps its rotation.",
        unit="degrees",
        minimum=-360.0,
        maximum=360.0,
    )
    on_floor: bool = setting(False, "Set the lowest solid part of the result on the floor at height 0.")
    known_length: float = setting(
        0.0,
        "Real length of the result's longest side, for captures of unknown scale; 0 keeps the scale it has.",
        unit="m",
        minimum=0.0,
        maximum=10_000.0,
    )


@dataclass(frozen=True)
class RenderSettings:
    """The picture of the finished scene."""

    out: str = setting("picture.png", "PNG file that receives the image.")
    width: int = setting(640, "Width of the image.", unit="px", minimum=16, maximum=16_384)
    height: int = setting(480, "Height of the image.", unit="px", minimum=16, maximum=16_384)
    samples: int = setting(16, "Cycles samples per pixel.", minimum=1, maximum=65_536)
    camera: str = setting("", "Name of the camera; empty takes the scene's, or adds one that sees the result where there is none.")
