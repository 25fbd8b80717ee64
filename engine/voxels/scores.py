# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of what is predicted is there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# From this probability on a voxel counts as full, as published.
THRESHOLD = 0.4


def intersection_over_union(predicted: Tensor, truth: Tensor) -> Tensor:
    """The share of voxels full in either that are full in both; 1 where both are empty.

    Args:
        predicted, truth: [B, D, D, D] bool.

    Returns:
        [B] float32.
    """
    both = (predicted & truth).flatten(1).sum(dim=1)
    either = (predicted | truth).flatten(1).sum(dim=1)
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def full(logits: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Which voxels are full, [B, D, D, D] bool, by a network's logits [B, 2, D, D, D]."""
    return logits.float().softmax(dim=1)[:, 1] >= threshold


def table(names: Sequence[str], scores: dict[int, np.ndarray], made_up: str) -> dict:
    """Mean scores in all, by category and by where shapes come from, for JSON.

    Args:
        names: CATEGORY/NAME of each shape. scores: for numbers of views, [N]. made_up: how names of generated shapes begin.
    """
    categories = np.array([name.split("/")[0] for name in names])
    made = np.array([name.split("/")[1].startswith(made_up) for name in names])

    def mean(chosen: np.ndarray) -> dict:
        return {"shapes": int(chosen.sum()), **{f"iou_{views}": float(values[chosen].mean()) for views, values in scores.items()}}

    sources = {name: chosen for name, chosen in (("made up", made), ("meshes", ~made)) if chosen.any()}
    return {
        "threshold": THRESHOLD,
        **mean(np.ones(len(names), bool)),
        "sources": {
            name: {**mean(chosen), "categories": {kind: mean(chosen & (categories == kind)) for kind in sorted(set(categories[chosen]))}}
            for name, chosen in sources.items()
        },
        "each": [
            {"name": name, **{f"iou_{views}": float(values[row]) for views, values in scores.items()}} for row, name in enumerate(names)
        ],
    }
