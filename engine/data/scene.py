# SPDX-License-Identifier: GPL-3.0-or-later
"""The box that a capture's cameras look at, and the points that training starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..cameras import Camera, project
from ..contract.capture import Capture
from ..contract.errors import UserError
from ..formats.memory import TOO_LARGE
from ..formats.points import PointCloud, read_points
from .views import View

# Enough for shapes and colors to start from; more only cost time.
_SAMPLED_VIEWS = 32
# How far points are strewn where views have a background, in multiples of the distance to the box's middle: from there on, parallax is
# below a pixel in most captures.
_BACKGROUND = 60.0
# The least distance from the box's middle that counts for a camera, as a share of the box: points are strewn in multiples of it.
_LEAST_DISTANCE = 1e-3
# Positions are the same up to this share of their distance from the origin.
_SAME = 1e-9


def scene_box(cameras: Sequence[Camera], points: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """The cube that holds what the cameras look at, used to recentre and scale training.

    Args:
        cameras: at least one.
        points: [N, 3] seed points where there are any.

    Returns:
        Its middle [3] float64 and half its side, in the world's unit; the half side is above 0.
    """
    if points is not None and len(points) >= 8:
        # Solvers leave strays far outside.
        low, high = np.percentile(points, (2, 98), axis=0)
        radius = float((high - low).max()) / 2
        if radius > 0:
            return (low + high) / 2, radius
    positions = np.array([camera.position for camera in cameras], dtype=np.float64)
    center = _looked_at(positions, np.array([camera.direction for camera in cameras]))
    distances = np.linalg.norm(positions - center, axis=1)
    covered = distances * [max(camera.width / camera.fx, camera.height / camera.fy) / 2 for camera in cameras]
    if np.mean([_in_view(camera, center[None])[1].size for camera in cameras]) > 0.7:
        radius = float(np.median(covered))
    else:
        # Cameras that look about from within: a room reaches past them in every direction.
        radius = 2 * float(distances.max())
    # Cameras in one position, but for rounding, tell no scale: any will do.
    return center, radius if radius > _SAME * np.abs(positions).max() else 1.0


def near_distance(cameras: Sequence[Camera], points: np.ndarray) -> float:
    """How far from its cameras what a capture is about begins: the nearest quarter of the points that they show.

    Outdoors, the box of all points says nothing of it: houses across the street make that as large as they are far.

    Args:
        cameras: at least one.
        points: [N, 3], world units.

    Returns:
        The median over the cameras; infinity where none shows a point.
    """
    near = []
    for camera in cameras[:: max(1, len(cameras) // _SAMPLED_VIEWS)]:
        _, shown = _in_view(camera, points)
        if len(shown):
            near.append(np.quantile(np.linalg.norm(points[shown] - camera.position, axis=1), 0.25))
    return float(np.median(near)) if near else np.inf


def seed_positions(capture: Capture) -> np.ndarray | None:
    """Where the capture's own points are, [N, 3] float64 in the world; None where it has none.

    Raises:
        UserError: they cannot be read.
    """
    if capture.points is None:
        return None
    positions = _points(capture.points).positions
    return positions if len(positions) else None


def seed_cloud(
    capture: Capture,
    views: Sequence[View],
    count: int,
    rng: np.random.Generator,
    *,
    most: int | None = None,
    note: Callable[[str], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What training starts from: the capture's own points, else random ones in the box the cameras look at.

    Random points that a transparent pixel shows to be empty space are not used; where views have a background, half of the points lie
    in it.

    Args:
        capture: says where its points are.
        views: the training views.
        count: how many points, where the capture has none.
        rng: the source of randomness.
        most: at most so many of the capture's own, a random choice; None takes all.
        note: takes sentences on what the file of the capture's points holds and is not used.

    Returns:
        positions [N, 3] float64 in the world, colors [N, 3] uint8 sRGB.

    Raises:
        UserError: the capture's points cannot be read.
    """
    if capture.points is not None:
        name = capture.points.name
        cloud = _points(capture.points, None if note is None else lambda sentence: note(f"{name}: {sentence}"))
        if len(cloud) > 0:
            chosen = slice(None)
            if most is not None and len(cloud) > most:
                chosen = np.sort(rng.choice(len(cloud), most, replace=False))
            positions = cloud.positions[chosen]
            return positions, _colors(positions, views) if cloud.colors is None else cloud.colors[chosen]
    center, radius = scene_box([view.camera for view in views])
    if any(view.image.shape[2] == 4 for view in views):
        positions = _carved(center, radius, views, count, rng)
    else:
        behind = _background(center, radius, views, count // 2, rng)
        positions = np.concatenate([center + rng.uniform(-radius, radius, (count - len(behind), 3)), behind])
    return positions, _colors(positions, views)


def _points(file: Path, note: Callable[[str], None] | None = None) -> PointCloud:
    """The points of a capture's file."""
    try:
        return read_points(file, note)
    except UserError as error:
        if error.code == TOO_LARGE or file.suffix.lower() != ".ply":
            raise
        hint = "Export it again, or take it out of the folder: training then starts from random points."
        raise UserError(error.message, hint, error.code) from None


def _in_view(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [M, 2] as whole numbers (x, y), and the indices [M], of those points that lie in the picture."""
    pixels, depth = project(camera, points)
    with np.errstate(invalid="ignore"):
        inside = (depth > 0) & (pixels >= 0).all(axis=1) & (pixels < (camera.width, camera.height)).all(axis=1)
    return pixels[inside].astype(np.int64), np.flatnonzero(inside)


def _looked_at(positions: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The point closest to all optical axes; axes that miss it most are left aside, twice."""
    kept = np.ones(len(positions), dtype=bool)
    center = positions.mean(axis=0)
    for _ in range(3):
        across = np.eye(3) - directions[kept, :, None] * directions[kept, None, :]
        # A little pull towards the cameras themselves keeps parallel axes solvable.
        pull = 1e-4 * kept.sum() * np.eye(3)
        origin = positions[kept].mean(axis=0)
        offset = (across @ (positions[kept] - origin)[:, :, None])[:, :, 0].sum(axis=0)
        center = origin + np.linalg.solve(across.sum(axis=0) + pull, offset)
        to_center = center - positions
        along = (to_center * directions).sum(axis=1, keepdims=True)
        misses = np.linalg.norm(to_center - along * directions, axis=1)
        kept = misses <= max(np.median(misses) * 3, _SAME * float(np.abs(positions).max()))
    return center


def _carved(center: np.ndarray, radius: float, views: Sequence[View], count: int, rng: np.random.Generator) -> np.ndarray:
    shapes = views[:: max(1, len(views) // _SAMPLED_VIEWS)]
    found: list[np.ndarray] = []
    low, high = center - radius, center + radius
    for _ in range(20):
        points = rng.uniform(low, high, (2 * count, 3))
        for view in shapes:
            pixels, index = _in_view(view.camera, points)
            empty = index[view.image[pixels[:, 1], pixels[:, 0], 3] == 0]
            points = np.delete(points, empty, axis=0)
        found.append(points)
        if sum(map(len, found)) >= count:
            break
        if len(points) >= 30:
            # The next round stays near what this one found.
            margin = 0.25 * np.ptp(points, axis=0)
            low, high = np.maximum(low, points.min(axis=0) - margin), np.minimum(high, points.max(axis=0) + margin)
    solid = np.concatenate(found)[:count]
    # Thin things may leave few points, and a wrong mask none.
    return solid if len(solid) >= count // 10 and len(solid) > 0 else center + rng.uniform(-radius, radius, (count, 3))


def _background(center: np.ndarray, radius: float, views: Sequence[View], count: int, rng: np.random.Generator) -> np.ndarray:
    """Points along the rays of random pixels, as dense near as far in what they move from view to view: evenly in 1/depth."""
    which = rng.integers(0, len(views), count)
    points = np.empty((count, 3))
    for index, view in enumerate(views):
        camera, mine = view.camera, which == index
        x = (rng.uniform(0, camera.width, mine.sum()) - camera.cx) / camera.fx
        y = (rng.uniform(0, camera.height, mine.sum()) - camera.cy) / camera.fy
        near = max(float(np.linalg.norm(camera.position - center)), _LEAST_DISTANCE * radius)
        depth = near / rng.uniform(1 / _BACKGROUND, 1, mine.sum())
        local = np.stack([x * depth, -y * depth, -depth], axis=1)
        points[mine] = local @ camera.camera_to_world[:3, :3].T + camera.position
    return points


def _colors(points: np.ndarray, views: Sequence[View]) -> np.ndarray:
    """The mean color that some views show at the points, [N, 3] uint8; gray where none does."""
    total, weight = np.zeros((len(points), 3)), np.zeros((len(points), 1))
    for view in views[:: max(1, len(views) // _SAMPLED_VIEWS)]:
        pixels, index = _in_view(view.camera, points)
        shown = view.image[pixels[:, 1], pixels[:, 0]].astype(np.float64)
        share = shown[:, 3:] / 255 if shown.shape[1] == 4 else np.ones((len(index), 1))
        total[index] += shown[:, :3] * share
        weight[index] += share
    return np.round(np.where(weight > 0, total / np.maximum(weight, 1e-6), 128)).astype(np.uint8)
