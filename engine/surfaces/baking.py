# SPDX-License-Identifier: GPL-3.0-or-later
"""Textures of a light mesh: colors from the views that see it best, and normals from the fine surface that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter
from scipy.spatial import cKDTree

from ..cameras import Camera, project
from ..kernels.sampling import gather
from ..kernels.triangles import rasterize
from .depths import camera_tables
from .triangles import vertex_normals

# The best view of a texel prevails, and others fade in where they are as good.
_SHARPNESS = 6.0
# Pixels from an outline over which a view is trusted less, and what it counts right there.
_MARGIN, _LEAST_TRUST = 4.0, 1e-4
# Places of the fine surface that a texel is compared with, and of seen texels that an unseen one is filled from.
_NEIGHBORS, _FILLING = 6, 8


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh with unit normals of its vertices: positions [V, 3] world, triangles [M, 3], normals [V, 3]."""

    positions: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray


@dataclass(frozen=True, eq=False)
class Texels:
    """The texels of a texture that a mesh covers, and where on the fine surface each one lies.

    ``covered`` [S, S] bool, row 0 at the top. For the T covered ones, row by row: ``places`` [T, 3] float64 world, ``normals`` [T, 3]
    there, and ``frames`` [T, 3, 3], the tangent, bitangent and normal of the light mesh, as viewers have them, in rows.
    """

    covered: np.ndarray
    places: np.ndarray
    normals: np.ndarray
    frames: np.ndarray


def map_texels(light: Surface, uvs: np.ndarray, size: int, fine: Surface) -> Texels:
    """Finds out what every texel shows.

    Args:
        light: the mesh that is textured, cut open. uvs: [V, 2] of its vertices, v up. size: of the texture, px. fine: what it was made of.
    """
    flat = np.stack([uvs[:, 0] * size, (1 - uvs[:, 1]) * size, np.ones(len(uvs))], axis=1).astype(np.float64)
    faces, _, shares = rasterize(flat, light.triangles, size, size)
    covered = faces >= 0
    corners = light.triangles[faces[covered]]
    second, third = shares[covered].astype(np.float64).T
    parts = np.stack([1 - second - third, second, third], axis=1)[..., None]

    def between(values: np.ndarray) -> np.ndarray:
        return (values[corners] * parts).sum(axis=1)

    places, normals = between(light.positions), between(light.normals)
    tangents = between(_tangents(light, uvs))
    signs = between(_handedness(light, uvs)[:, None])
    bitangents = np.where(signs < 0, -1.0, 1.0) * np.cross(normals, tangents)
    frames = np.stack([tangents, bitangents, normals], axis=1)
    return Texels(covered, *_on_fine(places, _unit(normals), fine), frames)


