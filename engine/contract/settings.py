# SPDX-License-Identifier: GPL-3.0-or-later
"""Every setting of every stage and method, with its help, unit and bounds.

The same dataclasses are the command line's flags, the tables of a job file and, as bpy properties made from them, the panels.
"""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from .errors import UserError
from .methods import METHODS
from .presets import PRESETS
from .result import RESULT
from .schema import from_mapping, setting

Settings = TypeVar("Settings")


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


@dataclass(frozen=True)
class _TrainSettings:
    """What is trained, and for how long."""

    preset: Literal["none", *PRESETS] = setting(
        "none",
        "Named set of settings; options given explicitly override it. gsplat and gsplat-mcmc are the defaults of gsplat's "
        "trainer, so that results compare; paper-lego and paper-fern are those of the NeRF paper, paper-ngp those of Instant-"
        "NGP, nerf-simple is the smallest NeRF.",
        advanced=True,
    )
    method: Literal[*METHODS] = setting(
        "splat",
        "Training method: splat is 3D Gaussian splatting, the choice for rooms and furniture; ngp is Instant-NGP, which gives a"
        " mesh; nerf is the original radiance field, which takes hours to weeks.",
    )
    minutes: float | None = setting(
        None,
        "Time budget from start to written result; 3 minutes when neither minutes nor steps are given.",
        unit="min",
        minimum=0.05,
        maximum=10_000,
    )
    steps: int | None = setting(
        None, "Number of training steps instead of a time budget; the result is then the same on every run.", minimum=1, maximum=10_000_000
    )
    device: Literal["auto", "cpu", "xpu", "cuda"] = setting(
        "auto",
        "Device: auto takes the best one that the method supports. Methods splat and ngp run on the processor only so far.",
    )
    downscale: int = setting(1, "Factor by which views are scaled down for training and scoring.", minimum=1, maximum=64, advanced=True)
    max_side: int = setting(
        1600,
        "Longest side of the views in training and scoring; larger photos are scaled down to it. 0 keeps their size.",
        unit="px",
        minimum=0,
        maximum=65_536,
        advanced=True,
    )
    blend: Literal["auto", "linear", "srgb"] = setting(
        "auto",
        "Color space of compositing: linear for Blender, srgb for other viewers; auto takes linear for captures from Blender.",
    )
    background: Literal["auto", "black", "white", "random"] = setting(
        "auto",
        "Background of transparent views while training; auto is random (nerf: white) for transparent views, else black.",
        advanced=True,
    )
    seed: int = setting(0, "Seed of everything random in training.", minimum=0, maximum=2**31 - 1, advanced=True)
    threads: int = setting(0, "Processor threads; 0 takes all.", minimum=0, maximum=1024, advanced=True)


# With a field for the settings of each method, named as the method.
TrainSettings = make_dataclass(
    "TrainSettings",
    [(name, method.settings, setting(method.settings, f"Settings of method {name}.")) for name, method in METHODS.items()],
    bases=(_TrainSettings,),
    namespace={"__doc__": _TrainSettings.__doc__, "__module__": __name__},
    frozen=True,
)


def check_method(values: TrainSettings) -> None:
    """Refuses settings of the method that is trained that can never go together.

    Raises:
        UserError: names them.
    """
    METHODS[values.method].check(getattr(values, values.method))


def trained_settings(values: dict[str, Any], folder: Path, kind: type[Settings] = TrainSettings) -> Settings:
    """The settings of a result, as its result.json holds them.

    Args:
        values: of the file. folder: of the result. kind: of its training.

    Raises:
        UserError: one of them is unknown, of a wrong type, or out of bounds (code ``damaged``).
    """
    # Results that do not say were trained on views of any size.
    try:
        return from_mapping(kind, {"max_side": 0, **values} if kind is TrainSettings else values, "settings")
    except UserError as error:
        hint = "Use the engine that made it, train again, or choose another result."
        raise UserError(f"{folder / RESULT} is not understood: {error.message}", hint, "damaged") from None


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
