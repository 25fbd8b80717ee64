# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh of a density field, where light is held up, with the colors that are seen there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..data.rays import Space
from ..formats.meshes import Mesh
from ..formats.points import PointCloud
from ..kernels.marching import Samples
from ..kernels.photometric.reference import srgb_encode
from .triangles import vertex_normals, without_specks

# A surface is where density is such that half of the light would be held up on a way of this length, in the field's unit.
_WAY = 1 / 16
# Places that are looked up together.
_AT_ONCE = 1 << 20
# Samples of a ray into the surface, and how many cells before and behind it they lie.
_SAMPLES, _REACH = 8, 1.5
# Pieces of less than this share of the vertices are specks.
_SPECK = 1e-3


def density_mesh(
    density: Callable[[Tensor], Tensor],
    look: Callable[[Samples, Tensor], tuple[Tensor, Tensor]],
    box: tuple[np.ndarray, np.ndarray],
    cells: int,
    space: Space,
    blend: str,
    device: str = "cpu",
) -> Mesh | None:
    """The mesh of a field (Lorensen and Cline 1987).

    Args:
        density: from places [P, 3] in the field's coordinates to densities [P], per unit of length.
        look: from samples along R rays and their directions [R, 3] to color [R, 3] in the light of blending, multiplied by alpha, and
            alpha [R].
        box: low and high corner [3] of what is taken, in the world.
        cells: along the box's longest side.
        space: the field's coordinates.
        blend: srgb or linear.
        device: where the field is.

    Returns:
        The mesh in the world, vertices in float64 with codes and normals; None where there is no surface.
    """
    corners = np.stack(np.meshgrid(*zip(*box, strict=True)), axis=-1).reshape(-1, 3)
    corners = space.from_world(corners)
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = float((high - low).max()) / cells
    if not size > 0:
        return None
    held = _held(density, low, np.maximum(np.ceil((high - low) / size - 1e-6).astype(int), 1) + 1, size, device)
    if not held.min() < 0.5 < held.max():
        return None
    # Importing it takes a second, in which nobody should wait for a picture.
    from skimage.measure import marching_cubes

    positions, triangles, _, _ = marching_cubes(held, 0.5, spacing=(size,) * 3, gradient_direction="ascent", allow_degenerate=False)
    if not len(triangles):
        return None
    positions, triangles = without_specks(positions.astype(np.float64) + low, triangles.astype(np.int64), _SPECK)
    normals = vertex_normals(positions, triangles)
    colors = _colors(look, positions, normals, size, device)
    codes = (srgb_encode(colors) if blend == "linear" else colors).clamp(0, 1)
    vertices = PointCloud(
        space.to_world(positions), (codes * 255).round().byte().cpu().numpy(), (normals @ space.rotation).astype(np.float32)
    )
    return Mesh(vertices, triangles)


def _held(density: Callable[[Tensor], Tensor], low: np.ndarray, shape: np.ndarray, size: float, device: str) -> np.ndarray:
    """The share of light that _WAY would hold up, at the corners of cells: float32 of a shape. Unlike densities, it is even enough to
    find the surface between two corners.
    """
    axes = [torch.from_numpy((low[axis] + size * np.arange(shape[axis])).astype(np.float32)).to(device) for axis in range(3)]
    held = np.empty(shape, np.float32)
    slab = max(1, _AT_ONCE // int(shape[1] * shape[2]))
    for first in range(0, shape[0], slab):
        places = torch.stack(torch.meshgrid(axes[0][first : first + slab], *axes[1:], indexing="ij"), dim=-1)
        found = -torch.expm1(-_WAY * density(places.view(-1, 3)))
        held[first : first + slab] = found.view(places.shape[:3]).cpu().numpy()
    return held


def _colors(look: Callable, positions: np.ndarray, normals: np.ndarray, size: float, device: str) -> Tensor:
    """What is seen of vertices from along their normals, [N, 3] in the light of blending."""
    offsets = torch.linspace(-_REACH, _REACH, _SAMPLES, device=device) * size
    made = []
    for first in range(0, len(positions), _AT_ONCE // _SAMPLES):
        some = slice(first, first + _AT_ONCE // _SAMPLES)
        places, inward = (torch.from_numpy(part[some].astype(np.float32)).to(device) for part in (positions, -normals))
        rays = len(places)
        color, alpha = look(
            Samples(
                starts=torch.arange(rays + 1, device=device) * _SAMPLES,
                rays=torch.arange(rays, device=device).repeat_interleave(_SAMPLES),
                t=offsets.repeat(rays) + _REACH * size,
                dt=offsets.new_full((rays * _SAMPLES,), 2 * _REACH * size / _SAMPLES),
                positions=(places[:, None] + offsets[:, None] * inward[:, None]).view(-1, 3),
                ends=places.new_full((rays,), torch.inf),
            ),
            inward,
        )
        made.append(color / alpha.clamp(min=1e-6)[:, None])
    return torch.cat(made)
