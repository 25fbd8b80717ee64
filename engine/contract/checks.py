# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that cannot go together, though each is within its bounds."""

from __future__ import annotations

from .errors import UserError
from .settings import NerfSettings, NgpSettings, TrainSettings

# Fewer steps of a ray than this find nothing.
_LEAST_RAY_STEPS = 32


def check_ngp(values: NgpSettings) -> None:
    """Refuses settings that ngp cannot compute with, though each is within its bounds.

    Raises:
        UserError: names them.
    """
    if values.features not in (2, 4) or values.levels * values.features % 16 or values.cells % 8:
        raise UserError(
            f"ngp cannot compute {values.levels} levels of {values.features} features with an occupancy grid of {values.cells}.",
            "Take 2 or 4 features, levels times features a multiple of 16, and cells a multiple of 8.",
            "ngp_layout",
        )
    if 0 < values.ray_steps < _LEAST_RAY_STEPS:
        raise UserError(
            f"{values.ray_steps} steps of a ray are too few.", f"Give --ngp.ray-steps {_LEAST_RAY_STEPS} or more, or 0.", "ngp_ray_steps"
        )


def check_nerf(values: NerfSettings) -> None:
    """Refuses settings of nerf that go together with no capture, though each is within its bounds.

    Raises:
        UserError: names them.
    """
    if values.sampler == "occupancy" and values.ndc == "on":
        raise UserError("The occupancy sampler does not go with NDC.", "Use --nerf.ndc off or --nerf.sampler paper.", "nerf_ndc")
    if values.near and values.far and values.near >= values.far:
        raise UserError("--nerf.near and --nerf.far do not enclose anything.", "Give both, near below far, or neither.", "nerf_near_far")


def check_together(values: TrainSettings) -> None:
    """Refuses settings of the method that is trained that can never go together; see :func:`check_ngp` and :func:`check_nerf`."""
    if values.method == "ngp":
        check_ngp(values.ngp)
    elif values.method == "nerf":
        check_nerf(values.nerf)
