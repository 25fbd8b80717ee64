# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of space the views show to be empty, or do not show at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from .views import View

# More views hardly find more that is empty.
_CARVING_VIEWS = 48
_BOX_CELLS = 64


def empty_cells(centers: Tensor, size: float, views: Sequence[View]) -> Tensor:
    """Cells that no view sees, or that lie behind nothing but transparent pixels in one.

    Args:
        centers: [N, 3] of the cells, world. size: their side. views: all with alpha or none; pixels that a mask leaves out show nothing to
            be empty.

    Returns:
        [N] bool.
    """
    places = torch.cat([centers.double(), torch.ones(len(centers), 1, dtype=torch.float64)], dim=1)
    reach = size * 3**0.5 / 2
    empty = torch.ones(len(places), dtype=torch.bool)
    for view in views:
        left = torch.nonzero(empty)[:, 0]
        x, y, depth, radius = _seen_from(view, places[left], reach)
        inside = (x > -radius) & (x < view.camera.width + radius) & (y > -radius) & (y < view.camera.height + radius)
        empty[left[(depth > -reach) & (inside | (depth < 2 * reach))]] = False
    if views[0].image.shape[2] == 3:
        return empty
    for view in views[:: -(-len(views) // _CARVING_VIEWS)]:
        left = torch.nonzero(~empty)[:, 0]
        x, y, depth, radius = _seen_from(view, places[left], reach)
        whole = (depth > 2 * reach) & (x >= 0) & (x < view.camera.width) & (y >= 0) & (y < view.camera.height)
        if not whole.any():
            continue
        # A window that holds the cell of the most pixels holds all others.
        window = 2 * int(np.ceil(float(radius[whole].max()))) + 3
        shown = view.image[..., 3] > 0
        if view.mask is not None:
            # What is left out may be transparent by mistake.
            shown |= view.mask == 0
        shown = torch.from_numpy(shown.astype(np.float32))[None, None]
        shown = max_pool2d(shown, (window, 1), stride=1, padding=(window // 2, 0))
        shown = max_pool2d(shown, (1, window), stride=1, padding=(0, window // 2))
        pixel = y[whole].long() * view.camera.width + x[whole].long()
        empty[left[whole][shown.view(-1)[pixel] == 0]] = True
    return empty


def object_box(center: np.ndarray, radius: float, views: Sequence[View]) -> tuple[np.ndarray, float]:
    """The cube about what transparent views show within a larger one.

    Args:
        center, radius: middle [3] and half side of the larger cube, world. views: all with alpha.

    Returns:
        Its middle and half its side; the larger cube where nothing is shown in it.
    """
    axis = (torch.arange(_BOX_CELLS) + 0.5) * (2 / _BOX_CELLS) - 1
    centers = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3).double() * radius + torch.from_numpy(center)
    size = 2 * radius / _BOX_CELLS
    filled = centers[~empty_cells(centers, size, views)].numpy()
    if not len(filled):
        return center, radius
    low, high = filled.min(axis=0) - size / 2, filled.max(axis=0) + size / 2
    return (low + high) / 2, float((high - low).max()) / 2


def _seen_from(view: View, places: Tensor, reach: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixel x and y, planar depth, and the pixels that ``reach`` is there, of homogeneous places [N, 4]."""
    camera = view.camera
    local = places @ torch.from_numpy(camera.viewmat[:3]).T
    ahead = local[:, 2].clamp(min=1e-6 * reach)
    x, y = local[:, 0] / ahead * camera.fx + camera.cx, local[:, 1] / ahead * camera.fy + camera.cy
    return x, y, local[:, 2], reach / ahead * max(camera.fx, camera.fy)
