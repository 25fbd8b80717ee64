# SPDX-License-Identifier: GPL-3.0-or-later
"""What furniture is built of: closed bodies as triangles [M, 3, 3] in meters, fronts outside, Z up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_AROUND = 20


def box(low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """A box between two corners."""
    low, high = np.minimum(low, high), np.maximum(low, high)
    outline = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    return prism(outline, low[2], high[2])


def prism(outline: Sequence[Sequence[float]], bottom: float, top: float) -> np.ndarray:
    """An outline [N, 2] in the xy plane, drawn up from one height to another. It may be concave; its first and last point are joined."""
    points = np.asarray(outline, float)
    if _area(points) < 0:
        points = points[::-1]
    after = np.roll(points, -1, axis=0)
    low, high = np.full((len(points), 1), bottom), np.full((len(points), 1), top)
    a, b, c, d = np.hstack([points, low]), np.hstack([after, low]), np.hstack([after, high]), np.hstack([points, high])
    sides = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    lid = _filled(points)
    flat = lambda height: np.concatenate([points[lid], np.full((*lid.shape, 1), height)], axis=2)  # noqa: E731
    return np.concatenate([sides, flat(bottom)[:, ::-1], flat(top)])


def panel(outline: Sequence[Sequence[float]], axis: str, low: float, high: float) -> np.ndarray:
    """As :func:`prism`, but drawn along x (the outline being y, z) or along y (the outline being x, z)."""
    flat = prism(outline, low, high)
    return flat[..., [2, 0, 1]] if axis == "x" else flat[:, ::-1][..., [0, 2, 1]]


def turned(profile: Sequence[Sequence[float]], around: int = _AROUND, squash: float = 1.0) -> np.ndarray:
    """A profile [N, 2] of radius and height, upwards along its outside, turned about z and closed at both ends; ``squash`` scales y."""
    radius, height = np.asarray(profile, float).T
    radius, height = np.r_[0.0, radius, 0.0], np.r_[height[0], height, height[-1]]
    angle = 2 * np.pi * np.arange(around) / around
    ring = np.stack(
        [
            radius[:, None] * np.cos(angle),
            squash * radius[:, None] * np.sin(angle),
            np.broadcast_to(height[:, None], (len(radius), around)),
        ],
        axis=-1,
    )
    after = np.roll(ring, -1, axis=1)
    a, b, c, d = (part.reshape(-1, 3) for part in (ring[:-1], after[:-1], after[1:], ring[1:]))
    return _without_slivers(np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)]))


def rod(start: Sequence[float], end: Sequence[float], radius: float, end_radius: float | None = None, sides: int = 10) -> np.ndarray:
    """A round (or, with four sides, square) rod between two points, tapered where it has two radii."""
    return tube([start, end], [radius, radius if end_radius is None else end_radius], sides)


def tube(path: Sequence[Sequence[float]], radius: float | Sequence[float], sides: int = 10) -> np.ndarray:
    """A tube with closed ends along a path [N, 3], of one radius or one for each point. With four sides, its sides look along the axes
    where its path is upright or level.
    """
    path = np.asarray(path, float)
    radius = np.broadcast_to(np.asarray(radius, float), len(path))
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    steep = np.abs(along[:, 2]) > 0.9
    side = np.cross(along, np.where(steep.mean() > 0.5, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]))
    lost = np.linalg.norm(side, axis=1) < 1e-3
    side[lost] = [1.0, 0.0, 0.0]
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, along)
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    reach = radius[:, None, None] / (np.cos(np.pi / sides) if sides <= 4 else 1.0)
    ring = path[:, None] + reach * (np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * up[:, None])
    after = np.roll(ring, -1, axis=1)
    a, b, c, d = (part.reshape(-1, 3) for part in (ring[:-1], after[:-1], after[1:], ring[1:]))
    ends = [
        np.stack([np.broadcast_to(path[end], (sides, 3)), *((ring[end], after[end])[:: -1 if end == 0 else 1])], axis=1) for end in (0, -1)
    ]
    made = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1), *ends])
    return made[:, ::-1] if _volume(made) < 0 else made


def cushion(low: Sequence[float], high: Sequence[float], roundness: float = 0.3, bulge: float = 0.0, cuts: int = 6) -> np.ndarray:
    """A box with round edges: ``roundness`` 0 is a box, 1 an ellipsoid; ``bulge`` swells its faces by this share of its thinnest side."""
    low, high = np.minimum(low, high).astype(float), np.maximum(low, high).astype(float)
    half, middle = (high - low) / 2, (high + low) / 2
    edge = max(roundness, 0.02) * half.min()
    # More cuts where it is round than where it is flat.
    turn = np.linspace(0, np.pi / 2, cuts // 2 + 1)
    across = np.linspace(-1, 1, 6)[1:-1] if bulge else []
    steps = np.r_[-1 - np.sin(turn[::-1]), across, 1 + np.sin(turn)]
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1)
    made = []
    for axis in range(3):
        for sign in (-1, 1):
            place = np.zeros((*grid.shape[:2], 3))
            place[..., (axis + 1) % 3], place[..., (axis + 2) % 3], place[..., axis] = grid[..., 0], grid[..., 1], 2.0 * sign
            inner = np.clip(place, -1, 1)
            outward = place - inner
            outward /= np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-12)
            body = inner * (half - edge) + outward * edge
            flat = 1 - (place / 2) ** 2
            body[..., axis] += sign * bulge * half.min() * flat[..., (axis + 1) % 3] * flat[..., (axis + 2) % 3]
            a, b, c, d = (part.reshape(-1, 3) for part in (body[:-1, :-1], body[1:, :-1], body[1:, 1:], body[:-1, 1:]))
            quads = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
            made.append(quads if sign > 0 else quads[:, ::-1])
    return _without_slivers(np.concatenate(made) + middle)


def shell(radius: float, thickness: float, bottom: float, top: float, start: float, end: float, squash: float = 1.0) -> np.ndarray:
    """A standing wall along an arc of circle about z, from one angle to another, in degrees from +x."""
    angle = np.radians(np.linspace(start, end, max(4, int(abs(end - start) / 12) + 1)))
    inner = np.stack([(radius - thickness) * np.cos(angle), squash * (radius - thickness) * np.sin(angle)], axis=1)
    outer = np.stack([radius * np.cos(angle), squash * radius * np.sin(angle)], axis=1)
    return prism(np.concatenate([outer, inner[::-1]]), bottom, top)


def rounded(width: float, depth: float, radius: float, corners: int = 5) -> np.ndarray:
    """The outline of a rectangle with round corners about the origin, [N, 2]."""
    radius = min(max(radius, 1e-4), 0.499 * min(width, depth))
    angle = np.linspace(0, np.pi / 2, corners)
    arc = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x, y = width / 2 - radius, depth / 2 - radius
    turns = [arc, arc[:, ::-1] * (-1, 1), -arc, arc[:, ::-1] * (1, -1)]
    return np.concatenate([turn + middle for turn, middle in zip(turns, [(x, y), (-x, y), (-x, -y), (x, -y)], strict=True)])


def oval(width: float, depth: float, around: int = 24) -> np.ndarray:
    """The outline of an ellipse about the origin, [N, 2]."""
    angle = 2 * np.pi * np.arange(around) / around
    return np.stack([width / 2 * np.cos(angle), depth / 2 * np.sin(angle)], axis=1)


def moved(body: np.ndarray, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """A body at another place."""
    return body + np.array([x, y, z])


def tilted(body: np.ndarray, axis: str, degrees: float, about: Sequence[float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """A body turned about an axis through a point, counter-clockwise where the axis looks at you."""
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = np.eye(3)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[i, i], turn[j, j], turn[i, j], turn[j, i] = c, c, -s, s
    return (body - about) @ turn.T + about


def mirrored(body: np.ndarray) -> np.ndarray:
    """A body on the other side of x = 0."""
    return (body * (-1.0, 1.0, 1.0))[:, ::-1]


def _area(points: np.ndarray) -> float:
    x, y = points.T
    return float(0.5 * (x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def _volume(body: np.ndarray) -> float:
    return float(np.einsum("mi,mi->m", body[:, 0], np.cross(body[:, 1], body[:, 2])).sum() / 6)


def _without_slivers(body: np.ndarray) -> np.ndarray:
    """Without triangles that have no area, as at poles."""
    return body[np.linalg.norm(np.cross(body[:, 1] - body[:, 0], body[:, 2] - body[:, 0]), axis=1) > 1e-14]


def _filled(points: np.ndarray) -> np.ndarray:
    """Triangles [N - 2, 3] that fill a counter-clockwise outline without crossings, ear after ear."""
    left, made = list(range(len(points))), []
    while len(left) > 3:
        for at in range(len(left)):
            a, b, c = left[at - 1], left[at], left[(at + 1) % len(left)]
            if _cross(points[a], points[b], points[c]) <= 0:
                continue
            others = points[[index for index in left if index not in (a, b, c)]]
            inside = np.ones(len(others), bool)
            for p, q in ((a, b), (b, c), (c, a)):
                inside &= _cross(points[p], points[q], others.T) >= 0
            if not inside.any():
                break
        else:
            at = 0  # only flat corners are left
        made.append((left[at - 1], left[at], left[(at + 1) % len(left)]))
        del left[at]
    return np.array([*made, tuple(left)])


def _cross(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Twice the area of a, b, c; positive where they go round counter-clockwise."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
