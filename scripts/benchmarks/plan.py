# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured, and what is to be reached."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """A training, and its goals.

    capture: a folder of the real data. arguments: of ``engine train``. psnr: at least, in dB.
    gaussians, seconds: at most; seconds count from the process's start to the written and scored result.
    """

    capture: str
    arguments: tuple[str, ...]
    psnr: float
    gaussians: int | None = None
    seconds: float | None = None


RUNS = {
    "lego-90s": Run("lego400", ("--minutes", "1.5", "--background", "white", "--blend", "srgb"), 31.5),
    "lego-5min": Run("lego400", ("--minutes", "5", "--background", "white", "--blend", "srgb"), 33.5, gaussians=150_000),
    # The last 2 000 steps at full size.
    "fox-7000": Run(
        "fox_colmap",
        ("--steps", "7000", "--blend", "srgb", "--splat.half-until", "0.714", "--splat.max-gaussians", "60000"),
        28.0,
        seconds=420,
    ),
}

# Milliseconds of a step, at most.
FIXTURES = {"object-50k": 80.0, "fox-seed": 50.0, "lego-100k": 150.0}

BY_GAUSSIANS = tuple(f"shells-{thousands}k-1920x1080" for thousands in (25, 50, 100, 200, 500, 1000))
BY_PIXELS = tuple(f"shells-200k-{size}" for size in ("480x270", "960x540", "1920x1080", "3840x2160"))
SIZES = tuple(dict.fromkeys(BY_GAUSSIANS + BY_PIXELS))
# Peak memory in GiB, at most.
MEMORY = {"shells-1000k-1920x1080": 4.0}

PARTS = (*RUNS, "fixtures", "scaling")
