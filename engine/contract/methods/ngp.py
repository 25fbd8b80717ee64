# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ngp: Instant-NGP (Müller et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..checkpoints import MAX_COUNT, SMALLEST, FieldFacts, Vector
from ..errors import UserError
from ..result import FIELD, MESH, POINTS
from ..schema import bounded, setting
from .spec import MethodSpec

# Fewer steps of a ray than this find nothing.
_MIN_RAY_STEPS = 32


@dataclass(frozen=True)
class NgpSettings:
    """Instant-NGP (Müller et al. 2022). Schedules are shares of the run, so that they fit any budget."""

    levels: int = setting(
        8, "Number of levels of the hash grid; levels times features must be a multiple of 16.", minimum=2, maximum=32, advanced=True
    )
    features: int = setting(4, "Features per level: 2 or 4.", minimum=2, maximum=4, advanced=True)
    log2_table: int = setting(
        17,
        "Size of each level's hash table, as a power of two; larger tables hold finer detail, and are slow where caches are small.",
        minimum=8,
        maximum=24,
    )
    base: int = setting(16, "Resolution of the coarsest level.", minimum=2, maximum=512, advanced=True)
    finest: int = setting(512, "Resolution of the finest level within the scene's box.", minimum=16, maximum=65_536, advanced=True)
    batch: int = setting(32_768, "Samples per step; the number of rays follows from it.", minimum=256, maximum=4_194_304, advanced=True)
    faint: float = setting(
        1 / 512,
        "Samples with a weight below this are subsampled 1:4 and back-propagated with four times their weight; 0 uses all "
        "samples, as published. On processors only.",
        minimum=0.0,
        maximum=0.5,
        advanced=True,
    )
    distortion: float = setting(
        0.2,
        "Weight of the distortion loss (mip-NeRF 360), which removes haze in front of cameras; 0 as published. Far larger "
        "values destroy the scene.",
        minimum=0.0,
        advanced=True,
    )
    ray_steps: int = setting(
        0,
        "Steps along the diagonal of the scene's box; 0 takes 512, or 256 where the scene extends beyond its box.",
        minimum=0,
        maximum=16_384,
        advanced=True,
    )
    cells: int = setting(64, "Resolution of the occupancy grid; a multiple of 8.", minimum=8, maximum=512, advanced=True)
    cascades: int = setting(
        0,
        "Number of nested occupancy grids, each twice as large as the one before; 0 takes 1 where views are transparent, else "
        "4, or up to 8 where the scene extends far beyond its box.",
        minimum=0,
        maximum=8,
        advanced=True,
    )
    rate: float = setting(1e-2, "Learning rate.", minimum=0.0, advanced=True)
    full_until: float = setting(0.3, "Fraction of the run after which the learning rate decays.", minimum=0.0, maximum=1.0, advanced=True)
    rates_fall: float = setting(0.03, "Final factor of the learning rate.", minimum=1e-6, maximum=1.0, advanced=True)
    weight_decay: float = setting(1e-6, "Weight decay of the networks.", minimum=0.0, advanced=True)
    looks: Literal["timed", "paper"] = setting(
        "timed",
        "Schedule of occupancy updates: timed takes a tenth of the time; paper updates all cells at first, later half of them "
        "every 16 steps.",
        advanced=True,
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto",
        "Precision of the networks while training: auto takes bfloat16 where the processor has matrix units for it (Intel AMX),"
        " else float32. Images are rendered with float32.",
        advanced=True,
    )
    mesh_cells: int = setting(192, "Resolution of the mesh along its longest side; 0 makes no mesh.", minimum=0, maximum=1024)


@dataclass(frozen=True, kw_only=True)
class NgpFacts(FieldFacts):
    """``rays``: how many the next step takes."""

    rays: int = bounded(1, MAX_COUNT)


@dataclass(frozen=True, kw_only=True)
class NgpFieldFacts:
    """Of field.safetensors of method ngp."""

    settings: NgpSettings
    cascades: int = bounded(1, 16)
    center: Vector
    radius: float = bounded(SMALLEST)


def check_ngp(values: NgpSettings) -> None:
    """Refuses settings that ngp cannot compute with, though each is within its bounds.

    Raises:
        UserError: names them.
    """
    if values.features not in (2, 4) or values.levels * values.features % 16 or values.cells % 8:
        raise UserError(
            f"ngp cannot compute {values.levels} levels of {values.features} features with an occupancy grid of {values.cells}.",
            "Take 2 or 4 features, levels times features a multiple of 16, and cells a multiple of 8.",
            "ngp_layout",
        )
    if 0 < values.ray_steps < _MIN_RAY_STEPS:
        raise UserError(
            f"{values.ray_steps} steps of a ray are too few.", f"Give --ngp.ray-steps {_MIN_RAY_STEPS} or more, or 0.", "ngp_ray_steps"
        )


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

_PRESETS: dict[str, dict[str, Any]] = {
    "paper-ngp": _NGP,
}

SPEC = MethodSpec(
    name="ngp",
    label="Instant-NGP, for a Mesh",
    advice="For a colored mesh that other tools can use. Takes 5 minutes or more; its images are softer than those of splats",
    settings=NgpSettings,
    panel=("mesh_cells", "log2_table"),
    presets=_PRESETS,
    devices=("cpu",),
    trainer="methods.ngp:NgpTrainer",
    loader="methods.ngp:load_ngp_model",
    state=NgpFacts,
    artifacts=(FIELD, POINTS, MESH),
    looks=("points", "mesh"),
    depth_side=300,
    check=check_ngp,
)
