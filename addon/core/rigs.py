# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cameras of a capture stand, and where they look. NumPy only; the scene is asked through a :class:`Space`.

All places are meters in the world (Z up), all poses camera-to-world with OpenGL axes, [4, 4] float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# How far down and up a room camera may look: mostly a little down, where the furniture stands.
_PITCHES = np.radians([-28.0, -14.0, 2.0])
_YAWS = 16
# An orbit goes from slightly below horizontal to steeply above, as one walks around a thing and looks at it.
_ORBIT_LOW, _ORBIT_HIGH = np.radians([-8.0, 60.0])
# Fractions of the framing distance to try in turn where a wall blocks the full one.
_CLOSER = (1.0, 0.88, 0.76, 0.64, 0.52)


@dataclass(frozen=True)
class Space:
    """What the rigs ask about a scene.

    ``low`` and ``high``: [3] bounds of what renders. ``floor``: height of the floor. ``clear(place, radius)``: nothing within the radius
    and not inside of something. ``indoors(place)``: above free floor and between walls. ``sight(place, direction)``: distance to the
    first surface along a unit direction, infinite where there is none. ``walled``: it is a room, not things in the open.
    """

    low: np.ndarray
    high: np.ndarray
    floor: float
    clear: Callable[[np.ndarray, float], bool]
    indoors: Callable[[np.ndarray], bool]
    sight: Callable[[np.ndarray, np.ndarray], float]
    walled: bool


def room(
    space: Space, views: int, eye_height: float, field_of_view: float, aspect: float, seed: int, clearance: float = 0.35
) -> list[np.ndarray]:
    """Cameras spread over the free floor that together look about the whole room.

    Args:
        space: the scene.
        views: how many.
        eye_height: meters above the floor; cameras vary around it.
        field_of_view: horizontal, radians.
        aspect: width by height of a picture.
        seed: of the spread.
        clearance: how far cameras keep from everything, meters.

    Returns:
        The poses; empty where no free place between walls is found.
    """
    random = np.random.default_rng(seed)
    places = _free_floor(space, max(200, 8 * views), eye_height, clearance, random)
    if len(places) == 0:
        return []
    places = _rooms(space, places)
    stands = places[_spread(places, views)]
    targets = seen_points(space, places, 1200, random)
    seen = np.zeros(len(targets))
    poses = []
    for place in stands:
        yaw = random.uniform(0, 2 * math.pi)
        yaws = yaw + np.arange(_YAWS) * (2 * math.pi / _YAWS)
        choices = [look_along(place, _direction(a, pitch + random.uniform(-0.06, 0.06))) for a in yaws for pitch in _PITCHES]
        visible, distance = _visible(space, place, targets)
        # A point is worth less each time it was seen, and less up close, where a picture shows little of the room.
        worth = visible * np.minimum(distance / 2.0, 1.0) / (1.0 + seen) ** 2
        scores = [worth @ _inside(pose, targets, field_of_view, aspect) for pose in choices]
        best = choices[int(np.argmax(scores))]
        seen += visible * _inside(best, targets, field_of_view, aspect)
        poses.append(best)
    return poses


def orbit(
    space: Space, low: np.ndarray, high: np.ndarray, views: int, field_of_view: float, aspect: float, seed: int, clearance: float = 0.35
) -> list[np.ndarray]:
    """Cameras on the upper part of a sphere around an object, looking at it.

    Where a wall is in the way they come closer; places from which the object is hidden are left out, so that an object against a wall is
    seen from the front only.

    Args:
        space: the scene.
        low, high: [3] the object's bounds.
        views: how many.
        field_of_view: horizontal, radians.
        aspect: width by height of a picture.
        seed: of the spread.
        clearance: how far cameras keep from everything, meters; at most a quarter of their distance.

    Returns:
        The poses; empty where the object is hidden from everywhere.
    """
    random = np.random.default_rng(seed)
    middle, radius = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-6)
    narrow = min(field_of_view, 2 * math.atan(math.tan(field_of_view / 2) / aspect)) / 2
    full = radius / math.sin(narrow)
    found = []
    for direction in _cap(6 * views, random.uniform(0, 2 * math.pi)):
        place = next(
            (
                candidate
                for share in _CLOSER
                if space.clear(candidate := middle + direction * full * share, min(clearance, 0.25 * full * share))
                and _object_in_sight(space, candidate, low, high)
            ),
            None,
        )
        if place is not None:
            found.append(place)
    if not found:
        return []
    places = np.array(found)
    chosen = places[_spread(places, views)]
    return [look_along(place, middle - place) for place in chosen]


def in_view(space: Space, pose: np.ndarray, targets: np.ndarray, field_of_view: float, aspect: float) -> np.ndarray:
    """Which targets [N, 3] a camera of that horizontal field of view sees, [N] 0 or 1."""
    return _visible(space, pose[:3, 3], targets)[0] * _inside(pose, targets, field_of_view, aspect)


