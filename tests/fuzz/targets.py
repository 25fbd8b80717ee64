# SPDX-License-Identifier: GPL-3.0-or-later
"""What reads files: each takes a folder and the damaged file in it, as a command or the add-on would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.contract.events import read_new
from engine.contract.job import read_job
from engine.contract.result import read_result
from engine.data.camera_path import read_path
from engine.data.views import load_views
from engine.formats.binvox import read_binvox
from engine.formats.capture import read_capture
from engine.formats.meshes import read_mesh
from engine.formats.points import read_points
from engine.formats.proxies import read_proxy
from engine.formats.splats import read_splats
from engine.formats.voxel_surface import surface_of
from engine.formats.voxels import read_voxels


def _voxels(folder: Path, file: Path) -> None:
    surface_of(read_voxels(file).probabilities, 0.4, 0.5)


def _capture(folder: Path, file: Path) -> None:
    capture = read_capture(folder)
    for split in ("train", "test"):
        load_views(capture, split)
    if capture.points is not None:
        read_points(capture.points)


READERS: dict[str, Callable[[Path, Path], object]] = {
    "splats": lambda folder, file: read_splats(file, None, [].append),
    "points": lambda folder, file: read_points(file, [].append),
    "mesh": lambda folder, file: read_mesh(file),
    "proxy": lambda folder, file: read_proxy(file),
    "voxels": _voxels,
    "binvox": lambda folder, file: read_binvox(file),
    "job": lambda folder, file: read_job(file),
    "result": lambda folder, file: read_result(folder),
    "events": lambda folder, file: read_new(file, 0),
    "capture": _capture,
    "path": lambda folder, file: read_path(file),
}
