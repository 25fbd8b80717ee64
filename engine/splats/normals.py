# SPDX-License-Identifier: GPL-3.0-or-later
"""Normals of gaussians: the shortest axis of each, on the camera's side, and the way back from it to the rotation."""

from __future__ import annotations

import numpy as np


def facing_axes(views: np.ndarray, log_scales: np.ndarray, quats: np.ndarray) -> np.ndarray:
    """The shortest axis of each gaussian, against the view.

    Args:
        views: [M, 3], from the camera to it. log_scales: [M, 3]. quats: [M, 4] wxyz, of any length above 0.

    Returns:
        [M, 3] unit, world.
    """
    axes, _ = _chosen(views, log_scales, quats / np.linalg.norm(quats, axis=1, keepdims=True))
    return axes


def facing_axes_backward(views: np.ndarray, log_scales: np.ndarray, quats: np.ndarray, v_axes: np.ndarray) -> np.ndarray:
    """Gradients by the quaternions. Arguments as for :func:`facing_axes`; v_axes: [M, 3], gradients by what it returns. Returns [M, 4]."""
    lengths = np.linalg.norm(quats, axis=1, keepdims=True)
    unit = quats / lengths
    _, signed = _chosen(views, log_scales, unit)
    w, u = unit[:, :1], unit[:, 1:]
    # The axis is 2 (u·e) u + (w² - u·u) e + 2 w (u × e), of which e is one of the three directions or its opposite.
    v_w = 2 * ((v_axes * (w * signed + np.cross(u, signed))).sum(axis=1, keepdims=True))
    along, across = (u * signed).sum(axis=1, keepdims=True), (u * v_axes).sum(axis=1, keepdims=True)
    back = (signed * v_axes).sum(axis=1, keepdims=True)
    v_u = 2 * (across * signed + along * v_axes - back * u + w * np.cross(signed, v_axes))
    v_unit = np.concatenate([v_w, v_u], axis=1)
    return (v_unit - (v_unit * unit).sum(axis=1, keepdims=True) * unit) / lengths


def _chosen(views: np.ndarray, log_scales: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The axes in the world, and which of the gaussian's own directions, or its opposite, each is. Both [M, 3]."""
    own = np.eye(3, dtype=unit.dtype)[log_scales.argmin(axis=1)]
    w, u = unit[:, :1], unit[:, 1:]
    turn = 2 * np.cross(u, own)
    axes = own + w * turn + np.cross(u, turn)
    sign = np.where((axes * views).sum(axis=1, keepdims=True) > 0, -1, 1).astype(unit.dtype)
    return sign * axes, sign * own