def bake(
    texels: Texels,
    fine: Surface,
    cameras: Sequence[Camera],
    picture: Callable[[int], np.ndarray],
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Takes the colors of texels from pictures.

    Args:
        texels: what to color. fine: the surface, that hides what is behind it. cameras: of the pictures.
        picture: gives the picture of a camera by its number, [H, W, C + 1] uint8 codes, alpha last.
        progress: called with (done, all).

    Returns:
        [S, S, C] uint8 codes, filled where no view sees the surface; and [T] bool, which texels one sees.
    """
    middle = fine.positions.mean(axis=0)
    places, normals = (texels.places - middle).astype(np.float32), texels.normals.astype(np.float32)
    turns, shifts, lenses = camera_tables(cameras, middle)
    diagonal = float(np.linalg.norm(np.ptp(fine.positions, axis=0)))
    unit = float(np.median(lenses[:, 0] / np.maximum(np.linalg.norm(shifts, axis=1), 1e-30)))
    totals: np.ndarray | None = None
    for number, camera in enumerate(cameras):
        progress(number, len(cameras))
        shown = picture(number)
        pixels, depth = project(camera, fine.positions)
        points = np.concatenate([pixels, depth[:, None]], axis=1)
        _, nearest, _ = rasterize(points, fine.triangles, camera.width, camera.height)
        tolerance = 0.003 * diagonal
        trust = _trust(nearest, shown[..., -1], 4 * tolerance)
        colors = np.ascontiguousarray(shown[..., :-1], np.float32)
        if totals is None:
            totals = np.zeros((len(places), colors.shape[2] + 1), np.float32)
        view = (turns[number], shifts[number], lenses[number], nearest, tolerance, colors, trust)
        gather(places, normals, *view, unit, _SHARPNESS, totals)
    seen = totals[:, -1] > 0
    codes = np.full((len(places), totals.shape[1] - 1), 128.0)
    codes[seen] = totals[seen, :-1] / totals[seen, -1:]
    if seen.any() and not seen.all():
        away, near = cKDTree(texels.places[seen]).query(texels.places[~seen], _FILLING, workers=-1)
        weights = 1 / np.maximum(away, 1e-9 * diagonal) ** 2
        codes[~seen] = (codes[seen][near.clip(max=seen.sum() - 1)] * weights[..., None]).sum(axis=1) / weights.sum(axis=1, keepdims=True)
    return filled(texels.covered, np.rint(codes.clip(0, 255)).astype(np.uint8)), seen


def normal_map(texels: Texels) -> np.ndarray:
    """Normals of the fine surface in the frames of the light mesh, [S, S, 3] uint8."""
    tangent, bitangent, normal = (texels.frames[:, row] for row in range(3))
    # Coordinates along the three: rows of the inverse, up to a factor.
    local = np.stack(
        [
            (np.cross(bitangent, normal) * texels.normals).sum(axis=1),
            (np.cross(normal, tangent) * texels.normals).sum(axis=1),
            (np.cross(tangent, bitangent) * texels.normals).sum(axis=1),
        ],
        axis=1,
    )
    local *= np.sign((np.cross(tangent, bitangent) * normal).sum(axis=1, keepdims=True))
    local = _unit(local)
    local[(local[:, 2] < 0.1) | ~np.isfinite(local).all(axis=1)] = (0, 0, 1)
    codes = np.rint((local * 0.5 + 0.5) * 255).astype(np.uint8)
    return filled(texels.covered, codes)


def filled(covered: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """A texture [S, S, C] of what covered texels [T, C] have; the others take it from the nearest one, so that filters find no edge."""
    picture = np.zeros((*covered.shape, codes.shape[1]), np.uint8)
    picture[covered] = codes
    if covered.all() or not covered.any():
        return picture
    rows, columns = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return picture[rows, columns]


def _trust(depth: np.ndarray, alpha: np.ndarray, jump: float) -> np.ndarray:
    """What the pixels of a view count, [H, W] float32: less at outlines, where the picture may show what is behind."""
    there = (depth > 0) & (alpha > 127)
    far = np.where(there, depth, np.inf)
    edge = ~there | (maximum_filter(far, 3) - minimum_filter(np.where(there, depth, 0), 3) > jump)
    inner = np.minimum(distance_transform_edt(~edge) / _MARGIN, 1) ** 2
    return np.where(there, np.maximum(inner, _LEAST_TRUST), 0).astype(np.float32)


def _on_fine(places: np.ndarray, normals: np.ndarray, fine: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Where on the fine surface places [T, 3] lie, and its normals there: on the planes of its vertices close by that face the same way."""
    away, near = cKDTree(fine.positions).query(places, min(_NEIGHBORS, len(fine.positions)), workers=-1)
    facing = (fine.normals[near] * normals[:, None]).sum(axis=-1)
    weights = np.where(facing > 0.3, 1 / np.maximum(away, 1e-9 * np.ptp(fine.positions, axis=0).max()), 0)
    total = weights.sum(axis=1, keepdims=True)
    found = total[:, 0] > 0
    weights = weights / np.maximum(total, 1e-30)
    heights = ((fine.positions[near] - places[:, None]) * fine.normals[near]).sum(axis=-1)
    there = (fine.normals[near] * weights[..., None]).sum(axis=1)
    moved = places + there * (heights * weights).sum(axis=1, keepdims=True)
    return np.where(found[:, None], moved, places), np.where(found[:, None], _unit(there), normals)


def _tangents(mesh: Surface, uvs: np.ndarray) -> np.ndarray:
    """Directions [V, 3] in which u grows, as MikkTSpace makes them: by the angles of triangles, then square to the normal."""
    a, b, c = (mesh.positions[mesh.triangles[:, corner]] for corner in range(3))
    (u1, v1), (u2, v2) = ((uvs[mesh.triangles[:, k]] - uvs[mesh.triangles[:, 0]]).astype(np.float64).T for k in (1, 2))
    area = u1 * v2 - u2 * v1
    along = ((b - a) * v2[:, None] - (c - a) * v1[:, None]) * np.sign(area)[:, None]
    sums = np.zeros_like(mesh.positions, dtype=np.float64)
    for corner in range(3):
        at = mesh.triangles[:, corner]
        normal = mesh.normals[at]
        flat = _unit(along - (along * normal).sum(axis=1, keepdims=True) * normal)
        one, two = (mesh.positions[mesh.triangles[:, (corner + k) % 3]] - mesh.positions[at] for k in (1, 2))
        angle = np.arccos(np.clip((_unit(one) * _unit(two)).sum(axis=1), -1, 1))
        np.add.at(sums, at, flat * angle[:, None])
    return _unit(sums - (sums * mesh.normals).sum(axis=1, keepdims=True) * mesh.normals)


def _handedness(mesh: Surface, uvs: np.ndarray) -> np.ndarray:
    """1 for vertices [V] whose texture is as it is, -1 where it is mirrored."""
    one, two = ((uvs[mesh.triangles[:, k]] - uvs[mesh.triangles[:, 0]]).astype(np.float64) for k in (1, 2))
    signs = np.ones(len(mesh.positions))
    signs[mesh.triangles[one[:, 0] * two[:, 1] < two[:, 0] * one[:, 1]]] = -1
    return signs


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-30)


def surface(positions: np.ndarray, triangles: np.ndarray) -> Surface:
    """A surface with the normals that its triangles give."""
    return Surface(positions, triangles, vertex_normals(positions, triangles))