def look_along(place: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """An upright camera at a place, [3], that looks along a direction, [3] of any length."""
    back = -direction / np.linalg.norm(direction)
    right = np.cross((0.0, 0.0, 1.0), back)
    length = np.linalg.norm(right)
    right = right / length if length > 1e-6 else np.array([1.0, 0.0, 0.0])
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(back, right), back, place
    return pose


def sphere(count: int) -> np.ndarray:
    """Unit directions spread evenly over the sphere, [count, 3] (a Fibonacci spiral)."""
    return _spiral(np.linspace(1 - 1 / count, -1 + 1 / count, count), 0.0)


def _cap(count: int, turn: float) -> np.ndarray:
    """Even directions over the part of the sphere that an orbit uses, [count, 3]."""
    return _spiral(np.linspace(math.sin(_ORBIT_LOW), math.sin(_ORBIT_HIGH), count), turn)


def _spiral(heights: np.ndarray, turn: float) -> np.ndarray:
    angles = turn + np.arange(len(heights)) * (math.pi * (3 - math.sqrt(5)))
    flat = np.sqrt(1 - heights**2)
    return np.stack([flat * np.cos(angles), flat * np.sin(angles), heights], axis=1)


def _direction(yaw: float, pitch: float) -> np.ndarray:
    return np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])


def _free_floor(space: Space, count: int, eye_height: float, clearance: float, random: np.random.Generator) -> np.ndarray:
    """Free places about the eye height, [N, 3]. Up to 20 are tried for each that is wanted: most of a house's box is not free floor."""
    found: list[np.ndarray] = []
    # The golden-ratio lattice of two dimensions (Roberts 2018) spreads evenly at any length.
    steps = np.array([0.7548776662466927, 0.5698402909980532])
    start = random.uniform(size=2)
    for index in range(20 * count):
        share = (start + index * steps) % 1.0
        flat = space.low[:2] + share * (space.high[:2] - space.low[:2])
        height = eye_height + random.uniform(-0.3, 0.3) * min(1.0, eye_height)
        place = np.array([*flat, space.floor + height])
        if space.clear(place, clearance) and space.indoors(place):
            found.append(place)
            if len(found) == count:
                break
        elif index == 4 * count and not found:
            break
    return np.array(found).reshape(-1, 3)


def _rooms(space: Space, places: np.ndarray) -> np.ndarray:
    """The places that see one another, directly or by way of others, [N, 3]. Small groups stand inside of closed furniture, and go."""
    groups: list[list[int]] = []
    left = set(range(len(places)))
    while left:
        group = [left.pop()]
        for here in group:
            offsets = {there: places[there] - places[here] for there in left}
            seen = [there for there, offset in offsets.items() if _reaches(space, places[here], offset)]
            group += seen
            left.difference_update(seen)
        groups.append(group)
    least = 0.15 * max(len(group) for group in groups)
    return places[sorted(index for group in groups if len(group) >= least for index in group)]


def _reaches(space: Space, place: np.ndarray, offset: np.ndarray) -> bool:
    distance = float(np.linalg.norm(offset))
    return distance < 1e-9 or space.sight(place, offset / distance) >= distance


def _spread(places: np.ndarray, count: int) -> np.ndarray:
    """Indices of ``count`` places far from each other (farthest point first); they repeat where there are too few places."""
    chosen = [int(np.argmin(np.linalg.norm(places - places.mean(axis=0), axis=1)))]
    nearest = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < min(count, len(places)):
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return np.resize(chosen, count)


def seen_points(space: Space, places: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Points on the surfaces that can be seen from some of the places, [N, 3]."""
    points = []
    for direction in sphere(count)[random.permutation(count)]:
        place = places[random.integers(len(places))]
        distance = space.sight(place, direction)
        if math.isfinite(distance):
            points.append(place + distance * direction)
    return np.array(points).reshape(-1, 3)


def _visible(space: Space, place: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which targets nothing hides from a place, [N] 0 or 1, and how far they are, [N]."""
    offset = targets - place
    distance = np.linalg.norm(offset, axis=1)
    directions = offset / np.maximum(distance, 1e-9)[:, None]
    sight = np.array([space.sight(place, direction) for direction in directions])
    return (sight >= 0.98 * distance).astype(float), distance


def _inside(pose: np.ndarray, targets: np.ndarray, field_of_view: float, aspect: float) -> np.ndarray:
    """Which targets lie within the picture's frame, [N] 0 or 1."""
    local = (targets - pose[:3, 3]) @ pose[:3, :3]
    wide = math.tan(field_of_view / 2)
    depth = -local[:, 2]
    return ((depth > 0) & (np.abs(local[:, 0]) < wide * depth) & (np.abs(local[:, 1]) < wide / aspect * depth)).astype(float)


def _object_in_sight(space: Space, place: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether at least two thirds of the rays to points in the object's bounds reach the bounds unhindered."""
    middle, half = (low + high) / 2, (high - low) / 2
    reached = 0
    points = middle + 0.6 * half * np.array([(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)])
    for point in points:
        offset = point - place
        distance = float(np.linalg.norm(offset))
        direction = offset / max(distance, 1e-9)
        entry = _entry(place, direction, low, high)
        reached += entry > 0 and space.sight(place, direction) >= entry - 1e-3 * distance
    return reached >= 2 / 3 * len(points)


def _entry(place: np.ndarray, direction: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Distance along a ray to where it enters a box that it is known to hit."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sides = np.minimum((low - place) / direction, (high - place) / direction)
    return float(np.nanmax(np.where(np.abs(direction) < 1e-12, -np.inf, sides)))
