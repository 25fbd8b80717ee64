# SPDX-License-Identifier: GPL-3.0-or-later
"""From pictures to voxels, and the files that they are given away in."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from ..cameras import WORLD_AXES
from ..color import srgb_to_linear
from ..contract.result import BINVOX, BLOCKS, POINTS, SMOOTH, VOXELS, replacing
from ..contract.voxels import VoxelShape
from ..formats.binvox import VoxelGrid, write_binvox
from ..formats.points import write_points
from ..formats.voxel_surface import colors_by_height, side, standing, surface_of
from ..formats.voxels import Voxels, write_voxels
from ..precision import quantized
from .batches import composed
from .colors import color_bands
from .networks import as_seen


def predict(network: nn.Module, pictures: np.ndarray, numbers: str = "float32") -> np.ndarray:
    """Probabilities that voxels are full.

    Args:
        network: see weights.read_weights. pictures: [V, 127, 127, 4] uint8, objects cut out. numbers: float32, bfloat16, or int8, which
            quantizes the encoder, by the ranges that it has on these pictures, but for its first layer.

    Returns:
        [32, 32, 32] float32, axes x, y, z; as half precision, in which they are kept, has them, so that another threshold cuts the same
        later.
    """
    views = composed(pictures)[None]
    if numbers == "int8":
        network = copy.deepcopy(network)
        network.encoder = quantized(network.encoder, [(_pictures(views),)], network.encoder.PRECISE)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=numbers == "bfloat16"):
        logits = mean_logits(network, views)
    return logits.float().softmax(dim=1)[0, 1].half().float().numpy()


def mean_logits(network: nn.Module, views: Tensor) -> Tensor:
    """Logits of voxels, the mean of what the network says to views that begin with each of them in turn, and to those seen in a mirror.

    What it remembers depends on the order of views, and what it learnt of a mirrored shape is not quite what it learnt of the shape: where
    it doubts, these differ.

    Args:
        views: [B, V, 3, 127, 127], as for networks.RecurrentNetwork.

    Returns:
        [B, 2, 32, 32, 32] of empty and full.
    """
    batch, count = views.shape[:2]
    features = network.features(_pictures(views)).view(2 * batch, count, -1)
    logits = sum(network.build(features.roll(-first, dims=1)).float() for first in range(count)) / count
    straight, mirrored = logits.split(batch)
    # A shape's mirrored voxels lie the other way along x.
    return (straight + mirrored.flip(2)) / 2


def _pictures(views: Tensor) -> Tensor:
    """What the encoder is shown, [2 B V, 3, H, W]: all views, and all in a mirror."""
    return as_seen(torch.cat([views, views.flip(-1)]))


def write_prediction(
    folder: Path, probabilities: np.ndarray, picture: np.ndarray, shape: VoxelShape
) -> tuple[list[tuple[str, str]], tuple[tuple[float, ...], tuple[float, ...]]]:
    """Writes voxels, meshes and points.

    Args:
        folder: is there. probabilities: [32, 32, 32], some of which reach the threshold, as :func:`predict` gives them. picture:
            [127, 127, 4], which colors come from. shape: what is made of them.

    Returns:
        (kind, path) of each file, and the low and high corner of what is full.
    """
    full = probabilities >= np.float32(shape.threshold)
    found = np.argwhere(full)
    low, high = found.min(axis=0), found.max(axis=0) + 1
    cell = shape.length / side(high - low, shape.dimension)
    # The lowest full cell stands on the floor, and the middle of what is full above the origin.
    corner = -cell * np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    bands = color_bands(picture)
    # Twice the distance of a probability from even chances.
    confidence = np.abs(2 * probabilities - 1).astype(np.float16)
    facts = {"threshold": shape.threshold, "corner": corner, "size": cell * len(full)}
    write_voxels(folder / VOXELS, Voxels(probabilities, bands), confidence=confidence, full=full, **facts)
    write_binvox(folder / BINVOX, VoxelGrid(full, tuple(corner.tolist()), float(cell * len(full))))
    made = [("voxels", VOXELS), ("binvox", BINVOX)]
    for kind, name, smoothness in (("blocks", BLOCKS, 0.0), ("mesh", SMOOTH, shape.smoothness)):
        surface = surface_of(probabilities, shape.threshold, smoothness)
        places = standing(surface.vertices, shape.dimension, shape.length)
        _write_glb(folder / name, places, surface.triangles, colors_by_height(places[:, 2], 0.0, places[:, 2].max(), bands))
        made.append((kind, name))
    outer = full & ~ndimage.binary_erosion(full, np.ones((3, 3, 3)))
    middles = corner + (np.argwhere(outer) + 0.5) * cell
    write_points(folder / POINTS, middles, colors_by_height(middles[:, 2], 0.0, (high - low)[2] * cell, bands))
    bounds = corner + low * cell, corner + high * cell
    return [*made, ("points", POINTS)], (tuple(bounds[0].tolist()), tuple(bounds[1].tolist()))


def _write_glb(file: Path, vertices: np.ndarray, triangles: np.ndarray, codes: np.ndarray) -> None:
    """A colored mesh of a world with Z up as GLB, whose y is up."""
    import trimesh

    # glTF's vertex colors are linear.
    linear = srgb_to_linear(codes / 255.0)
    colors: Any = np.concatenate([np.rint(linear * 255), np.full((len(codes), 1), 255)], axis=1).astype(np.uint8)
    mesh = trimesh.Trimesh(vertices @ WORLD_AXES["y-up"], triangles, vertex_colors=colors, process=False)
    with replacing(file) as temporary:
        temporary.write_bytes(mesh.export(file_type="glb"))
