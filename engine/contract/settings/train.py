# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of trainings on captures; those of each method are in contract/methods."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from ..errors import UserError
from ..methods import METHODS
from ..presets import PRESETS
from ..result import RESULT
from ..schema import from_mapping, setting

Settings = TypeVar("Settings")


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
