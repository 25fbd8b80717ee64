# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step learns from: pictures on backgrounds, shifted, mirrored and tinted, and their voxels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .dataset import Shapes
from .views import PICTURE

# What pictures are put before, codes of red, green and blue from 0 to 1: a color that furniture hardly has, so that its outlines show.
# Before the published nearly white ones, white furniture is lost.
BACKGROUND = torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1)
# Whole pixels, for what is cut out by hand or before a background.
_SHIFT, _TINT = 1, 0.1


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which shapes are learnt from in an epoch, [count]."""
    return np.random.default_rng([seed, 1, epoch]).permutation(count)


def training_batch(
    shapes: Shapes, batch: int, most_views: int, seed: int, step: int, random_backgrounds: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The batch of a step: the same for the same seed and step, whatever came before.

    ``random_backgrounds``: share of the pictures that stand before two colors that run into each other.

    Returns:
        Views [B, V, 3, 127, 127] float32 codes from 0 to 1, and which voxels are full [B, 32, 32, 32] int64.
    """
    rng = np.random.default_rng([seed, 2, step])
    places = np.arange(step * batch, (step + 1) * batch)
    orders = {epoch: order(len(shapes), seed, epoch) for epoch in np.unique(places // len(shapes)).tolist()}
    which = np.array([orders[place // len(shapes)][place % len(shapes)] for place in places.tolist()])
    # Two views half as often as one, three a third as often: one is what designers mostly have, and each takes its time.
    counts = np.arange(1, min(most_views, shapes.views.shape[1]) + 1)
    count = int(rng.choice(counts, p=1 / counts / (1 / counts).sum()))
    pictures = np.stack([shapes.views[row, rng.permutation(shapes.views.shape[1])[:count]] for row in which])
    cells = shapes.cells(which)
    flipped = rng.random(batch) < 0.5
    # A picture seen in a mirror is one of the mirrored shape.
    pictures[flipped], cells[flipped] = pictures[flipped][:, :, :, ::-1], cells[flipped][:, ::-1]
    flat = pictures.reshape(-1, PICTURE, PICTURE, 4)
    codes = composed(_shifted(flat, rng), _backgrounds(len(flat), random_backgrounds, rng))
    tints = torch.from_numpy(rng.uniform(1 - _TINT, 1 + _TINT, (len(flat), 3, 1, 1)).astype(np.float32))
    return codes.mul_(tints).clamp_(0, 1).view(batch, -1, *codes.shape[1:]), torch.from_numpy(cells.astype(np.int64))


def scoring_batch(shapes: Shapes, which: np.ndarray, views: int) -> tuple[Tensor, Tensor]:
    """Shapes as they are scored: their first views on the one background. Returns as :func:`training_batch`."""
    codes = composed(shapes.views[which, :views].reshape(-1, PICTURE, PICTURE, 4))
    return codes.view(len(which), -1, *codes.shape[1:]), torch.from_numpy(shapes.cells(which).astype(np.int64))


def composed(pictures: np.ndarray, backgrounds: Tensor | float = BACKGROUND) -> Tensor:
    """Pictures [P, H, W, 4] uint8 over backgrounds [P, 3, H, W] or less, codes from 0 to 1: [P, 3, H, W] float32."""
    planes = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float().mul_(1 / 255)
    return torch.lerp(torch.as_tensor(backgrounds), planes[:, :3], planes[:, 3:])


def _shifted(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pictures moved by some pixels; what comes in is transparent."""
    wide = np.pad(pictures, ((0, 0), (_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0)))
    starts = rng.integers(0, 2 * _SHIFT + 1, (len(pictures), 2))
    return np.stack([picture[y : y + PICTURE, x : x + PICTURE] for picture, (y, x) in zip(wide, starts, strict=True)])


def _backgrounds(count: int, share: float, rng: np.random.Generator) -> Tensor:
    """The one color [3, 1, 1], or [count, 3, 127, 127] where a share of pictures has others."""
    if not share:
        return BACKGROUND
    ends = np.where(rng.random((count, 1, 1)) < share, rng.random((count, 2, 3)), BACKGROUND.view(3).numpy()).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi, (count, 1, 1)).astype(np.float32)
    line = np.linspace(-1, 1, PICTURE, dtype=np.float32)
    along = torch.from_numpy((np.cos(angle) * line[:, None] + np.sin(angle) * line + np.float32(1.5)) / 3)
    first, last = torch.from_numpy(ends)[..., None, None].unbind(1)
    return torch.lerp(first, last, along[:, None])
