# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection of gaussians in plain torch: the definition that the fast kernels are checked against."""

from __future__ import annotations

import torch
from torch import Tensor

BLUR = 0.3
LEAST_RATIO = 2.5e-5
MARGIN = 0.3


def sh_basis(degree: int, d: Tensor) -> Tensor:
    """Real spherical harmonics at unit directions, in the sign order of INRIA's files.

    Args:
        degree: 0 to 3.
        d: [N, 3].

    Returns:
        [N, (degree+1)^2].
    """
    x, y, z = d.unbind(-1)
    basis = [torch.full_like(x, 0.28209479177387814)]
    if degree > 0:
        basis += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree > 1:
        basis += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * z * z - x * x - y * y),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ]
    if degree > 2:
        basis += [
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * z * z - x * x - y * y),
            0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -0.4570457994644658 * x * (4 * z * z - x * x - y * y),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    return torch.stack(basis, -1)


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotations of quaternions wxyz of any length. [N, 4] -> [N, 3, 3]."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def project(
    means: Tensor,  # [N, 3] world
    log_scales: Tensor,  # [N, 3]
    quats: Tensor,  # [N, 4] wxyz
    opacity_logits: Tensor,  # [N]
    sh: Tensor,  # [N, K, 3]
    viewmat: Tensor,  # [4, 4] world-to-camera, OpenCV
    lens: Tensor,  # [4] fx fy cx cy, px
    width: int,
    height: int,
    near: float,
    antialias: bool,
    degree: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Projects gaussians.

    Returns:
        rows: [N, 9], x, y, conic a, b, c, opacity, red, green, blue.
        depths: [N], planar z.
        visible: [N] bool, in front of ``near`` and opaque enough to change a pixel.
    """
    fx, fy, cx, cy = lens
    points = means @ viewmat[:3, :3].T + viewmat[:3, 3]
    depths = points[:, 2]
    visible = depths > near
    z = torch.where(visible, depths, torch.ones_like(depths))
    ratio = points[:, :2] / z[:, None]
    focal, center, size = lens[:2], lens[2:], torch.tensor([width, height], dtype=means.dtype, device=means.device)
    margin = MARGIN * 0.5 * size / focal
    u = torch.minimum(torch.maximum(ratio, -center / focal - margin), (size - center) / focal + margin)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([torch.stack([fx / z, zero, -fx * u[:, 0] / z], -1), torch.stack([zero, fy / z, -fy * u[:, 1] / z], -1)], -2)
    axes = jacobian @ viewmat[:3, :3] @ rotation_matrices(quats) * log_scales.exp()[:, None, :]
    sharp = axes @ axes.transpose(-1, -2)
    blurred = sharp + BLUR * torch.eye(2, dtype=means.dtype, device=means.device)
    # The exact determinant of V V^T, without the cancellation of ac - b^2: the squared cross product of V's rows.
    sharp_det = torch.linalg.cross(axes[:, 0], axes[:, 1]).square().sum(-1)
    det = sharp_det + BLUR * (sharp[:, 0, 0] + sharp[:, 1, 1]) + BLUR**2
    opacities = opacity_logits.sigmoid()
    if antialias:
        opacities = opacities * (sharp_det / det).clamp_min(LEAST_RATIO).sqrt()
    conic = torch.stack([blurred[:, 1, 1], -blurred[:, 0, 1], blurred[:, 0, 0]], -1) / det[:, None]
    position = -viewmat[:3, :3].T @ viewmat[:3, 3]
    directions = torch.nn.functional.normalize(means - position, dim=-1)
    basis = sh_basis(degree, directions)
    colors = (torch.einsum("nk,nkc->nc", basis, sh[:, : basis.shape[1]]) + 0.5).clamp_min(0)
    screen = ratio * focal + center
    rows = torch.cat([screen, conic, opacities[:, None], colors], -1)
    return rows, depths, visible & (opacities > 1 / 255)
