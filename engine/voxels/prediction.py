# SPDX-License-Identifier: GPL-3.0-or-later
"""From pictures to voxels, and the files that they are given away in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..cameras import WORLD_AXES
from ..contract.errors import UserError
from ..contract.result import BINVOX, BLOCKS, POINTS, SMOOTH, VOXELS, replacing
from ..formats.binvox import VoxelGrid, write_binvox
from ..formats.points import write_points
from . import surfaces
from .batches import BACKGROUND, composed

MOST_VIEWS = 24


def predict(network: nn.Module, pictures: np.ndarray) -> np.ndarray:
    """Probabilities that voxels are full.

    Args:
        network: see trainer.read_weights. pictures: [V, 127, 127, 4] uint8, objects cut out, in any order.

    Returns:
        [32, 32, 32] float32, axes x, y, z.
    """
    codes = composed(pictures, np.full((1, 1, 1, 3), BACKGROUND / 255, np.float32))
    with torch.inference_mode():
        logits = network(torch.from_numpy(codes).permute(0, 3, 1, 2)[None])
    return logits.float().softmax(dim=1)[0, 1].numpy()


def write_prediction(
    folder: Path, probabilities: np.ndarray, picture: np.ndarray, threshold: float, softness: float, length: float
) -> tuple[list[tuple[str, str]], tuple[tuple[float, ...], tuple[float, ...]]]:
    """Writes voxels, meshes and points.

    Args:
        folder: is there. probabilities: [32, 32, 32]. picture: [127, 127, 4], which colours come from. threshold: from which on a voxel
        is full. softness: of the smooth mesh, see surfaces.smooth. length: of the longest side of what is full, in the world's unit.

    Returns:
        (kind, path) of each file, and the low and high corner of what is full.

    Raises:
        UserError: nothing is full.
    """
    # As they are kept, so that another threshold cuts the same later.
    probabilities = probabilities.astype(np.float16).astype(np.float32)
    full = probabilities >= np.float32(threshold)
    if not full.any():
        raise UserError("Nothing was recognised in the picture.", "Try another picture of it, or a lower --threshold.")
    found = np.argwhere(full)
    extent = found.max(axis=0) + 1 - found.min(axis=0)
    size = length * len(full) / extent.max()
    _, corner = surfaces.placed(np.zeros((1, 3)), full, size)
    with replacing(folder / VOXELS) as temporary, open(temporary, "wb") as stream:
        # Twice the distance of a probability from even chances.
        confidence = np.abs(2 * probabilities - 1).astype(np.float16)
        values = {"probabilities": probabilities.astype(np.float16), "confidence": confidence, "full": full}
        np.savez_compressed(stream, **values, threshold=threshold, corner=corner, size=size)
    write_binvox(folder / BINVOX, VoxelGrid(full, tuple(corner.tolist()), float(size)))
    made = [("voxels", VOXELS), ("binvox", BINVOX)]
    for kind, name, surface in (
        ("blocks", BLOCKS, surfaces.blocks(full)),
        ("mesh", SMOOTH, surfaces.smooth(probabilities, threshold, softness)),
    ):
        if len(surface.triangles):
            codes = surfaces.colors_by_height(surface.vertices, full, picture)
            _write_glb(folder / name, surfaces.placed(surface.vertices, full, size)[0], surface.triangles, codes)
            made.append((kind, name))
    middles = found + 0.5
    outer = np.array([not full[tuple(slice(max(part - 1, 0), part + 2) for part in cell)].all() for cell in found])
    codes = surfaces.colors_by_height(middles[outer], full, picture)
    write_points(folder / POINTS, surfaces.placed(middles[outer], full, size)[0], codes)
    low, high = corner + found.min(axis=0) * size / len(full), corner + (found.max(axis=0) + 1) * size / len(full)
    return [*made, ("points", POINTS)], (tuple(low.tolist()), tuple(high.tolist()))


def _write_glb(file: Path, vertices: np.ndarray, triangles: np.ndarray, codes: np.ndarray) -> None:
    """A coloured mesh of a world with Z up as GLB, whose y is up."""
    import trimesh

    # glTF's vertex colours are light, not codes.
    share = codes / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    colors: Any = np.concatenate([np.rint(linear * 255), np.full((len(codes), 1), 255)], axis=1).astype(np.uint8)
    mesh = trimesh.Trimesh(vertices @ WORLD_AXES["y-up"], triangles, vertex_colors=colors, process=False)
    with replacing(file) as temporary:
        temporary.write_bytes(mesh.export(file_type="glb"))
