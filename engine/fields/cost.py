# SPDX-License-Identifier: GPL-3.0-or-later
"""What a radiance field costs, in multiply-adds, and the time that they take on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Of forward and backward together, as multiples of forward.
TRAINING = 3
_UNITS = ((1e15, "peta"), (1e12, "tera"), (1e9, "giga"), (1e6, "million "), (1e3, "thousand "))


def multiply_adds(network: nn.Module) -> int:
    """Multiply-adds of one sample's way through the layers of a network."""
    return sum(layer.weight.numel() for layer in network.modules() if isinstance(layer, nn.Linear))


def measured_rate(network: Callable[[Tensor, Tensor], object], per_sample: int, samples: int, device: str) -> float:
    """Multiply-adds a second of a network that is looked through, measured for about a fifth of a second.

    Args:
        network: takes positions and directions, [S, 3] each.
        per_sample: its multiply-adds.
        samples: S, as many as are computed at once.
        device: where it is.
    """
    places = torch.zeros((samples, 3), device=device)
    times: list[float] = []
    until = time.perf_counter() + 0.2
    with torch.no_grad():
        # The first time also takes memory and sets libraries up.
        while len(times) < 2 or time.perf_counter() < until:
            begin = time.perf_counter()
            network(places, places)
            # Devices that compute on their own are waited for.
            if device != "cpu":
                torch.accelerator.synchronize()
            times.append(time.perf_counter() - begin)
    return samples * per_sample / min(times)


@dataclass(frozen=True)
class Cost:
    """``sample``: multiply-adds of a sample. ``samples``: of a ray, on average over its networks. ``rays``: of a step. ``rate``:
    multiply-adds a second of this machine.
    """

    sample: float
    samples: float
    rays: int
    rate: float

    @property
    def pixel_seconds(self) -> float:
        """The time of a pixel of a picture."""
        return self.sample * self.samples / self.rate

    @property
    def step_seconds(self) -> float:
        """The time of a training step."""
        return self.pixel_seconds * self.rays * TRAINING

    def picture(self, width: int, height: int) -> str:
        """What a picture costs, in words."""
        pixels = width * height
        amount = _amount(self.sample * self.samples * pixels)
        return f"a picture of {width} × {height} takes {amount}multiply-adds, {duration(self.pixel_seconds * pixels)} here"

    def plain(self, width: int, height: int) -> str:
        """What a sample, a pixel, a picture and a step cost, in a sentence."""
        return (
            f"A sample takes {_amount(self.sample)}multiply-adds, a pixel {self.samples:g} samples, {self.picture(width, height)}, "
            f"and a step of {self.rays} rays {duration(self.step_seconds)}."
        )


def duration(seconds: float) -> str:
    """A time in words, to about two digits."""
    for size, unit in ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{1 if seconds < 10 * size else 0}f} {unit}"
    return f"{seconds * 1000:.0f} milliseconds" if seconds < 1 else f"{seconds:.1f} seconds"


def _amount(number: float) -> str:
    for size, unit in _UNITS:
        if number >= size:
            return f"{number / size:.{1 if number < 10 * size else 0}f} {unit}" + ("" if unit.endswith(" ") else " ")
    return f"{number:.0f} "
