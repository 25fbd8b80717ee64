# SPDX-License-Identifier: GPL-3.0-or-later
"""Rays through the pixels of views, in the space of a field: the world moved and scaled so that the scene lies in [-1, 1]^3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cameras import Camera, ray_matrix
from ..contract.checkpoints import FieldFacts
from .views import View

# Fields' coordinates that differ by less than this are the same.
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Space:
    """A field's own coordinates: the world moved to ``center``, turned, and divided by ``radius``; float32 is exact enough there."""

    center: np.ndarray  # [3] float64, world
    radius: float  # world units that become 1
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))  # [3, 3] from the world's axes to the field's

    def rays_of(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """A camera's place [3], and the [3, 3] that makes directions of (x, y, 1); a direction reaches one unit of planar depth."""
        return self.rotation @ (camera.position - self.center) / self.radius, self.rotation @ ray_matrix(camera)

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 3] of the field in the world, float64."""
        return np.asarray(points, dtype=np.float64) @ self.rotation * self.radius + self.center

    def from_world(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 3] of the world in the field's coordinates, float64."""
        return (np.asarray(points, dtype=np.float64) - self.center) @ self.rotation.T / self.radius

    def facts(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, for JSON."""
        return {"center": self.center.tolist(), "radius": self.radius, "rotation": self.rotation.tolist()}

    def is_that_of(self, facts: FieldFacts) -> bool:
        """Whether :meth:`facts` were of the same coordinates, but for rounding; what old checkpoints lack counts as the same."""
        then = self.facts() | {name: value for name in self.facts() if (value := getattr(facts, name)) is not None}
        # As numbers of the field, which do not depend on the world's unit or on where its origin is.
        moved = self.from_world(np.array(then["center"])[None])
        return bool(
            np.allclose(moved, 0, atol=_SAME)
            and np.isclose(then["radius"], self.radius, rtol=_SAME, atol=0)
            and np.allclose(then["rotation"], self.rotation, atol=_SAME)
        )


def picture_rays(camera: Camera, space: Space, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """The rays through the middles of all pixels, row by row.

    Returns:
        origins and directions, [H * W, 3] float32; a direction reaches one unit of planar depth.
    """
    origin, matrix = space.rays_of(camera)
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    directions = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1) @ matrix.T
    origins = np.broadcast_to(origin, directions.shape)
    return torch.from_numpy(origins.astype(np.float32)).to(device), torch.from_numpy(directions.astype(np.float32)).to(device)


class RayBank:
    """Every pixel that can be learnt from, and the ray behind it.

    Args:
        views: the training views, in pictures of any sizes but one number of channels.
        space: the field's coordinates.
        device: where the pixels are kept, a byte a channel.
    """

    def __init__(self, views: Sequence[View], space: Space, device: str = "cpu"):
        rays = [space.rays_of(view.camera) for view in views]
        stacked = (np.stack(part).astype(np.float32) for part in zip(*rays, strict=True))
        self._places, self._matrices = (torch.from_numpy(part).to(device) for part in stacked)
        self._pixels = torch.from_numpy(np.concatenate([view.image.reshape(-1, view.image.shape[2]) for view in views])).to(device)
        self._sizes = np.array([view.image.shape[:2] for view in views])  # [V, 2] height, width
        self._starts = np.cumsum([0, *self._sizes.prod(axis=1)])  # [V + 1]
        self._mask = self._known = None
        if any(view.mask is not None for view in views):
            masks = [np.ones(view.image.shape[:2], bool) if view.mask is None else view.mask > 0 for view in views]
            self._mask = np.concatenate([mask.ravel() for mask in masks])
            self._known = np.flatnonzero(self._mask)

    def pick(
        self, rng: np.random.Generator, count: int, *, one_view: bool = False, share: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Random pixels, each as likely as any other.

        Args:
            rng: the source of randomness.
            count: how many.
            one_view: all of one random view.
            share: how much of width and height about the middle they are from.

        Returns:
            The views [R], origins and directions [R, 3] float32, of which a direction reaches one unit of planar depth, and what the
            pixels hold [R, 3 or 4] uint8. R is ``count``; less where a part of the views is wanted and pixels of it are masked.
        """
        if one_view or share < 1:
            if one_view:
                view = np.repeat(rng.integers(0, len(self._sizes)), count)
            else:
                view = np.searchsorted(self._starts, rng.integers(0, self._starts[-1], count), side="right") - 1
            sizes = self._sizes[view]
            inside = np.minimum(((rng.random((count, 2)) * share + (1 - share) / 2) * sizes).astype(np.int64), sizes - 1)
            index = self._starts[view] + inside[:, 0] * sizes[:, 1] + inside[:, 1]
            index = index if self._mask is None else index[self._mask[index]]
        elif self._known is None:
            index = rng.integers(0, self._starts[-1], count)
        else:
            index = self._known[rng.integers(0, len(self._known), count)]
        view = np.searchsorted(self._starts, index, side="right") - 1
        row, column = np.divmod(index - self._starts[view], self._sizes[view, 1])
        places = np.stack([column + 0.5, row + 0.5, np.ones(len(row))], axis=1).astype(np.float32)
        device = self._pixels.device
        which = torch.from_numpy(view).to(device)
        directions = (self._matrices[which] * torch.from_numpy(places).to(device)[:, None]).sum(-1)
        return which, self._places[which], directions, self._pixels[torch.from_numpy(index).to(device)]
