# SPDX-License-Identifier: GPL-3.0-or-later
"""A method that a test adds: every pixel of every image has one color, which training learns."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import numpy as np

from ..checkpoints import CaptureFacts
from ..schema import setting
from .spec import MethodSpec


@dataclass(frozen=True)
class ToySettings:
    """A constant color."""

    rate: float = setting(0.1, "Learning rate.", minimum=0.0, maximum=1.0)


@dataclass(frozen=True, kw_only=True)
class ToyFacts(CaptureFacts):
    """Nothing more."""


class ToyModel:
    """One color, sRGB."""

    blend, antialias, near = "srgb", False, 0.0

    def __init__(self, color):
        self.color = np.asarray(color, np.float32)

    def render(self, camera, background):
        shape = (camera.height, camera.width)
        return np.broadcast_to(self.color[:, None, None], (3, *shape)).astype(np.float32), np.ones(shape, np.float32)

    def layers(self, camera):
        image, alpha = self.render(camera, None)
        return image, alpha, np.ones_like(alpha)


def load_toy(folder, result, workers):
    return ToyModel(json.loads((folder / "toy.json").read_text()))


class ToyTrainer(ToyModel):
    """Gradient descent on the mean color of each view."""

    count, pixel_seconds, trained_pixels, ending_seconds, note = None, 0.0, 0.0, 0.0, ""

    def __init__(self, settings, capture, views, blend, workers):
        super().__init__(np.zeros(3))
        self.views, self.rate, self.steps_done = views, settings.toy.rate, 0
        self.rng = np.random.default_rng(settings.seed)

    def step(self, progress):
        view = self.views[self.rng.integers(len(self.views))]
        pixels = view.image.astype(np.float32) / 255
        alpha = pixels[..., 3:] if pixels.shape[2] == 4 else 1.0
        error = (pixels[..., :3] * alpha + 1 - alpha).mean(axis=(0, 1)) - self.color
        self.color = self.color + np.float32(self.rate) * error.astype(np.float32)
        self.steps_done += 1
        time.sleep(0.001)
        return float((error**2).mean())

    def artifacts(self, folder):
        (folder / "toy.json").write_text(json.dumps(self.color.tolist()))
        yield "toy", "toy.json"

    def bounds(self):
        return (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)

    def state(self):
        facts = {"step": self.steps_done, "rng": self.rng.bit_generator.state, "views": [view.name for view in self.views]}
        return {"color": self.color}, facts

    def load_state(self, arrays, facts):
        self.color, self.steps_done = arrays["color"], facts["step"]
        self.rng.bit_generator.state = facts["rng"]


SPEC = MethodSpec(
    name="toy",
    label="Toy",
    advice="For tests: one color everywhere",
    settings=ToySettings,
    panel=("rate",),
    presets={"toy-fast": {"method": "toy", "toy": {"rate": 0.5}}},
    trainer="contract.methods.toy:ToyTrainer",
    loader="contract.methods.toy:load_toy",
    state=ToyFacts,
    artifacts=("toy.json",),
    looks=(),
    depth_side=100,
)
