# SPDX-License-Identifier: GPL-3.0-or-later
"""Images without lens distortion: those of OpenCV's rational and fisheye models, resampled to an ideal pinhole camera."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch.nn.functional import grid_sample

from ..cameras import Camera, distort, undistorted_camera
from ..contract.capture import Frame
from ..contract.errors import UserError

# Maps that are kept: as many lenses as a rig has. Solvers may give each photo a lens of its own, and a map is larger than the photo.
_MAX_MAPS = 4


class Undistortion:
    """The undistorted cameras of a capture's lenses, and where their pixels lie in the images."""

    def __init__(self):
        self._maps: dict[tuple, tuple[Camera, torch.Tensor]] = {}

    def of(self, camera: Camera, frame: Frame) -> tuple[Camera, torch.Tensor]:
        """The undistorted camera of a frame, and where each of its pixels lies in the image: [1, H, W, 2] in grid_sample's coordinates.

        Args:
            camera: of the frame, in the size of the image in memory.

        Raises:
            UserError: the lens has no such camera.
        """
        key = (frame.fisheye, *frame.distortion, camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)
        if key not in self._maps:
            if len(self._maps) >= _MAX_MAPS:
                del self._maps[next(iter(self._maps))]
            self._maps[key] = _map(camera, frame)
        return self._maps[key]


def resampled(image: np.ndarray, grid: torch.Tensor, mode: Literal["bilinear", "nearest"]) -> torch.Tensor:
    """An image [H, W, C] looked up at a grid, float32 [H, W, C]."""
    channels = torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1)[None]
    return grid_sample(channels, grid, mode=mode, padding_mode="border", align_corners=False)[0].permute(1, 2, 0)


def _map(camera: Camera, frame: Frame) -> tuple[Camera, torch.Tensor]:
    try:
        ideal = undistorted_camera(camera, frame.distortion, frame.fisheye)
    except ValueError as error:
        hint = "Calibrate the lens again, or undistort the images."
        raise UserError(f"The camera of {frame.image} is not usable: {error}.", hint) from None
    x = (np.arange(ideal.width) + 0.5 - ideal.cx) / ideal.fx
    y = (np.arange(ideal.height) + 0.5 - ideal.cy) / ideal.fy
    lens = distort(np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1), frame.distortion, frame.fisheye)
    pixels = lens * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    grid = pixels * (2 / camera.width, 2 / camera.height) - 1
    return ideal, torch.from_numpy(grid.astype(np.float32))[None]
