# SPDX-License-Identifier: GPL-3.0-or-later
"""Method splat: 3D Gaussian splatting (Kerbl et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..checkpoints import CaptureFacts, Vector
from ..result import SPLATS, SPLATS_LINEAR
from ..schema import bounded, setting
from .spec import MethodSpec


@dataclass(frozen=True)
class SplatSettings:
    """3D Gaussian splatting. Learning rates are two to four times those of Kerbl et al. 2023, for thousands of steps instead of tens of
    thousands; schedules are shares of the run, so that they fit any budget."""

    sh_degree: int = setting(
        2,
        "Degree of the spherical harmonics, with which color changes with the viewing direction; 0 is view-independent.",
        minimum=0,
        maximum=3,
    )
    max_gaussians: int = setting(100_000, "Maximum number of gaussians that densification may reach.", minimum=100, maximum=20_000_000)
    init_points: int = setting(
        30_000, "Number of random initial points where the capture has no seed points.", minimum=100, maximum=5_000_000, advanced=True
    )
    ssim_weight: float = setting(0.2, "Weight of D-SSIM in the loss; the rest is L1.", minimum=0.0, maximum=1.0, advanced=True)
    coverage_weight: float = setting(
        0.05,
        "Weight in the loss of the error in accumulated opacity.",
        minimum=0.0,
        maximum=10.0,
        advanced=True,
    )
    depth_weight: float = setting(
        0.5, "Weight in the loss of the depth error relative to the scene's radius, where views have depth.", minimum=0.0, advanced=True
    )
    normal_weight: float = setting(
        0.0, "Weight in the loss of the angle to captured normals, where views have them.", minimum=0.0, advanced=True
    )
    exposure: bool = setting(
        False,
        "Learn an exposure and white balance for each photo, and leave them out of the splats.",
        advanced=True,
    )
    half_until: float = setting(
        0.3,
        "Fraction of the run that trains on views of half the size (large ones first on a quarter), which is faster.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    antialias: Literal["auto", "on", "off"] = setting(
        "auto",
        "Opacity-compensated antialiasing; auto enables it for linear blending, because Blender renders splats without a blur.",
        advanced=True,
    )
    strategy: Literal["mcmc", "adc"] = setting(
        "adc",
        "Densification: mcmc relocates transparent gaussians (Kheradmand et al. 2024), adc clones and splits gaussians with "
        "large gradients (Kerbl et al. 2023).",
        advanced=True,
    )
    grow_until: float = setting(
        0.8,
        "Fraction of the densification in which mcmc reaches the maximum number of gaussians.",
        minimum=0.01,
        maximum=1.0,
        advanced=True,
    )
    noise: float = setting(
        5e5, "Scale of mcmc's noise on the means, relative to their learning rate, for a scene of radius 1.", minimum=0.0, advanced=True
    )
    opacity_weight: float = setting(0.01, "Weight of mcmc's opacity regularization.", minimum=0.0, advanced=True)
    scale_weight: float = setting(
        0.01, "Weight of mcmc's scale regularization, relative to the scene's radius.", minimum=0.0, advanced=True
    )
    refine_start: int = setting(300, "Step of the first densification.", minimum=0, maximum=1_000_000, advanced=True)
    refine_every: int = setting(100, "Steps between densifications.", minimum=1, maximum=100_000, advanced=True)
    refine_stop: float = setting(0.6, "Fraction of the run after which densification stops.", minimum=0.0, maximum=1.0, advanced=True)
    grow_gradient: float = setting(
        0.0002,
        "Mean gradient of a gaussian's screen position, in half image widths, above which it is cloned or split.",
        minimum=0.0,
        advanced=True,
    )
    absgrad: bool = setting(
        False,
        "Accumulate absolute gradients of pixels (AbsGS, Ye et al. 2024); grow_gradient should then be about four times as large.",
        advanced=True,
    )
    split_scale: float = setting(
        0.01, "Gaussians larger than this fraction of the scene's radius are split, smaller ones cloned.", minimum=0.0, advanced=True
    )
    prune_opacity: float = setting(0.02, "Gaussians with an opacity below this are removed.", minimum=1e-6, maximum=0.4, advanced=True)
    prune_share: float = setting(
        0.1,
        "Gaussians that contribute less than this to the images they are in are removed, in millionths of an image.",
        minimum=0.0,
        advanced=True,
    )
    reset_every: int = setting(3000, "Steps between resets of all opacities to a low value.", minimum=1, advanced=True)
    means_rate: float = setting(
        6.4e-4, "Learning rate of the means, relative to the scene's radius; it decays to a hundredth.", minimum=0.0, advanced=True
    )
    scales_rate: float = setting(2e-2, "Learning rate of the log scales.", minimum=0.0, advanced=True)
    quats_rate: float = setting(2e-3, "Learning rate of the rotations.", minimum=0.0, advanced=True)
    opacities_rate: float = setting(1e-1, "Learning rate of the opacity logits.", minimum=0.0, advanced=True)
    sh_rate: float = setting(1e-2, "Learning rate of the base color; higher harmonics take a twentieth.", minimum=0.0, advanced=True)
    rates_fall: float = setting(0.1, "Final factor of all learning rates but that of the means.", minimum=1e-6, maximum=1.0, advanced=True)


@dataclass(frozen=True, kw_only=True)
class SplatFacts(CaptureFacts):
    """``order`` holds the views that are still due, the next one last. ``center``: origin of the means, world."""

    order: tuple[int, ...] = bounded(0)
    was_reset: bool
    center: Vector
    degree: int = bounded(0, 3)


# gsplat's examples/simple_trainer.py. Its harmonics join every 1 000 steps, ours are spread over the run; its mcmc also starts from
# smaller, more opaque gaussians.
_GSPLAT: dict[str, Any] = {
    "steps": 30_000,
    "blend": "srgb",
    "splat": {
        "sh_degree": 3,
        "max_gaussians": 1_000_000,
        "init_points": 100_000,
        "ssim_weight": 0.2,
        "coverage_weight": 0.0,
        "depth_weight": 0.0,
        "normal_weight": 0.0,
        "exposure": False,
        "half_until": 0.0,
        "antialias": "off",
        "strategy": "adc",
        "refine_start": 500,
        "refine_every": 100,
        "refine_stop": 0.5,
        "grow_gradient": 0.0002,
        "absgrad": False,
        "split_scale": 0.01,
        "prune_opacity": 0.005,
        "prune_share": 0.0,
        "reset_every": 3000,
        "means_rate": 1.6e-4,
        "scales_rate": 5e-3,
        "quats_rate": 1e-3,
        "opacities_rate": 5e-2,
        "sh_rate": 2.5e-3,
        "rates_fall": 1.0,
    },
}

_PRESETS: dict[str, dict[str, Any]] = {
    "gsplat": _GSPLAT,
    "gsplat-mcmc": _GSPLAT
    | {
        "splat": _GSPLAT["splat"]
        | {
            "strategy": "mcmc",
            # To step 25 000; growing by 5 % every 100 steps fills the budget in about a quarter of the run.
            "refine_stop": 0.8333,
            "grow_until": 0.3,
            "noise": 5e5,
            "opacity_weight": 0.01,
            "scale_weight": 0.01,
        }
    },
}

SPEC = MethodSpec(
    name="splat",
    label="Gaussian Splats",
    advice="For rooms and furniture: sharpest within minutes. Brings back splats, which show in renders",
    settings=SplatSettings,
    panel=("sh_degree", "max_gaussians"),
    presets=_PRESETS,
    devices=("cpu",),
    trainer="methods.splat:SplatTrainer",
    loader="methods.splat:load_splat_model",
    state=SplatFacts,
    artifacts=(SPLATS, SPLATS_LINEAR),
    looks=("points", "splats"),
    depth_side=1000,
)
