# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera paths: the views that pictures are rendered from, in the order in which they are shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation, Slerp

from ..cameras import Camera
from ..contract.capture import Frame
from ..contract.errors import UserError
from ..formats.capture import read_capture
from ..formats.transforms import TRANSFORMS, read_transforms
from .views import frame_camera, view_scale

MOST_PIXELS = 1 << 14
# So many views are rendered at most: more is a mistyped number.
_MOST_VIEWS = 1_000_000


@dataclass(frozen=True)
class CameraPath:
    """Cameras in the order of the path, a name for each that can be a file's, and frames in a second where the file says."""

    names: tuple[str, ...]
    cameras: tuple[Camera, ...]
    fps: float | None = None

    def scaled(self, scale: float, max_side: int) -> CameraPath:
        """The path in the size that views of a training have; arguments as in :func:`~engine.data.views.load_views`."""
        cameras = []
        for camera in self.cameras:
            factor = view_scale(camera.width, camera.height, scale, max_side)
            cameras.append(camera.resized(max(1, round(camera.width * factor)), max(1, round(camera.height * factor))))
        return replace(self, cameras=tuple(cameras))


def read_path(source: Path) -> CameraPath:
    """Reads the cameras of a transforms.json, with or without pictures, or of a capture's folder.

    Raises:
        UserError: there is no such file or folder, it has no cameras, or a bad one.
    """
    file = source / TRANSFORMS if (source / TRANSFORMS).is_file() else source
    if file.is_file():
        found = read_transforms(file, pictures=False)
        if found.fps is not None and not 0 < found.fps <= 1000:
            raise UserError(f"{file}: fps is {found.fps:g}.", "Give frames in a second, or leave fps out.")
        return of_frames(found.frames, found.fps)
    return of_frames(read_capture(source).frames)


def of_frames(frames: list[Frame] | tuple[Frame, ...], fps: float | None = None) -> CameraPath:
    """The path through a capture's views, their lens distortion left aside."""
    names = [re.sub(r"[^\w. ()+@=-]", "_", Path(frame.name).with_suffix("").as_posix()).strip(". ") for frame in frames]
    if len({name.lower() for name in names}) < len(names) or not all(names):
        names = _numbered(len(frames))
    return CameraPath(tuple(names), tuple(frame_camera(frame) for frame in frames), fps)


def between(path: CameraPath, count: int) -> CameraPath:
    """Puts new views between each two of a path, for a smooth flight.

    Places lie on a cubic through the given ones; its speed at each is no higher than the shorter way to a neighbor, so that it neither
    swings out nor turns back. Directions turn evenly from one to the next by the shortest way; lenses change evenly.

    Args:
        path: the given views; all have the proportions of the first, or are cut to them.
        count: new views between each two.

    Raises:
        UserError: there are fewer than two views, or far too many come out.
    """
    given = len(path.cameras)
    if given < 2:
        raise UserError("There are no two cameras to put views between.", "Give at least two, or leave out --between.")
    total = (given - 1) * (count + 1) + 1
    if total > _MOST_VIEWS:
        raise UserError(f"That makes {total} views.", "Give --between a smaller number.")
    first = path.cameras[0]
    cameras = [sized(camera, first.width, first.height) for camera in path.cameras]
    knots, times = np.arange(given), np.arange(total) / (count + 1)
    places = np.array([camera.position for camera in cameras])
    # About the middle: far from the origin a cubic's terms would cancel.
    middle = places.mean(axis=0)
    places = CubicHermiteSpline(knots, places - middle, _velocities(places))(times) + middle
    turns = Slerp(knots, Rotation.from_matrix([camera.camera_to_world[:3, :3] for camera in cameras]))(times).as_matrix()
    lenses = np.array([(camera.fx, camera.fy, camera.cx, camera.cy) for camera in cameras])
    lenses = np.stack([np.interp(times, knots, column) for column in lenses.T], axis=1)
    made = []
    for place, turn, lens in zip(places, turns, lenses, strict=True):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, place
        made.append(Camera(first.width, first.height, *map(float, lens), pose))
    return CameraPath(_numbered(total), tuple(made), path.fps)


def sized(camera: Camera, width: int | None = None, height: int | None = None, even: bool = False) -> Camera:
    """The view in another size.

    Args:
        camera: the view.
        width, height: px. One of them alone keeps the proportions; both together cut off what is too wide or too high.
        even: makes both sides even, as videos need it.
    """
    if width is None:
        width = camera.width if height is None else max(1, round(camera.width * height / camera.height))
    if height is None:
        height = max(1, round(camera.height * width / camera.width))
    if even:
        width, height = max(2, width - width % 2), max(2, height - height % 2)
    scale = max(width / camera.width, height / camera.height)
    return replace(
        camera,
        width=width,
        height=height,
        fx=camera.fx * scale,
        fy=camera.fy * scale,
        cx=(camera.cx - camera.width / 2) * scale + width / 2,
        cy=(camera.cy - camera.height / 2) * scale + height / 2,
    )


def _velocities(places: np.ndarray) -> np.ndarray:
    """Catmull and Rom's tangents, no longer than the shorter of the two ways beside each place. [N, 3]."""
    ways = np.linalg.norm(np.diff(places, axis=0), axis=1)
    shorter = np.minimum(np.append(ways, np.inf), np.insert(ways, 0, np.inf))
    tangents = np.gradient(places, axis=0)
    lengths = np.linalg.norm(tangents, axis=1)
    return tangents * (np.minimum(lengths, shorter) / np.maximum(lengths, 1e-300))[:, None]


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"{index:05d}" for index in range(count))
