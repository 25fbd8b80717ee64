# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders free of noise, also by a Blender that has no denoiser: there, samples are raised until the noise of test renders is small.

Monte Carlo noise falls as 1/sqrt(samples). It is measured as the difference of two renders that differ in the seed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np

from ..core import private_folders
from . import compat, console
from .pixels import read_pixels

# Standard deviation of sRGB values between 0 and 1. In the demo room, 8 denoised samples are 0.010 to 0.016 from a converged render, 8 raw
# ones 0.030 to 0.053, and 64 raw ones 0.016.
MAX_NOISE = 0.02
# What renders of most rooms need without a denoiser; Cycles stops earlier where its Noise Threshold allows.
CLEAN_SAMPLES = 256
# More would take hours.
_MAX_SAMPLES = 1024
_ROUNDS = 3
# Size of a test render, in the middle of the view.
_TEST_SIZE = (64, 48)


def renders_noisy(scene: bpy.types.Scene) -> bool:
    """Whether Cycles renders a scene with noise, because this Blender cannot denoise and the scene has few samples."""
    return scene.render.engine == "CYCLES" and scene.cycles.samples < CLEAN_SAMPLES and not compat.has_denoiser()


def use_clean_samples(scene: bpy.types.Scene, samples: int, views: Sequence[Callable[[], None]], count: int) -> str:
    """Sets a scene's samples and denoiser so that its renders are free of visible noise.

    Args:
        scene: renders 8-bit PNG by Cycles; all but its samples and its denoiser is put back.
        samples: a pixel, enough where Blender can denoise.
        views: what points the scene's camera at each of some test views.
        count: how many renders of the scene's size will follow, for the time in the message.

    Returns:
        A sentence for the user where samples were raised, else "".
    """
    scene.cycles.samples = samples
    if compat.use_denoiser(scene):
        return ""
    seconds: list[float] = []

    def pixels(samples: int, seed: int) -> list[np.ndarray]:
        begin = time.monotonic()
        scene.cycles.samples, scene.cycles.seed = samples, seed
        found = []
        for aim in views:
            aim()
            with console.quiet():
                bpy.ops.render.render(write_still=True, scene=scene.name)
            found.append(read_pixels(Path(scene.render.filepath)))
        seconds.append(time.monotonic() - begin)
        return found

    with _test_renders(scene) as share:
        raised, noise = clean_samples(pixels, samples)
    scene.cycles.samples = raised
    if raised == samples:
        return ""
    minutes = seconds[-1] / len(views) / share * count / 60
    message = (
        f"This Blender has no denoiser (OpenImageDenoise): {raised} samples are rendered instead of {samples}, which takes "
        f"{f'about {minutes:.0f} min' if minutes >= 1 else 'less than a minute'}. The builds of blender.org have one and are faster."
    )
    return message if noise <= MAX_NOISE else f"{message} Some noise remains."


def clean_samples(pixels: Callable[[int, int], Sequence[np.ndarray]], samples: int) -> tuple[int, float]:
    """Finds how many samples keep the noise below :data:`MAX_NOISE`.

    Args:
        pixels: renders test views with a number of samples and a seed: [H, W, 3 or 4] sRGB values, straight alpha.
        samples: the first number tried.

    Returns:
        The samples, and the noise that remains.
    """
    noise = _noise(pixels(samples, 1), pixels(samples, 2))
    for _ in range(_ROUNDS):
        if noise <= MAX_NOISE or samples >= _MAX_SAMPLES:
            break
        # A little more than the law asks for, because clipped highlights hide some noise.
        samples = min(_MAX_SAMPLES, math.ceil(1.1 * samples * (noise / MAX_NOISE) ** 2))
        noise = _noise(pixels(samples, 1), pixels(samples, 2))
    return samples, noise


def _noise(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """Standard deviation of one of two renders of the same views, where they are opaque: edges differ by how they are sampled."""
    squares, count = 0.0, 0
    for one, other in zip(first, second, strict=True):
        opaque = np.ones(one.shape[:2], bool) if one.shape[2] < 4 else (one[..., 3] == 1) & (other[..., 3] == 1)
        squares += float(np.square(one[opaque, :3] - other[opaque, :3]).sum()) / 2
        count += 3 * int(opaque.sum())
    return math.sqrt(squares / max(count, 1))


@contextmanager
def _test_renders(scene: bpy.types.Scene) -> Iterator[float]:
    """Has a scene render the middle of its views into a temporary file; gives the share of the pixels that it has.

    Smaller images of the complete view would have more detail in a pixel, and so more noise.
    """
    render = scene.render
    borders = ("border_min_x", "border_max_x", "border_min_y", "border_max_y")
    names = ("filepath", "use_border", "use_crop_to_border", *borders)
    before, seed = [getattr(render, name) for name in names], scene.cycles.seed
    shares = []
    for axis, side, size in zip("xy", (render.resolution_x, render.resolution_y), _TEST_SIZE, strict=True):
        shares.append(min(1.0, size / (side * render.resolution_percentage / 100)))
        setattr(render, f"border_min_{axis}", 0.5 - shares[-1] / 2)
        setattr(render, f"border_max_{axis}", 0.5 + shares[-1] / 2)
    try:
        with private_folders.temporary() as folder:
            render.filepath, render.use_border, render.use_crop_to_border = str(folder / "test.png"), True, True
            yield shares[0] * shares[1]
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(render, name, value)
        scene.cycles.seed = seed
