# SPDX-License-Identifier: GPL-3.0-or-later
"""Method nerf: neural radiance fields as they were published (Mildenhall et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..checkpoints import MAX_COUNT, SMALLEST, FieldFacts, Matrix, Vector
from ..errors import UserError
from ..result import FIELD, MESH, POINTS
from ..schema import bounded, setting
from .spec import MethodSpec


@dataclass(frozen=True)
class NerfSettings:
    """NeRF (Mildenhall et al. 2020). Defaults are its published ones, except that bounds are found in the capture."""

    network: Literal["published", "simple"] = setting(
        "published",
        "Network: published is that of the paper, simple is the smallest one, for reading and first steps.",
        advanced=True,
    )
    width: int = setting(256, "Width of the networks' layers; time grows with its square.", minimum=8, maximum=2048)
    depth: int = setting(8, "Number of layers before the density, for the published network.", minimum=1, maximum=64, advanced=True)
    position_octaves: int = setting(
        10, "Frequencies in the encoding of positions; more show finer detail.", minimum=0, maximum=16, advanced=True
    )
    direction_octaves: int = setting(4, "Frequencies in the encoding of directions.", minimum=0, maximum=16, advanced=True)
    sampler: Literal["paper", "occupancy"] = setting(
        "paper",
        "Ray sampling: paper takes coarse and fine samples; occupancy uses one network and skips empty space, which is many times as fast.",
    )
    coarse_samples: int = setting(
        64,
        "Stratified samples per ray: uniform in depth, or in disparity where far is more than 10 times near and NDC is off.",
        minimum=3,
        maximum=4096,
        advanced=True,
    )
    fine_samples: int = setting(
        128,
        "Importance samples per ray for the fine network; 0 trains without it.",
        minimum=0,
        maximum=4096,
        advanced=True,
    )
    rays: int = setting(1024, "Rays per step.", minimum=1, maximum=1_000_000, advanced=True)
    one_view: bool = setting(False, "Take all rays of a step from one view, as published for synthetic scenes.", advanced=True)
    learning_rate: float = setting(5e-4, "Initial learning rate.", minimum=0.0, advanced=True)
    rate_fall: float = setting(0.1, "Final factor of the learning rate.", minimum=1e-6, maximum=1.0, advanced=True)
    crop_steps: int = setting(
        0,
        "Number of first steps that train on the center of the views only, so that empty margins do not dominate.",
        minimum=0,
        advanced=True,
    )
    crop_share: float = setting(0.5, "Size of this center, as a fraction of width and height.", minimum=0.01, maximum=1.0, advanced=True)
    density_noise: float = setting(
        0.0, "Standard deviation of the noise added to densities while training, against haze.", minimum=0.0, advanced=True
    )
    near: float = setting(0.0, "Near bound of rays; 0 estimates it from the capture.", unit="world units", minimum=0.0, advanced=True)
    far: float = setting(
        0.0,
        "Far bound of rays; 0 estimates it from the capture. With the occupancy sampler and in NDC it bounds the point cloud only.",
        unit="world units",
        minimum=0.0,
        advanced=True,
    )
    ndc: Literal["auto", "on", "off"] = setting(
        "auto",
        "Normalized device coordinates, for forward-facing captures that reach far back; auto enables them for LLFF.",
        advanced=True,
    )
    precision: Literal["auto", "float32", "bfloat16", "ipex"] = setting(
        "auto",
        "Precision of the networks: auto takes bfloat16 where the device has it, else float32; ipex uses Intel Extension for "
        "PyTorch, which has an environment of its own.",
        advanced=True,
    )
    points: int = setting(20_000, "Number of points in the point cloud; 0 makes none.", minimum=0, maximum=10_000_000)
    mesh_cells: int = setting(
        128,
        "Resolution of the mesh along its longest side; 0 makes no mesh, and there is none with NDC.",
        minimum=0,
        maximum=1024,
    )


@dataclass(frozen=True, kw_only=True)
class NerfFacts(FieldFacts):
    """``updates``: steps of the optimizer. ``frustum``: see fields/ndc."""

    updates: int = bounded(0, MAX_COUNT)
    frustum: Vector | None = None


@dataclass(frozen=True, kw_only=True)
class BoundsFacts:
    """See data/bounds."""

    center: Vector
    radius: float = bounded(SMALLEST)
    near: float | None = bounded(SMALLEST, default=None)
    far: float | None = bounded(SMALLEST, default=None)


@dataclass(frozen=True, kw_only=True)
class NerfFieldFacts:
    """Of field.safetensors of method nerf."""

    settings: NerfSettings
    center: Vector
    radius: float = bounded(SMALLEST)
    rotation: Matrix
    bounds: BoundsFacts
    frustum: Vector | None
    disparity: bool
    linear: bool


def check_nerf(values: NerfSettings) -> None:
    """Refuses settings of nerf that go together with no capture, though each is within its bounds.

    Raises:
        UserError: names them.
    """
    if values.sampler == "occupancy" and values.ndc == "on":
        raise UserError("The occupancy sampler does not go with NDC.", "Use --nerf.ndc off or --nerf.sampler paper.", "nerf_ndc")
    if values.near and values.far and values.near >= values.far:
        raise UserError("--nerf.near and --nerf.far do not enclose anything.", "Give both, near below far, or neither.", "nerf_near_far")


# What the configurations lego.txt and fern.txt of nerf-pytorch set, with its defaults below them. Its rates fall to a tenth in 500 000 and
# 250 000 steps, of which 200 000 are made.
_NERF_LEGO: dict[str, Any] = {
    "method": "nerf",
    "steps": 200_000,
    "downscale": 2,
    "blend": "srgb",
    "background": "white",
    "nerf": {
        "network": "published",
        "sampler": "paper",
        "width": 256,
        "depth": 8,
        "position_octaves": 10,
        "direction_octaves": 4,
        "coarse_samples": 64,
        "fine_samples": 128,
        "rays": 1024,
        "one_view": True,
        "learning_rate": 5e-4,
        "rate_fall": 0.1 ** (200 / 500),
        "crop_steps": 500,
        "crop_share": 0.5,
        "density_noise": 0.0,
        "near": 2.0,
        "far": 6.0,
        "ndc": "off",
    },
}

_PRESETS: dict[str, dict[str, Any]] = {
    "paper-lego": _NERF_LEGO,
    "paper-fern": _NERF_LEGO
    | {
        "downscale": 8,
        "background": "black",
        "nerf": _NERF_LEGO["nerf"]
        | {
            "fine_samples": 64,
            "one_view": False,
            "rate_fall": 0.1 ** (200 / 250),
            "crop_steps": 0,
            "density_noise": 1.0,
            "near": 0.0,
            "far": 0.0,
            "ndc": "on",
        },
    },
    "nerf-simple": {"method": "nerf", "nerf": {"network": "simple", "width": 256, "coarse_samples": 192, "fine_samples": 0, "rays": 1024}},
}

SPEC = MethodSpec(
    name="nerf",
    label="NeRF, for Study",
    advice="For study and comparison. Takes days or weeks as published, hours with the occupancy sampler. Brings back a mesh",
    settings=NerfSettings,
    panel=("sampler", "width", "mesh_cells", "points"),
    presets=_PRESETS,
    devices=("cpu", "xpu", "cuda"),
    trainer="methods.nerf:NerfTrainer",
    loader="methods.nerf:load_nerf_model",
    cost="methods.nerf:nerf_cost",
    state=NerfFacts,
    artifacts=(FIELD, POINTS, MESH),
    looks=("points", "mesh"),
    depth_side=120,
    check=check_nerf,
)
