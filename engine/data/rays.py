# SPDX-License-Identifier: GPL-3.0-or-later
"""Rays through the pixels of views, in the space of a field: the world moved and scaled so that the scene lies in [-1, 1]^3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..cameras import Camera
from .views import View


class RayBank:
    """Every pixel that can be learnt from, and the ray behind it."""

    def __init__(self, views: Sequence[View], center: np.ndarray, radius: float, device: str = "cpu"):
        counts = [view.camera.width * view.camera.height for view in views]
        self.pixels = torch.from_numpy(np.concatenate([view.image.reshape(-1, view.image.shape[2]) for view in views])).to(device)
        self._starts = torch.tensor(np.cumsum([0, *counts]), device=device)
        cameras = [view.camera for view in views]
        self._widths = torch.tensor([camera.width for camera in cameras], device=device)
        self._lenses = torch.tensor([[c.fx, c.fy, c.cx, c.cy] for c in cameras], dtype=torch.float32, device=device)
        poses = [_pose(camera, center, radius) for camera in cameras]
        self._turns, self._places = (torch.from_numpy(np.stack(part)).to(device) for part in zip(*poses, strict=True))
        self._known = None
        if any(view.mask is not None for view in views):
            masks = [np.ones(view.image.shape[:2], bool) if view.mask is None else view.mask > 0 for view in views]
            self._known = torch.from_numpy(np.flatnonzero(np.concatenate([mask.reshape(-1) for mask in masks]))).to(device)

    def pick(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Random pixels.

        Returns:
            origins and unit directions [count, 3] float32, and what the pixels hold [count, 3 or 4] uint8.
        """
        known = self._known
        index = torch.from_numpy(rng.integers(0, len(self.pixels if known is None else known), count)).to(self.pixels.device)
        index = index if known is None else known[index]
        view = torch.searchsorted(self._starts, index, right=True) - 1
        place, width = index - self._starts[view], self._widths[view]
        x, y = (place % width).float() + 0.5, (place // width).float() + 0.5
        fx, fy, cx, cy = self._lenses[view].unbind(1)
        local = torch.stack([(x - cx) / fx, (cy - y) / fy, -torch.ones_like(x)], dim=1)
        directions = torch.nn.functional.normalize((self._turns[view] @ local[..., None])[..., 0], dim=1)
        return self._places[view], directions, self.pixels[index]


def camera_rays(camera: Camera, center: np.ndarray, radius: float, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """The rays of a whole picture: origins and unit directions, [H W, 3] float32, row after row."""
    turn, place = _pose(camera, center, radius)
    y, x = np.mgrid[: camera.height, : camera.width].astype(np.float32) + np.float32(0.5)
    local = np.stack([(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -np.ones_like(x)], axis=-1).reshape(-1, 3)
    directions = torch.from_numpy((local @ turn.T).astype(np.float32)).to(device)
    return torch.from_numpy(place).to(device).expand(len(directions), 3), torch.nn.functional.normalize(directions, dim=1)


def _pose(camera: Camera, center: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Camera-to-field rotation [3, 3] and the camera's place [3], float32."""
    return camera.camera_to_world[:3, :3].astype(np.float32), ((camera.position - center) / radius).astype(np.float32)
