# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of surfaces and proxies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..schema import setting


@dataclass(frozen=True)
class SurfaceSettings:
    """The surface of a result, as a mesh with colored vertices."""

    cells: int = setting(
        256,
        "Resolution along the longest side; more shows finer detail, and noise where the result has any. Time and memory grow "
        "with its square.",
        minimum=16,
        maximum=2048,
    )
    close: bool = setting(True, "Close the surface where no view saw it, such as the underside of a table; without it there are holes.")
    box: tuple[float, float, float, float, float, float] | None = setting(
        None,
        "Region to reconstruct: XMIN YMIN ZMIN XMAX YMAX ZMAX in the capture's world. Without it: the object, where the "
        "background is transparent; else all that has depth; else the center of the scene.",
        unit="world units",
    )
    least_piece: float = setting(
        0.02,
        "Connected components with less than this fraction of all vertices are removed.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    extra_views: int = setting(
        24,
        "Maximum number of views added between those of a capture with transparent background, where they are sparse.",
        minimum=0,
        maximum=1000,
        advanced=True,
    )
    side: int = setting(
        0,
        "Longest side of the rendered depth maps; 0 takes the capture's size for splats and less for fields, which render slowly.",
        unit="px",
        minimum=0,
        maximum=8192,
        advanced=True,
    )
    memory: float = setting(
        2.0, "Maximum memory of the grid; with less, its cells become larger.", unit="GiB", minimum=0.01, maximum=1024.0, advanced=True
    )
    threads: int = setting(0, "Processor threads; 0 takes all.", minimum=0, maximum=1024, advanced=True)


@dataclass(frozen=True)
class ProxySettings:
    """The light, textured mesh that stands for a result."""

    faces: int = setting(5000, "Maximum number of triangles.", minimum=20, maximum=1_000_000)
    texture: int = setting(1024, "Width and height of the textures.", unit="px", minimum=64, maximum=8192)
    hull: Literal["pieces", "box", "none"] = setting(
        "pieces", "Collision shape for simulations and games: up to 16 convex pieces, one box, or none."
    )
    up: Literal["auto", "x", "-x", "y", "-y", "z", "-z"] = setting(
        "auto",
        "Up axis of the capture's world: auto takes z, and for photos the mean up direction of their cameras.",
    )
    threads: int = setting(0, "Processor threads; 0 takes all.", minimum=0, maximum=1024, advanced=True)
