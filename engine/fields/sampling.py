# SPDX-License-Identifier: GPL-3.0-or-later
"""Where along a ray a field is looked up (Mildenhall et al. 2020, sections 4 and 5.2).

Random numbers are given by the caller, so that one source decides everything; without them the middles are taken, as for pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor


def stratified(near: Tensor, far: Tensor, count: int, random: Tensor | None = None, *, disparity: bool = False) -> Tensor:
    """One place in each of ``count`` equal bins.

    Args:
        near, far: [R] where the rays begin and end.
        count: bins.
        random: [R, count] even in 0 to 1, where in its bin each place lies.
        disparity: bins are equal in 1/t instead, so that a far background takes few of them; near is above 0 then.

    Returns:
        [R, count] ascending.
    """
    steps = torch.arange(count, dtype=near.dtype, device=near.device)
    share = (steps + (0.5 if random is None else random)) / count
    near, far = near[:, None], far[:, None]
    if disparity:
        return 1 / ((1 - share) / near + share / far)
    return near + (far - near) * share


def importance(edges: Tensor, weights: Tensor, count: int, random: Tensor | None = None) -> Tensor:
    """Places as dense as a histogram is high, by the inverse of its cumulative distribution.

    Args:
        edges: [R, B + 1] ascending ends of the bins.
        weights: [R, B], not below 0. 1e-5 is added to each, so that rays through nothing are spread evenly.
        count: how many places.
        random: [R, count] even in 0 to 1.

    Returns:
        [R, count], ascending where ``random`` is or is None. No gradient flows.
    """
    with torch.no_grad():
        weights = weights.float() + 1e-5
        shares = weights / weights.sum(-1, keepdim=True)
        below = torch.cat([torch.zeros_like(shares[:, :1]), shares.cumsum(-1)], dim=-1)  # [R, B + 1]
        if random is None:
            steps = torch.arange(count, dtype=edges.dtype, device=edges.device)
            random = ((steps + 0.5) / count).expand(len(edges), count)
        # The sum of shares may end a rounding below 1.
        bins = (torch.searchsorted(below, random.contiguous(), right=True) - 1).clamp(0, weights.shape[-1] - 1)
        start, share = below.gather(-1, bins), shares.gather(-1, bins)
        within = ((random - start) / share).clamp(0, 1)
        low, high = edges.gather(-1, bins), edges.gather(-1, bins + 1)
        return low + (high - low) * within


def coarse_to_fine(places: Tensor, weights: Tensor, count: int, random: Tensor | None = None) -> Tensor:
    """The coarse places and ``count`` more where their weights are, all in order.

    As published, bins reach between the middles of neighboring places, and the first and the last place's weight is not used.

    Args:
        places: [R, S] ascending. weights: [R, S] of compositing them. random: [R, count].

    Returns:
        [R, S + count] ascending, without gradient.
    """
    middles = (places[:, 1:] + places[:, :-1]) / 2
    fine = importance(middles, weights[:, 1:-1], count, random)
    return torch.cat([places, fine], dim=-1).sort(dim=-1).values
