# SPDX-License-Identifier: GPL-3.0-or-later
"""Every setting of every stage and method, with its help, unit and bounds.

The same dataclasses are the command line's flags, the tables of a job file and, as bpy properties made from them, the panels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from .errors import UserError
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
        "Where the cameras stand: the scene's own cameras, at eye height about the room, around an object, or both.",
    )
    views: int = setting(
        50,
        "How many views are rendered. The scene's own cameras are all used, and of animated ones as many frames as this leaves.",
        minimum=2,
        maximum=2000,
    )
    orbit_object: str = setting("", "Name of the object, or of the collection, that the orbit looks at; empty takes the active object.")
    only_object: bool = setting(
        True,
        "Around an object, show nothing else to the cameras. The rest of the scene is transparent, but keeps its light and shadows.",
    )
    orbit_share: float = setting(
        0.35, "Share of the views that orbit the object when room and object are both captured.", minimum=0.0, maximum=1.0, advanced=True
    )
    width: int = setting(400, "Width of a view.", unit="px", minimum=16, maximum=8192)
    height: int = setting(300, "Height of a view.", unit="px", minimum=16, maximum=8192)
    field_of_view: float = setting(
        75.0, "Horizontal field of view of the cameras that the rig adds.", unit="degrees", minimum=10.0, maximum=140.0
    )
    eye_height: float = setting(1.5, "Height of the room's cameras above the floor.", unit="m", minimum=0.05, maximum=10.0)
    samples: int = setting(
        8, "Cycles samples of a pixel; views are denoised, or get more samples where Blender has no denoiser.", minimum=1, maximum=4096
    )
    world: Literal["auto", "on", "off"] = setting(
        "auto",
        "Show the world's background, as the sky through windows, or leave it transparent; auto shows it in rooms and not around objects.",
    )
    exposure: float = setting(
        0.0, "Exposure of the captured pictures, for dark or very bright scenes.", unit="stops", minimum=-10.0, maximum=10.0, advanced=True
    )
    seed_points: int = setting(
        40_000, "Points sampled from the surfaces that the views see, from which splats start.", minimum=0, maximum=2_000_000, advanced=True
    )
    seed: int = setting(0, "Seed of everything random in the capture.", minimum=0, maximum=2**31 - 1, advanced=True)


@dataclass(frozen=True)
class SplatSettings:
    """3D Gaussian splatting. Learning rates are two to four times those of Kerbl et al. 2023, for thousands of steps instead of tens of
    thousands; schedules are shares of the run, so that they fit any budget."""

    sh_degree: int = setting(2, "Degree of the spherical harmonics that let colour change with the view; 0 is matt.", minimum=0, maximum=3)
    max_gaussians: int = setting(100_000, "The most gaussians that densification may reach.", minimum=100, maximum=20_000_000)
    init_points: int = setting(
        30_000, "Random points to start from where the capture has no seed points.", minimum=100, maximum=5_000_000, advanced=True
    )
    ssim_weight: float = setting(0.2, "Weight of D-SSIM in the loss; the rest is L1.", minimum=0.0, maximum=1.0, advanced=True)
    coverage_weight: float = setting(
        0.05,
        "Weight in the loss of light that shines through where it should not, or is held up where it should shine through.",
        minimum=0.0,
        maximum=10.0,
        advanced=True,
    )
    depth_weight: float = setting(
        0.5, "Weight in the loss of depth, in shares of the scene's size, where views come with it.", minimum=0.0, advanced=True
    )
    normal_weight: float = setting(
        0.0, "Weight in the loss of the angle to captured normals, where views come with them.", minimum=0.0, advanced=True
    )
    exposure: bool = setting(
        False,
        "Learn how much brighter or darker, redder or bluer each photo was taken, and leave it out of the splats.",
        advanced=True,
    )
    half_until: float = setting(
        0.3,
        "Share of the run that is trained on smaller views, which is faster: half the size, and at first a quarter where they are large.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    antialias: Literal["auto", "on", "off"] = setting(
        "auto",
        "Opacity-compensated antialiasing; auto switches it on for blend linear, because Blender draws splats without a blur.",
        advanced=True,
    )
    strategy: Literal["mcmc", "adc"] = setting(
        "adc",
        "How gaussians come and go: mcmc moves transparent ones to where something is (Kheradmand et al. 2024), "
        "adc clones and splits where the pull is strong (Kerbl et al. 2023).",
        advanced=True,
    )
    grow_until: float = setting(
        0.8, "Share of the densification in which mcmc reaches the most gaussians.", minimum=0.01, maximum=1.0, advanced=True
    )
    noise: float = setting(
        5e5, "Strength of mcmc's noise on the means, in learning rates of a scene of radius 1.", minimum=0.0, advanced=True
    )
    opacity_weight: float = setting(0.01, "Weight of the mean opacity in mcmc's loss.", minimum=0.0, advanced=True)
    scale_weight: float = setting(
        0.01, "Weight of the mean size in mcmc's loss, in shares of the scene's size.", minimum=0.0, advanced=True
    )
    refine_start: int = setting(300, "Step of the first densification.", minimum=0, maximum=1_000_000, advanced=True)
    refine_every: int = setting(100, "Steps between densifications.", minimum=1, maximum=100_000, advanced=True)
    refine_stop: float = setting(
        0.6, "Share of the run after which the number of gaussians stays.", minimum=0.0, maximum=1.0, advanced=True
    )
    grow_gradient: float = setting(
        0.0002,
        "Mean gradient of a gaussian's place on the screen, in half image widths, above which it is cloned or split.",
        minimum=0.0,
        advanced=True,
    )
    absgrad: bool = setting(
        False,
        "Take the sum of the magnitudes of all pixels' gradients, not the magnitude of their sum (Ye et al. 2024); grow_gradient should "
        "be about four times as high then.",
        advanced=True,
    )
    split_scale: float = setting(
        0.01, "Gaussians larger than this share of the scene are split, smaller ones cloned.", minimum=0.0, advanced=True
    )
    prune_opacity: float = setting(0.02, "Gaussians whose opacity is below this are removed.", minimum=1e-6, maximum=0.4, advanced=True)
    prune_share: float = setting(
        0.1,
        "Gaussians that give less than this to the pictures they are in are removed, in millionths of a picture.",
        minimum=0.0,
        advanced=True,
    )
    reset_every: int = setting(3000, "Steps between resets of all opacities to nearly transparent.", minimum=1, advanced=True)
    means_rate: float = setting(
        6.4e-4, "Learning rate of the places, in shares of the scene's size; it falls to a hundredth.", minimum=0.0, advanced=True
    )
    scales_rate: float = setting(2e-2, "Learning rate of the log scales.", minimum=0.0, advanced=True)
    quats_rate: float = setting(2e-3, "Learning rate of the rotations.", minimum=0.0, advanced=True)
    opacities_rate: float = setting(1e-1, "Learning rate of the opacity logits.", minimum=0.0, advanced=True)
    sh_rate: float = setting(1e-2, "Learning rate of the base colour; higher harmonics take a twentieth.", minimum=0.0, advanced=True)
    rates_fall: float = setting(
        0.1, "Share to which the rates of all but the places fall towards the end.", minimum=1e-6, maximum=1.0, advanced=True
    )


@dataclass(frozen=True)
class NgpSettings:
    """Instant-NGP (Müller et al. 2022). Schedules are shares of the run, so that they fit any budget."""

    levels: int = setting(8, "Levels of the hash grid; times features, a multiple of 16.", minimum=2, maximum=32, advanced=True)
    features: int = setting(4, "Features in a row of the hash grid: 2 or 4.", minimum=2, maximum=4, advanced=True)
    log2_table: int = setting(
        17,
        "Size of the table that each level keeps what it learnt in, as a power of two of rows; more hold finer detail, and are slow where "
        "caches are small.",
        minimum=8,
        maximum=24,
    )
    base: int = setting(16, "Cells along a side of the coarsest level.", minimum=2, maximum=512, advanced=True)
    finest: int = setting(512, "Cells along a side of the finest level within the scene's box.", minimum=16, maximum=65_536, advanced=True)
    batch: int = setting(
        32_768, "Samples that a step learns from; the number of rays follows.", minimum=256, maximum=4_194_304, advanced=True
    )
    faint: float = setting(
        1 / 512,
        "Share of a pixel's light below which of a ray's samples every fourth is learnt from, for the others as well; 0 learns from all, "
        "as published. On processors only.",
        minimum=0.0,
        maximum=0.5,
        advanced=True,
    )
    distortion: float = setting(
        0.2,
        "How much it counts in the loss that a ray's light stops at places far apart, which keeps haze away from before cameras; 0 as "
        "published. Too much of it, 1.5 on photos that were measured, leaves nothing that can be recognised.",
        minimum=0.0,
        advanced=True,
    )
    ray_steps: int = setting(
        0,
        "Steps of a ray along the diagonal of the scene's box; 0 takes 512 where that is all there is, 256 where more lies around it.",
        minimum=0,
        maximum=16_384,
        advanced=True,
    )
    cells: int = setting(64, "Cells along a side of the occupancy grid; a multiple of 8.", minimum=8, maximum=512, advanced=True)
    cascades: int = setting(
        0,
        "Occupancy grids, each twice as large as the one before, about the scene's box; 0 takes 1 where views are transparent, else 4, or "
        "up to 8 where the scene reaches far past that box.",
        minimum=0,
        maximum=8,
        advanced=True,
    )
    rate: float = setting(1e-2, "Learning rate.", minimum=0.0, advanced=True)
    full_until: float = setting(0.3, "Share of the run after which the learning rate falls.", minimum=0.0, maximum=1.0, advanced=True)
    rates_fall: float = setting(0.03, "Share to which the learning rate falls towards the end.", minimum=1e-6, maximum=1.0, advanced=True)
    weight_decay: float = setting(1e-6, "Decay of the networks' weights.", minimum=0.0, advanced=True)
    looks: Literal["timed", "paper"] = setting(
        "timed",
        "When cells of the occupancy grid are looked at anew: timed takes a tenth of the time, paper at first all and later half of them "
        "every 16 steps.",
        advanced=True,
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto",
        "Numbers that the networks learn with: auto takes bfloat16 where the processor has units for matrices of them (Intel AMX), else "
        "float32. Pictures are made with float32.",
        advanced=True,
    )
    mesh_cells: int = setting(
        192, "Cells along the longest side of the mesh that is made at the end; 0 makes none.", minimum=0, maximum=1024
    )


@dataclass(frozen=True)
class NerfSettings:
    """NeRF (Mildenhall et al. 2020). Defaults are its published ones, except that bounds are found in the capture."""

    network: Literal["published", "simple"] = setting(
        "published",
        "Layers: published are those of the paper, simple is the smallest network, for reading and first steps.",
        advanced=True,
    )
    width: int = setting(256, "Numbers in a layer of the networks; time grows with the square.", minimum=8, maximum=2048)
    depth: int = setting(8, "Layers before the density, for the published network.", minimum=1, maximum=64, advanced=True)
    position_octaves: int = setting(
        10, "Octaves in which places are encoded; more show finer detail.", minimum=0, maximum=16, advanced=True
    )
    direction_octaves: int = setting(4, "Octaves in which directions are encoded.", minimum=0, maximum=16, advanced=True)
    sampler: Literal["paper", "occupancy"] = setting(
        "paper",
        "How rays are sampled: paper takes coarse and fine samples, occupancy one network and only places where something may be, which "
        "is many times as fast.",
    )
    coarse_samples: int = setting(
        64,
        "Samples of a ray that are spread evenly: in depth, or in 1/depth where far is more than 10 times near and there is no NDC.",
        minimum=3,
        maximum=4096,
        advanced=True,
    )
    fine_samples: int = setting(
        128,
        "Further samples of a ray, where the first ones found something, looked up in a second network; 0 does without it.",
        minimum=0,
        maximum=4096,
        advanced=True,
    )
    rays: int = setting(1024, "Rays of a step.", minimum=1, maximum=1_000_000, advanced=True)
    one_view: bool = setting(False, "Take all rays of a step from one view, as published for synthetic scenes.", advanced=True)
    learning_rate: float = setting(5e-4, "Learning rate at the start.", minimum=0.0, advanced=True)
    rate_fall: float = setting(0.1, "Share to which the learning rate falls until the end.", minimum=1e-6, maximum=1.0, advanced=True)
    crop_steps: int = setting(
        0, "First steps, in which only the middle of the views is learnt: it keeps empty margins from winning.", minimum=0, advanced=True
    )
    crop_share: float = setting(0.5, "Share of width and height that this middle has.", minimum=0.01, maximum=1.0, advanced=True)
    density_noise: float = setting(
        0.0, "Strength of the random numbers that are added to densities while training, against haze.", minimum=0.0, advanced=True
    )
    near: float = setting(0.0, "Depth at which rays begin; 0 finds it in the capture.", unit="world units", minimum=0.0, advanced=True)
    far: float = setting(
        0.0,
        "Depth at which rays end; 0 finds it in the capture. With the occupancy sampler and in NDC rays go on, and only the point cloud "
        "ends there.",
        unit="world units",
        minimum=0.0,
        advanced=True,
    )
    ndc: Literal["auto", "on", "off"] = setting(
        "auto",
        "Learn in the cameras' perspective, for scenes that are only seen from the front and reach far back; auto does it for LLFF.",
        advanced=True,
    )
    precision: Literal["auto", "float32", "bfloat16", "ipex"] = setting(
        "auto",
        "Numbers that the networks compute with: auto takes bfloat16 where the device has it, else float32; ipex is the same by Intel "
        "Extension for PyTorch, which has an environment of its own.",
        advanced=True,
    )
    points: int = setting(20_000, "Points of the cloud that is made at the end; 0 makes none.", minimum=0, maximum=10_000_000)
    mesh_cells: int = setting(
        128,
        "Cells along the longest side of the mesh that is made at the end; 0 makes none, and there is none where NDC is used.",
        minimum=0,
        maximum=1024,
    )


@dataclass(frozen=True)
class TrainSettings:
    """What is trained, and for how long."""

    preset: Literal["none", *PRESETS] = setting(
        "none",
        "Named set of settings, from which those given beside it deviate: gsplat and gsplat-mcmc are the defaults of gsplat's own trainer, "
        "so that results compare; paper-lego and paper-fern are those with which NeRF was published, paper-ngp those of Instant-NGP, "
        "nerf-simple is the smallest NeRF.",
        advanced=True,
    )
    method: Literal["splat", "ngp", "nerf"] = setting(
        "splat",
        "What is trained: splat is 3D Gaussian splatting, the choice for rooms and furniture; ngp the radiance field of Instant-NGP, which "
        "gives a mesh; nerf the first one as it was published, which takes hours to weeks.",
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
        "Where to compute: auto takes the best device that the method supports. Methods splat and ngp run on the processor only so far.",
    )
    downscale: int = setting(1, "Train and score on views of so many times less width and height.", minimum=1, maximum=64, advanced=True)
    max_side: int = setting(
        1600,
        "Longest side of the views that are trained and scored on; larger photos are scaled down to it. 0 keeps the size they have.",
        unit="px",
        minimum=0,
        maximum=65_536,
        advanced=True,
    )
    blend: Literal["auto", "linear", "srgb"] = setting(
        "auto",
        "Light in which splats or samples are blended: linear for Blender, srgb for other viewers; auto takes linear for captures made by "
        "Blender.",
    )
    background: Literal["auto", "black", "white", "random"] = setting(
        "auto",
        "What stands behind transparent views while training; auto is random (nerf: white) where views are transparent, else black.",
        advanced=True,
    )
    seed: int = setting(0, "Seed of everything random in training.", minimum=0, maximum=2**31 - 1, advanced=True)
    threads: int = setting(0, "Processor threads; 0 takes all.", minimum=0, maximum=1024, advanced=True)
    splat: SplatSettings = setting(SplatSettings, "Settings of method splat.")
    ngp: NgpSettings = setting(NgpSettings, "Settings of method ngp.")
    nerf: NerfSettings = setting(NerfSettings, "Settings of method nerf.")


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
    """The surface of a result, as a mesh with coloured vertices."""

    cells: int = setting(
        256,
        "Cells along the longest side; more show finer detail, and noise where the result has any. Time and memory grow with the square.",
        minimum=16,
        maximum=2048,
    )
    close: bool = setting(True, "Close the surface where no view saw it, as a table from below; without it there are holes.")
    box: tuple[float, float, float, float, float, float] | None = setting(
        None,
        "What is taken: XMIN YMIN ZMIN XMAX YMAX ZMAX in the capture's world. Without it, what stands alone, or of a scene that fills its "
        "images all that its depth shows, without depth its middle.",
        unit="world units",
    )
    least_piece: float = setting(
        0.02,
        "Pieces that hang together with nothing and have less than this share of all vertices are removed.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    extra_views: int = setting(
        24,
        "The most views that are added between those of a capture with transparent background, where they are sparse.",
        minimum=0,
        maximum=1000,
        advanced=True,
    )
    side: int = setting(
        0,
        "Longest side of the views that depth is looked up in; 0 takes the capture's size for splats, less for fields, which are slow.",
        unit="px",
        minimum=0,
        maximum=8192,
        advanced=True,
    )
    memory: float = setting(
        2.0, "What the grid may take; with less, its cells become larger.", unit="GiB", minimum=0.01, maximum=1024.0, advanced=True
    )
    threads: int = setting(0, "Processor threads; 0 takes all.", minimum=0, maximum=1024, advanced=True)


@dataclass(frozen=True)
class ProxySettings:
    """The light, textured mesh that stands for a result."""

    faces: int = setting(5000, "Triangles of the proxy, at most.", minimum=20, maximum=1_000_000)
    texture: int = setting(1024, "Width and height of its textures.", unit="px", minimum=64, maximum=8192)
    hull: Literal["pieces", "box", "none"] = setting(
        "pieces", "What collides in simulations and games: up to 16 convex pieces, one box, or nothing."
    )
    up: Literal["auto", "x", "-x", "y", "-y", "z", "-z"] = setting(
        "auto",
        "Which way is up in the capture's world: auto takes z, and for photos, whose world stands anyhow, what their cameras held for up.",
    )
    threads: int = setting(0, "Processor threads; 0 takes all.", minimum=0, maximum=1024, advanced=True)


@dataclass(frozen=True)
class ImportSettings:
    """How a result comes back into Blender."""

    result: str = setting("", "Folder of the result; empty takes what this job trained.")
    look: Literal["auto", "splats", "points", "proxy", "mesh"] = setting(
        "auto",
        "What the result is brought in as: auto renders the best that it holds, and shows its proxy or points while you work. What else "
        "it holds comes along, and can be shown instead at any time.",
    )
    lit: bool = setting(True, "Let the room's lights fall on a proxy; off shows it in the light it was captured in.")
    asset: bool = setting(False, "Make the result an asset, to be dragged into rooms of other files once this one is saved.")
    new_scene: bool = setting(False, "Start from a new, empty scene instead of the one that was captured.")
    max_splats: int = setting(0, "The most splats that are imported, the most visible first; 0 imports all.", minimum=0, advanced=True)


@dataclass(frozen=True)
class PlaceSettings:
    """Where the imported result stands."""

    room: bool = setting(False, "Build an empty room (floor, walls, light) and place the result in it.")
    room_size: tuple[float, float, float] = setting(
        (8.0, 8.0, 3.4), "Width, depth and height of the room that is built.", unit="m", minimum=0.5, maximum=1000.0
    )
    location: tuple[float, float, float] | None = setting(
        None, "Where the middle of the result's footprint goes; without it the result stays where it is.", unit="m"
    )
    rotation: float | None = setting(
        None,
        "How far the result is turned about the vertical axis from how it was captured; without it the result stays turned as it is.",
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

    out: str = setting("picture.png", "PNG file that receives the picture.")
    width: int = setting(640, "Width of the picture.", unit="px", minimum=16, maximum=16_384)
    height: int = setting(480, "Height of the picture.", unit="px", minimum=16, maximum=16_384)
    samples: int = setting(16, "Cycles samples for each pixel.", minimum=1, maximum=65_536)
    camera: str = setting("", "Name of the camera; empty takes the scene's, or adds one that sees the result where there is none.")
