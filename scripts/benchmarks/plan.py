# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured, and what is to be reached."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """A training, and its goals.

    capture: a folder of the real data. arguments: of ``engine train``. psnr: at least, in dB.
    gaussians, seconds: at most; seconds count from the process's start to the written and scored result.
    behind: another run, and by how many dB this one may be below it.
    below: PSNR that it does not reach, because it is the slow one of two. It is scored on the views that it has time for itself.
    """

    capture: str
    arguments: tuple[str, ...]
    psnr: float | None = None
    gaussians: int | None = None
    seconds: float | None = None
    behind: tuple[str, float] | None = None
    below: float | None = None


_NERF = ("--method", "nerf", "--downscale", "2", "--blend", "srgb", "--nerf.rays", "512", "--nerf.learning-rate", "1e-3")

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
    # Scores are on white; training on random colors keeps haze from passing for it.
    "ngp-60s": Run("lego400", ("--method", "ngp", "--minutes", "1", "--blend", "srgb"), 27.0),
    "ngp-5min": Run("lego400", ("--method", "ngp", "--minutes", "5", "--blend", "srgb"), 32.0),
    "fox-splats": Run("fox", ("--downscale", "2", "--minutes", "5", "--blend", "srgb")),
    "fox-ngp": Run("fox", ("--method", "ngp", "--downscale", "2", "--minutes", "5", "--blend", "srgb"), behind=("fox-splats", 1.5)),
    # What one sampler reaches, the other does not in three times the time.
    "nerf-occupancy": Run("lego400", (*_NERF, "--minutes", "15", "--nerf.sampler", "occupancy"), 24.0),
    "nerf-paper": Run("lego400", (*_NERF, "--minutes", "45", "--nerf.sampler", "paper", "--nerf.precision", "float32"), below=24.0),
}

# Milliseconds of a step, at most.
FIXTURES = {"object-50k": 80.0, "fox-seed": 50.0, "lego-100k": 150.0}

# Fixtures of ngp: samples learnt from in a second, at least; milliseconds of the encoding in both directions and of a picture, at most.
FIELDS = {"ngp-lego": (0.0, 25.0, 1500.0), "ngp-lego-every": (1.0e6, 25.0, 1500.0)}

BY_GAUSSIANS = tuple(f"shells-{thousands}k-1920x1080" for thousands in (25, 50, 100, 200, 500, 1000))
BY_PIXELS = tuple(f"shells-200k-{size}" for size in ("480x270", "960x540", "1920x1080", "3840x2160"))
SIZES = tuple(dict.fromkeys(BY_GAUSSIANS + BY_PIXELS))
# Peak memory in GiB, at most.
MEMORY = {"shells-1000k-1920x1080": 4.0}

PARTS = (*RUNS, "fixtures", "fields", "scaling")
