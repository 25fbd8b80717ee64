# SPDX-License-Identifier: GPL-3.0-or-later
"""Job voxels make-data: training data of voxels, from meshes and from generated furniture."""

from __future__ import annotations

from pathlib import Path

from ..contract.voxels import MakeDataSettings
from ..runs.reporter import Reporter, stage_progress
from ..voxels.make_data import make_data, plan
from .doctor import compile_kernels


def make_voxel_data(meshes: Path | None, data: Path, settings: MakeDataSettings, reporter: Reporter) -> tuple[int, int]:
    """Renders views and voxels of shapes into a folder. What is there already is kept, so a second call continues.

    Args:
        meshes: folder of furniture; None generates all of it.

    Returns:
        The numbers of shapes made, and of meshes that were left out with a warning.

    Raises:
        UserError: there are no meshes, or the settings exclude each other.
    """
    # Before kernels are compiled, which takes minutes once.
    plan(meshes, settings)
    compile_kernels(reporter)

    def warn(message: str) -> None:
        reporter("warning", message=message)

    return make_data(meshes, data, settings, stage_progress(reporter, "render"), warn)
