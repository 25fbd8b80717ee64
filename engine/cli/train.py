# SPDX-License-Identifier: GPL-3.0-or-later
"""Command train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import tyro

from ..contract.presets import PRESETS, with_preset
from ..contract.result import Result
from ..contract.schema import from_mapping
from ..contract.settings import TrainSettings
from .options import SETTINGS, Positional, like, option, options_of
from .training import TrainingCommand, run_training

DEFAULT_MINUTES = 3.0
_Settings = options_of(TrainSettings)


@dataclass(frozen=True)
class Train(TrainingCommand):
    """Train on a capture, within a time budget or for a number of steps."""

    name: ClassVar[str] = "train"
    source_name: ClassVar[str] = "CAPTURE"

    capture: Annotated[str, Positional, option("Folder of the capture: transforms.json, NeRF-synthetic, LLFF or COLMAP.", "CAPTURE")] = ""
    settings: Annotated[_Settings, SETTINGS] = field(default_factory=_Settings)  # type: ignore[valid-type]

    def run(self) -> int:
        """Returns the exit code."""
        from ..jobs.train import train

        settings = like(TrainSettings(), self.settings)
        preset = with_preset({"preset": settings.preset})
        budget = {name: preset[name] for name in ("minutes", "steps") if name in preset} or {"minutes": DEFAULT_MINUTES}
        return run_training(self, self.capture, settings, budget, train, _scores)


@dataclass(frozen=True)
class _Preset:
    preset: str = ""


def default_train(arguments: Sequence[str]) -> Train:
    """The defaults of the command: those of the preset that the arguments name, so that every option given wins over it."""
    named, _ = tyro.cli(_Preset, args=arguments, return_unknown_args=True, add_help=False)
    # No budget, because steps of the preset would stand beside minutes that are given.
    preset: dict[str, Any] = {"preset": named.preset, "minutes": None} if named.preset in PRESETS else {}
    return Train(settings=like(_Settings(), from_mapping(TrainSettings, with_preset(preset))))


def _scores(result: Result) -> str:
    from ..runs.scoring import which_views

    if "psnr" not in result.metrics:
        return ""
    return f", {result.metrics['psnr']:.2f} dB PSNR, {result.metrics['ssim']:.4f} SSIM on {which_views(result.metrics)}"
