# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets: named sets of training settings, from which settings that are given explicitly deviate.

A preset holds what differs from the defaults, arranged as the table [train] of a job file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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

# Instant-NGP's own configuration with the hash table of its paper. Its rates fall to a third after 20 000 and 30 000 steps, ours evenly.
_NGP: dict[str, Any] = {
    "method": "ngp",
    "steps": 35_000,
    "blend": "srgb",
    "ngp": {
        "levels": 16,
        "features": 2,
        "log2_table": 19,
        "base": 16,
        "finest": 2048,
        "batch": 262_144,
        "faint": 0.0,
        "distortion": 0.0,
        "ray_steps": 1024,
        "cells": 128,
        "looks": "paper",
        "rate": 1e-2,
        "full_until": 20 / 35,
        "rates_fall": 0.33**1.5,
        "weight_decay": 1e-6,
    },
}

PRESETS: dict[str, dict[str, Any]] = {
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
    "paper-ngp": _NGP,
    "nerf-simple": {"method": "nerf", "nerf": {"network": "simple", "width": 256, "coarse_samples": 192, "fine_samples": 0, "rays": 1024}},
}


def with_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training with those of the preset that they name below them.

    Args:
        given: a table [train] as it was written; unknown keys and names pass, for the check of settings to name them.
    """
    name = given.get("preset")
    preset = PRESETS.get(name, {}) if isinstance(name, str) else {}
    if "minutes" in given or "steps" in given:
        # There is one budget.
        preset = {key: value for key, value in preset.items() if key not in ("minutes", "steps")}
    merged = {**preset, **given}
    for key, value in given.items():
        if isinstance(value, Mapping) and isinstance(preset.get(key), Mapping):
            merged[key] = {**preset[key], **value}
    return merged
