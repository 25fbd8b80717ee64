# SPDX-License-Identifier: GPL-3.0-or-later
"""How a thing stands."""

from __future__ import annotations

import numpy as np

from ..cameras import uprighted


def standing(positions: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sets a thing upright, the middle of its footprint at the origin and its lowest point at height 0.

    Args:
        positions: [V, 3] in the world. up: unit [3].

    Returns:
        The positions, and the rigid [4, 4] that takes them back into the world.
    """
    turn = uprighted(up).T
    upright = positions @ turn
    low, high = upright.min(axis=0), upright.max(axis=0)
    foot = np.array([*(low[:2] + high[:2]) / 2, low[2]])
    placement = np.eye(4)
    placement[:3, :3], placement[:3, 3] = turn, turn @ foot
    return upright - foot, placement
