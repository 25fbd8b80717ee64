# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of ngp's field, timed: whole steps, the encoding alone, and a picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from ..contract.methods.ngp import NgpSettings
from ..contract.settings import TrainSettings
from ..data.rays import picture_rays
from ..kernels import hashgrid
from ..kernels.marching import march
from ..methods.ngp import NgpTrainer
from .measuring import best, capture

# Steps before the clock starts, until the occupancy grid knows the scene; and those that are timed, in runs of several looks at the grid.
_WARM_UP, _TIMED, _REPEATS = 400, 64, 5
_ENCODED = 65_536


def ngp_lego(**others: float) -> NgpTrainer:
    """The lego of lego400, with tables of 2^17 rows, after 400 steps; with other settings than ngp has."""
    settings = TrainSettings(method="ngp", blend="srgb", ngp=NgpSettings(log2_table=17, **others))
    trainer = NgpTrainer(settings, *capture("lego400"), "srgb", torch.get_num_threads())
    for step in range(_WARM_UP):
        trainer.step(step / 10_000)
    return trainer


# What training does, and the same where each sample of larger steps is learnt from.
FIXTURES: dict[str, Callable[[], NgpTrainer]] = {"ngp-lego": ngp_lego, "ngp-lego-every": lambda: ngp_lego(faint=0.0, batch=65_536)}


def measure(trainer: NgpTrainer, workers: int, most: float) -> dict[str, Any]:
    """Samples that training takes in a second, with rays, marching, the grid's updates, Adam and averages; how many of them it learns
    from; and milliseconds of the encoding of coherent samples in both directions, and of a picture."""
    torch.set_num_threads(workers)
    fastest = np.inf, 0, 0
    for _ in range(_REPEATS):
        begin, samples, learnt = time.perf_counter(), 0, 0
        for _ in range(_TIMED):
            trainer.step(_WARM_UP / 10_000)
            samples, learnt = samples + trainer.seen, learnt + trainer.used
        fastest = min(fastest, (time.perf_counter() - begin, samples, learnt))
    seconds, samples, learnt = fastest
    positions = _coherent(trainer)
    layout, table = trainer.field.layout, trainer.field.table
    cotangents = torch.randn(len(positions), layout.width, generator=torch.Generator().manual_seed(0))
    forward = best(lambda: hashgrid.encode(positions, table, layout))
    backward = best(lambda: hashgrid.backward(positions, cotangents, layout))
    camera = trainer.views[0].camera
    white = np.ones(3, np.float32)
    picture = best(lambda: trainer.render(camera, white))
    return {
        "samples_per_second": round(samples / seconds),
        "learnt_per_second": round(learnt / seconds),
        "samples_per_step": round(samples / _TIMED),
        "log2_table": trainer.settings.log2_table,
        "encoded": len(positions),
        "size": [camera.width, camera.height],
        "milliseconds": {
            "step": round(seconds / _TIMED * 1e3, 2),
            "encode": round(forward * 1e3, 2),
            "encode_backward": round(backward * 1e3, 2),
            "picture": round(picture * 1e3, 1),
        },
    }


def _coherent(trainer: NgpTrainer) -> torch.Tensor:
    """Places [65 536, 3] in [0, 1]: the samples of a picture's rays, from its middle row on, as rendering meets them."""
    camera = trainer.views[0].camera
    origins, directions = picture_rays(camera, trainer.space)
    half = camera.width * (camera.height // 2)
    origins, directions = origins[half:], normalize(directions[half:], dim=1)
    positions = march(**vars(trainer.walk(origins, directions, origins.new_full((len(origins),), 0.5)))).positions
    return (positions[:_ENCODED] * (0.5 / trainer.field.half) + 0.5).contiguous()


def words(name: str, row: dict[str, Any]) -> list[str]:
    """The figures in lines of words."""
    times, (width, height) = row["milliseconds"], row["size"]
    return [
        f"{name}: {row['samples_per_second'] / 1e6:.2f} M samples a second, {row['learnt_per_second'] / 1e6:.2f} M of them learnt from, "
        f"{row['samples_per_step']} in a step of {times['step']:.1f} ms, tables of 2^{row['log2_table']} rows",
        f"  encoding of {row['encoded']} samples: forward {times['encode']:.1f} ms, backward {times['encode_backward']:.1f} ms; "
        f"a picture of {width}×{height}: {times['picture']:.0f} ms",
    ]
