# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of captures of a Blender scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..schema import setting


@dataclass(frozen=True)
class CaptureSettings:
    """Which views of the Blender scene are rendered, and how."""

    out: str = setting("capture", "Folder that receives the capture.")
    rig: Literal["scene", "room", "orbit", "both"] = setting(
        "room",
        "Camera placement: the scene's own cameras, at eye height around the room, around an object, or both.",
    )
    views: int = setting(
        50,
        "Number of rendered views. All of the scene's own cameras are used, and of animated ones as many frames as remain.",
        minimum=2,
        maximum=2000,
    )
    orbit_object: str = setting("", "Name of the object or collection at the center of the orbit; empty takes the active object.")
    only_object: bool = setting(
        True,
        "Around an object, hide everything else from the cameras. The rest of the scene is transparent, but keeps its light and shadows.",
    )
    orbit_share: float = setting(
        0.35, "Fraction of the views that orbit the object when room and object are both captured.", minimum=0.0, maximum=1.0, advanced=True
    )
    width: int = setting(400, "Width of a view.", unit="px", minimum=16, maximum=8192)
    height: int = setting(300, "Height of a view.", unit="px", minimum=16, maximum=8192)
    field_of_view: float = setting(
        75.0, "Horizontal field of view of the cameras that the rig adds.", unit="degrees", minimum=10.0, maximum=140.0
    )
    eye_height: float = setting(1.5, "Height of the room's cameras above the floor.", unit="m", minimum=0.05, maximum=10.0)
    samples: int = setting(
        8,
        "Cycles samples per pixel; views are denoised, or rendered with more samples where Blender has no denoiser.",
        minimum=1,
        maximum=4096,
    )
    world: Literal["auto", "on", "off"] = setting(
        "auto",
        "Show the world's background, such as the sky through windows, or leave it transparent; auto shows it in rooms and "
        "hides it around objects.",
    )
    exposure: float = setting(
        0.0, "Exposure of the captured images, for dark or very bright scenes.", unit="stops", minimum=-10.0, maximum=10.0, advanced=True
    )
    seed_points: int = setting(
        40_000,
        "Number of points sampled from the visible surfaces, from which splats are initialized.",
        minimum=0,
        maximum=2_000_000,
        advanced=True,
    )
    seed: int = setting(0, "Seed of everything random in the capture.", minimum=0, maximum=2**31 - 1, advanced=True)
