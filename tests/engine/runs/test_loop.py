# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop of a training, by a clock that is moved by hand."""

import contextlib
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine import cli
from engine.cameras import Camera
from engine.contract.events import read_new
from engine.contract.result import read_result
from engine.data.views import View
from engine.jobs import train
from engine.runs import loop, scoring
from engine.runs.budget import Budget, Clock


@dataclass
class Hands:
    now: float = 0.0

    def seconds(self):
        return self.now


@dataclass
class Slow:
    """A trainer of large views: a step takes seconds, and so does a picture."""

    clock: Hands
    step_takes: float
    picture_takes: float
    steps_done: int = 0
    pixel_seconds: float = 0.0
    ending_seconds: float = 0.5
    count: int = 1000
    blend: str = "srgb"

    def step(self, progress):
        self.clock.now += self.step_takes
        self.steps_done += 1
        return 0.5

    def render(self, camera, background):
        self.clock.now += self.picture_takes
        self.pixel_seconds = self.picture_takes / (camera.width * camera.height)
        return np.zeros((3, camera.height, camera.width), np.float32), np.zeros((camera.height, camera.width), np.float32)


@dataclass
class Context:
    path: Path
    clock: Hands
    events: list = field(default_factory=list)
    cancel: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(requested=False))
    folder: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(write_preview=lambda path, image: None))

    def report(self, kind, **values):
        self.events.append(kind)

    def tolerate_full_disk(self, consequence):
        return contextlib.nullcontext()


@pytest.mark.parametrize("step_takes", [0.1, 2.9, 7.0])
@pytest.mark.parametrize("picture_takes", [0.05, 4.0])
@pytest.mark.parametrize("loading", [2.0, 35.0])
def test_the_last_step_preview_and_checkpoint_leave_the_reserve_alone(tmp_path, monkeypatch, step_takes, picture_takes, loading):
    clock = Hands(loading)
    monkeypatch.setattr(loop, "write_checkpoint", lambda *_: setattr(clock, "now", clock.now + 2.0))
    trainer, budget = Slow(clock, step_takes, picture_takes), Budget(clock, seconds=60.0)
    view = View("0", Camera(64, 48, 60.0, 60.0, 32.0, 24.0, np.eye(4)), np.zeros((48, 64, 3), np.uint8))
    context = Context(tmp_path, clock)
    loop.run_steps(context, trainer, budget, train._Previews(context, trainer, budget, [view]))
    assert context.events.count("preview") > 0
    assert budget.reserve > 1.5 and clock.now <= 60.0 - budget.reserve + 1e-6
    # A preview that comes near the end is the only thing that may end it early.
    assert clock.now >= 60.0 - budget.reserve - step_takes - 1e-6


def test_where_loading_takes_all_the_time_a_small_picture_tells_what_scores_take(tmp_path):
    clock = Hands(80.0)
    trainer, budget = Slow(clock, 5.0, 0.1), Budget(clock, seconds=60.0)
    view = View("0", Camera(640, 480, 600.0, 600.0, 320.0, 240.0, np.eye(4)), np.zeros((480, 640, 3), np.uint8))
    context = Context(tmp_path, clock)
    loop.run_steps(context, trainer, budget, train._Previews(context, trainer, budget, [view]))
    train._measure_rendering(trainer, budget, [view])
    assert trainer.steps_done == 1 and trainer.pixel_seconds == pytest.approx(0.1 / (64 * 48))
    assert scoring.affordable_pixels(trainer, budget) == pytest.approx(2.0 / (trainer.pixel_seconds + 4e-7))


def test_loading_that_leaves_little_time_is_said(small_capture, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.runs.context.Clock", lambda _: Clock(time.time() - 30))
    out = tmp_path / "result"
    assert cli.main(["train", str(small_capture), "--out", str(out), "--minutes", "0.3"]) == 0
    warnings = [event.values["message"] for event in read_new(out / "events.jsonl")[0] if event.kind == "warning"]
    assert any(re.match(r"Loading took 3\d s, so 0 s of the time are left for training", message) for message in warnings), warnings
    assert read_result(out).step == 1
