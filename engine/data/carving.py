# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of space the views show to be empty, or do not show at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from .views import View


def empty_cells(centers: Tensor, size: float, views: Sequence[View]) -> Tensor:
    """Cells that no view sees, or that lie behind nothing but transparent pixels in one.

    Args:
        centers: [N, 3] of the cells, world. size: their side. views: all with alpha or none.

    Returns:
        [N] bool.
    """
    places = torch.cat([centers.double(), torch.ones(len(centers), 1, dtype=torch.float64)], dim=1)
    seen, empty = torch.zeros(len(places), dtype=torch.bool), torch.zeros(len(places), dtype=torch.bool)
    reach = size * 3**0.5 / 2
    for view in views:
        camera = view.camera
        transparent = view.image.shape[2] == 4
        left = torch.nonzero(~empty if transparent else ~seen)[:, 0]
        local = (places[left] @ torch.from_numpy(camera.viewmat).T)[:, :3]
        depth = local[:, 2].clamp(min=1e-9)
        x, y = local[:, 0] / depth * camera.fx + camera.cx, local[:, 1] / depth * camera.fy + camera.cy
        radius = reach / depth * max(camera.fx, camera.fy)
        ahead = local[:, 2] > -reach
        near = local[:, 2] < 2 * reach
        inside = (x > -radius) & (x < camera.width + radius) & (y > -radius) & (y < camera.height + radius)
        seen[left[ahead & (inside | near)]] = True
        if not transparent:
            continue
        whole = ahead & ~near & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
        widest = int(np.ceil(float(radius[whole].max()))) + 1 if bool(whole.any()) else 1
        # A window that holds the cell of the most pixels holds all others.
        opaque = torch.from_numpy((view.image[..., 3] > 0).astype(np.float32))[None, None]
        shown = max_pool2d(opaque, 2 * widest + 1, stride=1, padding=widest)[0, 0]
        pixel = y[whole].long() * camera.width + x[whole].long()
        empty[left[whole][shown.reshape(-1)[pixel] == 0]] = True
    return empty | ~seen
