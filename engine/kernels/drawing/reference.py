# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of triangles in plain NumPy: every ray against every triangle."""

from __future__ import annotations

import numpy as np

from . import AXIS, DARKENS, KIND, MIRRORS, NEAR, OFTEN, PATTERNS, SAMPLES, SHARP, Surface, Views


def pattern(kind: str, places: np.ndarray, often: float, axis: int) -> np.ndarray:
    """How dark a finish is at places [P, 3], 0 to 1."""
    along, across, third = (places[:, (axis + k) % 3] * often for k in range(3))
    if kind == "grain":
        return 0.5 + 0.5 * np.sin(6.2832 * (across + 0.35 * np.sin(1.1 * along) + 0.6 * np.sin(0.23 * along + 0.7 * third)))
    if kind == "stripes":
        return (across - np.floor(across) < 0.5).astype(float)
    if kind == "speckles":
        return hashed(np.floor(along), np.floor(across), np.floor(third))
    return np.zeros(len(places))


def hashed(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A number from 0 to 1 that looks random, for whole numbers."""
    mask = np.uint64(0xFFFFFFFF)
    x, y, z = (part.astype(np.int64).astype(np.uint64) & mask for part in (x, y, z))
    h = (x * np.uint64(374761393) + y * np.uint64(668265263) + z * np.uint64(2147483647)) & mask
    h = ((h ^ (h >> np.uint64(13))) * np.uint64(1274126177)) & mask
    return ((h ^ (h >> np.uint64(16))) & np.uint64(0xFFFF)) / 65535.0


def crowding(grid: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The grid's values at places [P, 3], trilinear, and at the edge beyond it."""
    n = len(grid)
    at = np.clip((places + 0.5) * n - 0.5, 0, n - 1)
    low = np.minimum(at.astype(int), n - 2)
    total = np.zeros(len(places))
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, at - low, 1 - (at - low)).prod(axis=1)
        total += weight * grid[tuple((low + corner).T)]
    return total


def shade(surface: Surface, views: Views, view: int, which: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Light [P, 3] from places on triangles, by the weights of their corners [P, 3]."""
    place, normal, color = (
        np.einsum("pc,pcx->px", weights, part[which].astype(float)) for part in (surface.triangles, surface.normals, surface.colors)
    )
    rotation, shift = views.viewmats[view, :, :3].astype(float), views.viewmats[view, :, 3]
    back = -rotation.T @ shift - place
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    normal *= np.where((normal * back).sum(axis=1, keepdims=True) < 0, -1, 1)
    finish = surface.table[surface.finishes[which]]
    dark = np.zeros(len(which))
    for row in np.unique(surface.finishes[which]):
        kind, often, _, axis = surface.table[row, [KIND, OFTEN, DARKENS, AXIS]]
        chosen = surface.finishes[which] == row
        dark[chosen] = pattern(PATTERNS[int(kind)], place[chosen], often, int(axis))
    color = color * (1 - finish[:, DARKENS] * dark)[:, None]
    n = len(surface.crowded)
    free = 1 - 0.8 * crowding(surface.crowded, place + 2.5 / n * normal)
    up = 0.5 + 0.5 * normal[:, 2:]
    light = (up * views.sky[view] + (1 - up) * views.ground[view]) * free[:, None]
    mirrored = np.zeros_like(light)
    for lamp in views.lamps[view]:
        half = lamp[:3] + back
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        faces = np.maximum(normal @ lamp[:3], 0)
        light += faces[:, None] * lamp[3:] * (0.5 + 0.5 * free)[:, None]
        gleam = np.maximum((normal * half).sum(axis=1), 0) ** finish[:, SHARP] * (faces > 0)
        mirrored += (finish[:, MIRRORS] * gleam)[:, None] * lamp[3:]
    return color * light + mirrored


def draw(surface: Surface, views: Views, size: int) -> np.ndarray:
    """See :func:`engine.kernels.drawing.draw`."""
    fine = size * SAMPLES
    pictures = np.zeros((len(views.viewmats), size, size, 4), np.uint8)
    for view, (viewmat, lens) in enumerate(zip(views.viewmats.astype(float), views.lenses.astype(float), strict=True)):
        corners = surface.triangles @ viewmat[:, :3].T + viewmat[:, 3]
        middles = (np.arange(fine) + 0.5) / SAMPLES
        x, y = np.meshgrid((middles - lens[2]) / lens[0], (middles - lens[3]) / lens[1])
        rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
        nearest, which, weights = np.full(len(rays), np.inf), np.full(len(rays), -1), np.zeros((len(rays), 3))
        for index, triangle in enumerate(corners):
            if (triangle[:, 2] <= NEAR).any() or abs(np.linalg.det(triangle)) < 1e-12:
                continue
            # A ray is the sum of the corners by weights; their sum is one over its depth there.
            parts = rays @ np.linalg.inv(triangle)
            hit = (parts >= 0).all(axis=1) & (parts.sum(axis=1) > 0)
            depth = np.where(hit, 1 / np.where(hit, parts.sum(axis=1), 1), np.inf)
            closer = depth < nearest
            nearest[closer], which[closer] = depth[closer], index
            weights[closer] = parts[closer] * depth[closer, None]
        seen = which >= 0
        light = np.zeros((len(rays), 4))
        light[seen, 3] = 1
        light[seen, :3] = shade(surface, views, view, which[seen], weights[seen])
        mean = light.reshape(size, SAMPLES, size, SAMPLES, 4).mean(axis=(1, 3))
        straight = np.clip(mean[..., :3] / np.maximum(mean[..., 3:], 1e-6), 0, 1)
        codes = np.where(straight <= 0.0031308, 12.92 * straight, 1.055 * straight ** (1 / 2.4) - 0.055)
        pictures[view] = np.floor(np.concatenate([codes, mean[..., 3:]], axis=-1) * 255 + 0.5)
    return pictures
