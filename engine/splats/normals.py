# SPDX-License-Identifier: GPL-3.0-or-later
"""Normals of gaussians: the shortest axis of each, on the camera's side, and the way back from it to the rotation. And how their depth
changes over the picture."""

from __future__ import annotations

import numpy as np

from ..rotations import matrices


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


def depth_slopes(
    means: np.ndarray, log_scales: np.ndarray, quats: np.ndarray, turn: np.ndarray, lens: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the depth at which rays are deepest in gaussians changes over the picture, from each one's middle on.

    With m the middle, r = m / z the ray to it and P the inverse covariance, the density along a ray d is greatest at planar depth
    (d'Pm) / (d'Pd), whose derivative by d, at r, is -z Pr / (r'Pr).

    Args:
        means: [M, 3] in the camera's axes, z forward. log_scales: [M, 3]. quats: [M, 4] wxyz. turn: [3, 3], from the world's axes to the
            camera's. lens: fx, fy, cx, cy.

    Returns:
        The change over a pixel to the right and one down, [M] each, and the most that is sensible, twice the deviation along z.
    """
    axes = matrices(quats.astype(np.float64))
    axes = turn.astype(np.float64) @ axes
    # A size of 0 has no logarithm, and none in relation to itself.
    largest = np.maximum(log_scales.max(axis=1, keepdims=True).astype(np.float64), np.finfo(np.float32).min)
    scales = np.exp(log_scales - largest)
    depth = means[:, 2].astype(np.float64)
    ray = means / depth[:, None]
    slant = ((axes * ray[:, :, None]).sum(axis=1) / np.maximum(scales, 1e-6) ** 2)[:, None] * axes
    slant = slant.sum(axis=2)
    change = -depth[:, None] * slant[:, :2] / (ray * slant).sum(axis=1, keepdims=True)
    deviation = np.sqrt(((axes[:, 2] * scales) ** 2).sum(axis=1)) * np.exp(largest[:, 0])
    return change[:, 0] / lens[0], change[:, 1] / lens[1], 2 * deviation


def _chosen(views: np.ndarray, log_scales: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The axes in the world, and which of the gaussian's own directions, or its opposite, each is. Both [M, 3]."""
    own = np.eye(3, dtype=unit.dtype)[log_scales.argmin(axis=1)]
    w, u = unit[:, :1], unit[:, 1:]
    turn = 2 * np.cross(u, own)
    axes = own + w * turn + np.cross(u, turn)
    sign = np.where((axes * views).sum(axis=1, keepdims=True) > 0, -1, 1).astype(unit.dtype)
    return sign * axes, sign * own
