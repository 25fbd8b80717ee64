# SPDX-License-Identifier: GPL-3.0-or-later
"""What panels call settings, choices and the buttons that stand for flags of the command line."""

import dataclasses
import re
import typing

from ...engine.contract.methods import METHODS
from ...engine.contract.methods.nerf import NerfSettings
from ...engine.contract.settings import TrainSettings
from ...engine.contract.voxels import VoxelSettings
from ..core import looks

_BUTTONS = {"--resume": "Continue", "--overwrite": "Start Over", "--out": "Folder"}
_UNITS = {"degrees": "°", "m": "m", "min": "min", "stops": "stops"}
_NAMES = {
    "absgrad": "Absolute Gradients",
    "base": "Coarsest Resolution",
    "batch": "Samples per Step",
    "cascades": "Occupancy Cascades",
    "cells": "Occupancy Resolution",
    "crop_share": "Center Crop Size",
    "crop_steps": "Center Crop Steps",
    "depth": "Network Depth",
    "distortion": "Distortion Weight",
    "faint": "Faint Sample Weight",
    "features": "Features per Level",
    "finest": "Finest Resolution",
    "full_until": "Full Learning Rate Until",
    "half_until": "Half Size Until",
    "init_points": "Initial Points",
    "lit": "Lit by the Room",
    "log2_table": "Hash Table Size (log2)",
    "look": "Import As",
    "looks": "Occupancy Updates",
    "means_rate": "Position Learning Rate",
    "mesh_cells": "Mesh Resolution",
    "ndc": "NDC",
    "noise": "Position Noise",
    "one_view": "One View per Step",
    "only_object": "Only This Object",
    "opacities_rate": "Opacity Learning Rate",
    "out": "Folder",
    "prune_share": "Prune Contribution",
    "quats_rate": "Rotation Learning Rate",
    "rate": "Learning Rate",
    "rate_fall": "Final Learning Rate Factor",
    "rates_fall": "Final Learning Rate Factor",
    "rays": "Rays per Step",
    "result": "Folder",
    "scales_rate": "Scale Learning Rate",
    "sh_degree": "SH Degree",
    "sh_rate": "Color Learning Rate",
    "ssim_weight": "D-SSIM Weight",
    (NerfSettings, "width"): "Network Width",
}
CHOICES = (
    {
        "adc": "Clone and Split",
        "auto": "Automatic",
        "bfloat16": "bfloat16",
        "both": "Room and Object",
        "cpu": "Processor",
        "cuda": "NVIDIA or AMD GPU",
        "float32": "float32",
        "gsplat": "gsplat",
        "gsplat-mcmc": "gsplat, MCMC",
        "int8": "INT8",
        "ipex": "Intel Extension for PyTorch",
        "longest": "Longest Side",
        "mcmc": "MCMC",
        "nerf-simple": "NeRF, the Smallest",
        "occupancy": "Occupancy Grid (Faster)",
        "orbit": "Around an Object",
        "paper": "As Published",
        "paper-fern": "NeRF as Published, Fern",
        "paper-lego": "NeRF as Published, Lego",
        "paper-ngp": "Instant-NGP as Published",
        "published": "As Published",
        "room": "Inside the Room",
        "scene": "The Scene's Cameras",
        "simple": "The Smallest",
        "srgb": "sRGB",
        "xpu": "Intel GPU",
    }
    | looks.LABELS
    | {name: method.label for name, method in METHODS.items()}
)
# What the panel says of a choice, and the list where it is taken.
ADVICE = looks.DESCRIPTIONS | {name: method.advice for name, method in METHODS.items()}


def label(cls: type, name: str, unit: str = "") -> str:
    """What panels call a setting of a dataclass."""
    text = _NAMES.get((cls, name)) or _NAMES.get(name, name.replace("_", " ").title().replace(" Of ", " of "))
    return f"{text} ({_UNITS[unit]})" if unit in _UNITS else text


def label_of_flag(flag: str) -> str:
    """What panels call a setting that the command line has as a flag, such as ``--ngp.ray-steps``; empty where they have none."""
    *groups, name = flag.removeprefix("--").replace("-", "_").split(".")
    for cls in (TrainSettings, VoxelSettings):
        for group in groups:
            cls = typing.get_type_hints(cls).get(group)
        if dataclasses.is_dataclass(cls) and name in cls.__dataclass_fields__:
            return label(cls, name)
    return ""


def in_panel_words(text: str) -> str:
    """A message of the engine with the names of buttons and settings in place of the command line's flags."""

    def words(found: re.Match) -> str:
        return _BUTTONS.get(found[0]) or label_of_flag(found[0]) or found[0]

    return re.sub(r"--[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*", words, text)
