# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of depth from known cameras, side by side as fusion takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import maximum_filter

from ..cameras import Camera, project, ray_matrix, unproject
from ..kernels.fusion.cpu import EMPTY, UNKNOWN

# Rays of which less than half stops show nothing that is solid; those of which next to nothing does show that nothing is there.
_SOLID, _CLEAR = 0.5, 0.1


class DepthMaps:
    """N depth pictures, and what they tell of the surface. All are kept in one size, smaller ones with UNKNOWN around.

    Attributes:
        depths: [N, H, W] float32 planar z in the world's unit, EMPTY or UNKNOWN.
        slants: [N, H, W] float32, see kernels/fusion.
        colors: [N, H, W, 3] uint8, sRGB.
        strengths: [N] float32, what each counts.
    """

    def __init__(self, cameras: Sequence[Camera]):
        self.cameras = list(cameras)
        shape = (len(cameras), max(camera.height for camera in cameras), max(camera.width for camera in cameras))
        self.depths = np.full(shape, UNKNOWN, np.float32)
        self.slants = np.zeros(shape, np.float32)
        self.colors = np.zeros((*shape, 3), np.uint8)
        self.strengths = np.ones(len(cameras), np.float32)

    def put(self, number: int, codes: np.ndarray, alpha: np.ndarray, depth: np.ndarray, jump: float, shown: np.ndarray | None) -> None:
        """Puts in what a camera sees.

        Args:
            number: of the camera. codes: [3, H, W] float32 sRGB codes. alpha: [H, W]. depth: [H, W] planar z, 0 = none.
            jump: neighbors farther apart than this are not one surface, world units.
            shown: [H, W] float32, the alpha of the view itself, which is surer; None where there is no view. For opaque scenes all 1:
                there rays never end in nothing.
        """
        camera = self.cameras[number]
        solid, clear = (alpha > _SOLID) & (depth > 0), alpha < _CLEAR
        if shown is not None:
            solid, clear = solid & (shown > _SOLID), shown < _CLEAR
        depth = np.where(solid, depth, UNKNOWN).astype(np.float32)
        here = (number, slice(camera.height), slice(camera.width))
        self.slants[here] = _slants(camera, depth, jump)
        # Beside an outline the middle of a pixel says little of the rest of it.
        clear &= ~maximum_filter(solid, 3)
        self.depths[here] = np.where(clear, EMPTY, depth)
        self.colors[here] = np.rint(np.clip(codes, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)

    def points(self, number: int, every: int = 1) -> np.ndarray:
        """Places in the world that a camera sees, [P, 3]; of every so many pixels one."""
        camera = self.cameras[number]
        depth = np.maximum(self.depths[number, : camera.height, : camera.width], 0)
        start = every // 2
        return unproject(camera, depth)[start::every, start::every][depth[start::every, start::every] > 0]

    def not_empty(self, points: np.ndarray) -> np.ndarray:
        """Which points [P, 3] no camera sees nothing at, [P] bool."""
        kept = np.ones(len(points), bool)
        for number, camera in enumerate(self.cameras):
            pixels, depth = project(camera, points)
            inside = (depth > 0) & (pixels >= 0).all(axis=1) & (pixels < (camera.width, camera.height)).all(axis=1)
            column, row = pixels[inside].astype(int).T
            kept[inside] &= self.depths[number, row, column] != EMPTY
        return kept

    def views(self, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turns [N, 3, 3], shifts [N, 3] and lenses [N, 4] as the kernels take them, for coordinates that begin at ``origin``."""
        return camera_tables(self.cameras, origin)


def camera_tables(cameras: Sequence[Camera], origin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turns [N, 3, 3] and shifts [N, 3] from coordinates that begin at ``origin`` to the cameras', and lenses [N, 4] fx, fy, cx, cy."""
    mats = np.stack([camera.viewmat for camera in cameras])
    shifts = (mats[:, :3, :3] @ (np.asarray(origin) - np.stack([camera.position for camera in cameras]))[:, :, None])[..., 0]
    lenses = np.array([(camera.fx, camera.fy, camera.cx, camera.cy) for camera in cameras])
    return tuple(np.ascontiguousarray(part, np.float32) for part in (mats[:, :3, :3], shifts, lenses))


def _slants(camera: Camera, depth: np.ndarray, jump: float) -> np.ndarray:
    """How far, for a difference of planar z, a place is from the plane that is seen at a pixel; 0 at edges and where nothing is."""
    matrix = ray_matrix(camera).astype(np.float32)
    x, y = (np.arange(side, dtype=np.float32) + np.float32(0.5) for side in (camera.width, camera.height))
    rays = x[None, :, None] * matrix[:, 0] + y[:, None, None] * matrix[:, 1] + matrix[:, 2]
    known = depth > 0
    places = rays * depth[..., None]
    smooth = known.copy()
    for axis in (0, 1):
        near = np.abs(np.diff(depth, axis=axis)) < jump
        ahead, behind = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        ahead[axis], behind[axis] = (0, 1), (1, 0)
        smooth &= np.pad(near, ahead) | np.pad(near, behind)
    slopes = [np.gradient(places, axis=axis) if depth.shape[axis] > 1 else np.zeros_like(places) for axis in (0, 1)]
    (ax, ay, az), (bx, by, bz) = (np.moveaxis(slope, -1, 0) for slope in slopes)
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    slants = np.abs(nx * rays[..., 0] + ny * rays[..., 1] + nz * rays[..., 2]) / np.maximum(length, 1e-30)
    for axis in (0, 1):
        if depth.shape[axis] > 2:
            jumps = np.abs(np.gradient(depth, axis=axis)) > jump
            smooth &= ~jumps
    return np.where(smooth & (length > 0), slants, 0).astype(np.float32)
