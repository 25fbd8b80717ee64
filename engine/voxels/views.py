# SPDX-License-Identifier: GPL-3.0-or-later
"""Random views of a shape: from where, through which lens, in which light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kernels.drawing import Surface, Views, draw

PICTURE = 127


@dataclass(frozen=True)
class Place:
    """Where a picture was taken from, as rendering_metadata.txt has it, and how it was cropped.

    Degrees: ``azimuth`` 0 sees the front, 90 stands on the shape's left (its +X); ``elevation``; ``roll``. ``distance`` from the middle of
    the cube that the shape fills, in its sides. ``field``: the lens's field of view, before the picture was cropped to the shape;
    ``focal``, ``x``, ``y``: focal length and principal point of the cropped picture in pixels.
    """

    azimuth: float
    elevation: float
    roll: float
    distance: float
    field: float
    focal: float
    x: float
    y: float

    def line(self) -> str:
        """As in rendering_metadata.txt: the five published numbers, then what cropping made of the lens."""
        return " ".join(f"{value:.6g}" for value in vars(self).values())


def viewmat(place: Place) -> np.ndarray:
    """[3, 4] from the cube from -1/2 to 1/2 to an OpenCV camera."""
    azimuth, elevation, roll = np.radians([place.azimuth, place.elevation, place.roll])
    back = np.array([np.cos(elevation) * np.sin(azimuth), -np.cos(elevation) * np.cos(azimuth), np.sin(elevation)])
    right = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    down = -np.cross(back, right)
    x = np.cos(roll) * right + np.sin(roll) * down
    y = -np.sin(roll) * right + np.cos(roll) * down
    return np.concatenate([np.stack([x, y, -back]), [[0.0], [0.0], [place.distance]]], axis=1)


def random_places(surface: Surface, count: int, rng: np.random.Generator) -> list[Place]:
    """Places all round a shape, at heights that people and catalogues take, near and far; the shape fills most of each picture."""
    corners = surface.triangles.reshape(-1, 3).astype(float)
    places = []
    for _ in range(count):
        # Few look from below or from the top.
        elevation = float(np.clip(rng.normal(18, 13), -8, 65))
        # Not nearer than the cube's own corners.
        distance = float(np.exp(rng.uniform(np.log(1.25), np.log(4.0))))
        place = Place(rng.uniform(0, 360), elevation, float(rng.normal(0, 1.5)), distance, 0.0, 1.0, 0.0, 0.0)
        x, y, z = viewmat(place) @ np.concatenate([corners, np.ones((len(corners), 1))], axis=1).T
        low, high = np.array([(x / z).min(), (y / z).min()]), np.array([(x / z).max(), (y / z).max()])
        focal = rng.uniform(0.72, 0.95) * PICTURE / (high - low).max()
        spare = (PICTURE - focal * (high - low)) / 2
        middle = PICTURE / 2 - focal * (low + high) / 2 + rng.uniform(-0.5, 0.5, 2) * spare
        field = np.degrees(2 * np.arctan(np.abs([low, high]).max()))
        places.append(Place(place.azimuth, elevation, place.roll, distance, float(field), float(focal), *middle.tolist()))
    return places


def random_light(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sky, ground [V, 3] and lamps [V, 2, 6] of views, see kernels.drawing."""
    tint = lambda spread: 1 + rng.normal(0, spread, (count, 3))  # noqa: E731
    sky = rng.uniform(0.35, 0.85, (count, 1)) * tint(0.04)
    ground = sky * rng.uniform(0.35, 0.9, (count, 1)) * tint(0.05)
    toward = rng.normal(size=(count, 2, 3)) * (1.0, 1.0, 0.6) + (0.0, 0.0, 0.8)
    toward /= np.linalg.norm(toward, axis=-1, keepdims=True)
    power = rng.uniform(0.0, [[1.0, 0.5]], (count, 2))[..., None] * (1 + rng.normal(0, 0.06, (count, 2, 3)))
    return tuple(np.maximum(part, 0).astype(np.float32) for part in (sky, ground)) + (
        np.concatenate([toward, np.maximum(power, 0)], axis=-1).astype(np.float32),
    )


def random_views(surface: Surface, count: int, rng: np.random.Generator) -> tuple[np.ndarray, list[Place]]:
    """Pictures of a shape, [count, 127, 127, 4] uint8 with straight alpha, and where they were taken from."""
    places = random_places(surface, count, rng)
    lenses = np.array([(place.focal, place.focal, place.x, place.y) for place in places], np.float32).reshape(count, 4)
    matrices = np.array([viewmat(place) for place in places], np.float32).reshape(count, 3, 4)
    return draw(surface, Views(matrices, lenses, *random_light(count, rng)), PICTURE), places
