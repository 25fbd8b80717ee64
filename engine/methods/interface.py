# SPDX-License-Identifier: GPL-3.0-or-later
"""What jobs and runs know of a method."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..cameras import Camera

# What to do about an artifact that is damaged.
WRITE_AGAIN = "Resume its training, which writes the file again, or choose another result."


class Model(Protocol):
    """A trained scene that can be rendered."""

    def render(self, camera: Camera, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """An image for the screen.

        Args:
            camera: in the world.
            background: [3] sRGB, 0 to 1.

        Returns:
            [3, H, W] float32 sRGB over the background, and [H, W] float32 alpha.
        """

    def layers(self, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """An image to be composited with others.

        Returns:
            [3, H, W] float32 scene-linear over nothing, so already multiplied by alpha; [H, W] alpha; and [H, W] planar z in the world's
            unit, 0 = none.
        """


class Trainer(Model, Protocol):
    """What a training run drives. Its state can be saved and restored, see :class:`engine.runs.checkpoint.Resumable`.

    Attributes:
        steps_done: number of steps so far.
        count: number of gaussians; None for other methods.
        pixel_seconds: estimated time to render a pixel, s; 0 where unknown.
        trained_pixels: number of pixels that the work of all steps so far could have rendered; 0 where rendering costs little.
        ending_seconds: estimated time that :meth:`artifacts` would take now, s.
        note: what the user should know of the cost, and of seed points that are not used; "" where there is nothing.
        blend: color space of compositing, linear or srgb.
        antialias: whether gaussians are antialiased.
        near: distance of the near plane in the world's unit; 0 where a method has none.
    """

    steps_done: int
    count: int | None
    pixel_seconds: float
    trained_pixels: float
    ending_seconds: float
    note: str
    blend: str
    antialias: bool
    near: float

    def step(self, progress: float) -> float:
        """One step at a share of the run, 0 to 1. Returns the loss."""

    def artifacts(self, folder: Path) -> Iterable[tuple[str, str]]:
        """Generator: yields (kind, relative path) as each file is written to a result's folder, the file that all others can be made from
        first. Stop iterating to skip the rest.
        """

    def bounds(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The box that holds most of the scene, (low, high) in the world's unit."""

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything that a resumed run needs to continue exactly: arrays, and plain values for JSON."""

    def load_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Restores what :meth:`state` returned."""
