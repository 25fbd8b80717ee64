# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection of gaussians to ellipses on the screen with their colour, forward and backward.

EWA splatting as in Zwicker et al. 2001 and Kerbl et al. 2023: with V = J W R S (2×3; J the projection's Jacobian, W the view's rotation,
R and S the gaussian's), the covariance on the screen is V Vᵀ + BLUR I. Opacity compensation (Yu et al. 2024) scales the opacity by
sqrt(|V Vᵀ| / |V Vᵀ + BLUR I|).
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ..math import OPTIONS, exp
from ..tiles.cpu import BLUE, CONIC_A, CONIC_B, CONIC_C, DEPTH, EXTENT, GREEN, OPACITY, RED, X, Y

# Variance added on the screen, px^2, so that no gaussian falls between pixels.
BLUR = np.float32(0.3)
# Floor of the compensation's square, below which a gaussian is so thin that its derivative has no use.
_LEAST_RATIO = np.float32(2.5e-5)
# The Jacobian is taken no further outside the picture than this share of its half size; beyond, it would blow up.
_MARGIN = np.float32(0.3)
_CHUNK = 512

# A plain Python number would make the arithmetic around it double.
_1, _2, _3, _4, _6, _8 = (np.float32(value) for value in (1, 2, 3, 4, 6, 8))
_HALF = np.float32(0.5)
_C0 = np.float32(0.28209479177387814)
_C1 = np.float32(0.4886025119029199)
_C20, _C21, _C22, _C23, _C24 = (
    np.float32(value) for value in (1.0925484305920792, 1.0925484305920792, 0.31539156525252005, 1.0925484305920792, 0.5462742152960396)
)
_C30, _C31, _C32, _C33, _C34, _C35, _C36 = (
    np.float32(value)
    for value in (
        0.5900435899266435,
        2.890611442640554,
        0.4570457994644658,
        0.3731763325901154,
        0.4570457994644658,
        1.445305721320277,
        0.5900435899266435,
    )
)


@nb.njit(**OPTIONS)
def sh_basis(degree, x, y, z, basis):
    """Real spherical harmonics at a unit direction, in the sign order of INRIA's files. basis: [16], (degree+1)^2 are written."""
    basis[0] = _C0
    if degree > 0:
        basis[1], basis[2], basis[3] = -_C1 * y, _C1 * z, -_C1 * x
    if degree > 1:
        basis[4], basis[5] = _C20 * x * y, -_C21 * y * z
        basis[6] = _C22 * (_2 * z * z - x * x - y * y)
        basis[7], basis[8] = -_C23 * x * z, _C24 * (x * x - y * y)
    if degree > 2:
        basis[9] = -_C30 * y * (_3 * x * x - y * y)
        basis[10] = _C31 * x * y * z
        basis[11] = -_C32 * y * (_4 * z * z - x * x - y * y)
        basis[12] = _C33 * z * (_2 * z * z - _3 * x * x - _3 * y * y)
        basis[13] = -_C34 * x * (_4 * z * z - x * x - y * y)
        basis[14] = _C35 * z * (x * x - y * y)
        basis[15] = -_C36 * x * (x * x - _3 * y * y)


@nb.njit(**OPTIONS)
def _sh_slope(degree, x, y, z, slope):
    """Derivatives of :func:`sh_basis` by x, y and z. slope: [16, 3], zeros on first use: constant zeros are not written."""
    if degree > 0:
        slope[1, 1], slope[2, 2], slope[3, 0] = -_C1, _C1, -_C1
    if degree > 1:
        slope[4, 0], slope[4, 1], slope[4, 2] = _C20 * y, _C20 * x, np.float32(0.0)
        slope[5, 0], slope[5, 1], slope[5, 2] = 0.0, -_C21 * z, -_C21 * y
        slope[6, 0], slope[6, 1], slope[6, 2] = -_2 * _C22 * x, -_2 * _C22 * y, _4 * _C22 * z
        slope[7, 0], slope[7, 1], slope[7, 2] = -_C23 * z, 0.0, -_C23 * x
        slope[8, 0], slope[8, 1], slope[8, 2] = _2 * _C24 * x, -_2 * _C24 * y, 0.0
    if degree > 2:
        xx, yy, zz = x * x, y * y, z * z
        slope[9, 0], slope[9, 1], slope[9, 2] = -_6 * _C30 * x * y, -_3 * _C30 * (xx - yy), 0.0
        slope[10, 0], slope[10, 1], slope[10, 2] = _C31 * y * z, _C31 * x * z, _C31 * x * y
        slope[11, 0] = _2 * _C32 * x * y
        slope[11, 1] = -_C32 * (_4 * zz - xx - _3 * yy)
        slope[11, 2] = -_8 * _C32 * y * z
        slope[12, 0], slope[12, 1] = -_6 * _C33 * x * z, -_6 * _C33 * y * z
        slope[12, 2] = _3 * _C33 * (_2 * zz - xx - yy)
        slope[13, 0] = -_C34 * (_4 * zz - _3 * xx - yy)
        slope[13, 1] = _2 * _C34 * x * y
        slope[13, 2] = -_8 * _C34 * x * z
        slope[14, 0], slope[14, 1], slope[14, 2] = _2 * _C35 * x * z, -_2 * _C35 * y * z, _C35 * (xx - yy)
        slope[15, 0], slope[15, 1], slope[15, 2] = -_3 * _C36 * (xx - yy), _6 * _C36 * x * y, 0.0


@nb.njit(**OPTIONS)
def _rotation(w, x, y, z):
    """Rotation matrix of a unit quaternion, row by row."""
    return (
        _1 - _2 * (y * y + z * z),
        _2 * (x * y - w * z),
        _2 * (x * z + w * y),
        _2 * (x * y + w * z),
        _1 - _2 * (x * x + z * z),
        _2 * (y * z - w * x),
        _2 * (x * z - w * y),
        _2 * (y * z + w * x),
        _1 - _2 * (x * x + y * y),
    )


@nb.njit(**OPTIONS)
def _clamped(ratio, focal, center, size):
    """x/z (or y/z) moved to the picture and its margin. Returns it and whether it stayed."""
    margin = _MARGIN * _HALF * size / focal
    low, high = -center / focal - margin, (size - center) / focal + margin
    return min(max(ratio, low), high), (ratio >= low) & (ratio <= high)


@nb.njit(parallel=True, **OPTIONS)
def forward(
    means, log_scales, quats, opacity_logits, sh0, shn, viewmat, position, lens, width, height, near, antialias, degree, splats, visible
):
    """Projects gaussians.

    Args:
        means, log_scales: [N, 3] float32. quats: [N, 4] wxyz, any length but 0. opacity_logits: [N]. sh0: [N, 3]. shn: [N, K-1, 3].
        viewmat: [4, 4] float32 world-to-camera, OpenCV. position: [3], the camera's place. lens: [4], fx fy cx cy in px.
        width, height: px. near: distance in front of which nothing is drawn.
        antialias: whether the opacity is compensated. degree: of the harmonics used, (degree+1)^2 <= K.
        splats: [N, COLUMNS] float32, receives the ellipses. visible: [N] bool, receives which of them reach the picture.
    """
    count = means.shape[0]
    coefficients = (degree + 1) * (degree + 1)
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    for chunk in nb.prange((count + _CHUNK - 1) // _CHUNK):
        basis = np.empty(16, np.float32)
        for i in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, count)):
            visible[i] = False
            mx, my, mz = means[i, 0], means[i, 1], means[i, 2]
            x = viewmat[0, 0] * mx + viewmat[0, 1] * my + viewmat[0, 2] * mz + viewmat[0, 3]
            y = viewmat[1, 0] * mx + viewmat[1, 1] * my + viewmat[1, 2] * mz + viewmat[1, 3]
            z = viewmat[2, 0] * mx + viewmat[2, 1] * my + viewmat[2, 2] * mz + viewmat[2, 3]
            if not z > near:
                continue
            opacity = _1 / (_1 + exp(-opacity_logits[i]))
            if opacity < np.float32(1.0 / 255.0):
                continue
            v, _ = _screen_axes(log_scales, quats, viewmat, i, x, y, z, fx, fy, cx, cy, width, height)
            a = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
            b = v[0] * v[3] + v[1] * v[4] + v[2] * v[5]
            c = v[3] * v[3] + v[4] * v[4] + v[5] * v[5]
            sharp = _sharp_det(v)
            det = sharp + BLUR * (a + c) + BLUR * BLUR
            a, c = a + BLUR, c + BLUR
            if antialias:
                opacity *= math.sqrt(max(sharp / det, _LEAST_RATIO))
            extent = _2 * math.log(np.float32(255.0) * opacity)
            if not (extent > np.float32(0.0)) or not (det > np.float32(0.0)) or det > np.float32(1e18):
                continue
            sx, sy = fx * x / z + cx, fy * y / z + cy
            half_x, half_y = math.sqrt(extent * a), math.sqrt(extent * c)
            if sx + half_x < 0 or sx - half_x > width or sy + half_y < 0 or sy - half_y > height:
                continue
            splats[i, X], splats[i, Y] = sx, sy
            splats[i, CONIC_A], splats[i, CONIC_B], splats[i, CONIC_C] = c / det, -b / det, a / det
            splats[i, OPACITY], splats[i, DEPTH], splats[i, EXTENT] = opacity, z, extent
            dx, dy, dz = mx - position[0], my - position[1], mz - position[2]
            scale = _1 / math.sqrt(dx * dx + dy * dy + dz * dz)
            sh_basis(degree, dx * scale, dy * scale, dz * scale, basis)
            for channel in range(3):
                color = basis[0] * sh0[i, channel] + _HALF
                for k in range(1, coefficients):
                    color += basis[k] * shn[i, k - 1, channel]
                splats[i, RED + channel] = max(color, np.float32(0.0))
            visible[i] = True


@nb.njit(**OPTIONS)
def _sharp_det(v):
    """|V Vᵀ| as the squared cross product of V's rows: ac - b^2 would lose all digits for a thin gaussian."""
    x, y, z = v[1] * v[5] - v[2] * v[4], v[2] * v[3] - v[0] * v[5], v[0] * v[4] - v[1] * v[3]
    return x * x + y * y + z * z


@nb.njit(**OPTIONS)
def _projected_axes(viewmat, gx, gy, ux, uy):
    """J W row by row, with J = [[gx, 0, -gx ux], [0, gy, -gy uy]]: where the world's axes point on the screen."""
    return (
        gx * (viewmat[0, 0] - ux * viewmat[2, 0]),
        gx * (viewmat[0, 1] - ux * viewmat[2, 1]),
        gx * (viewmat[0, 2] - ux * viewmat[2, 2]),
        gy * (viewmat[1, 0] - uy * viewmat[2, 0]),
        gy * (viewmat[1, 1] - uy * viewmat[2, 1]),
        gy * (viewmat[1, 2] - uy * viewmat[2, 2]),
    )


@nb.njit(**OPTIONS)
def _screen_axes(log_scales, quats, viewmat, i, x, y, z, fx, fy, cx, cy, width, height):
    """V = J W R S row by row, and J W R; their columns are the gaussian's axes on the screen."""
    w, qx, qy, qz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
    norm = _1 / math.sqrt(w * w + qx * qx + qy * qy + qz * qz)
    r = _rotation(w * norm, qx * norm, qy * norm, qz * norm)
    ux, _ = _clamped(x / z, fx, cx, np.float32(width))
    uy, _ = _clamped(y / z, fy, cy, np.float32(height))
    j0, j1, j2, j3, j4, j5 = _projected_axes(viewmat, fx / z, fy / z, ux, uy)
    t = (
        np.float32(j0 * r[0] + j1 * r[3] + j2 * r[6]),
        np.float32(j0 * r[1] + j1 * r[4] + j2 * r[7]),
        np.float32(j0 * r[2] + j1 * r[5] + j2 * r[8]),
        np.float32(j3 * r[0] + j4 * r[3] + j5 * r[6]),
        np.float32(j3 * r[1] + j4 * r[4] + j5 * r[7]),
        np.float32(j3 * r[2] + j4 * r[5] + j5 * r[8]),
    )
    s0, s1, s2 = exp(log_scales[i, 0]), exp(log_scales[i, 1]), exp(log_scales[i, 2])
    v = (t[0] * s0, t[1] * s1, t[2] * s2, t[3] * s0, t[4] * s1, t[5] * s2)
    return v, t


@nb.njit(parallel=True, **OPTIONS)
def backward(
    means,
    log_scales,
    quats,
    opacity_logits,
    sh0,
    shn,
    viewmat,
    position,
    lens,
    width,
    height,
    antialias,
    degree,
    splats,
    rank_of,
    v_rows,
    v_means,
    v_log_scales,
    v_quats,
    v_opacity_logits,
    v_sh0,
    v_shn,
):
    """Gradients of :func:`forward`, written for the visible gaussians only.

    Args:
        means … splats: as for forward. rank_of: [N] int32, place of each gaussian in depth order, -1 where it is not visible.
        v_rows: [M, 9] float32, cotangents of x, y, conic a, b, c, opacity, red, green, blue in that order.
        v_means … v_shn: like the parameters, receive their gradients.
    """
    count = means.shape[0]
    coefficients = (degree + 1) * (degree + 1)
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    for chunk in nb.prange((count + _CHUNK - 1) // _CHUNK):
        basis = np.empty(16, np.float32)
        slope = np.zeros((16, 3), np.float32)
        v_color = np.empty(3, np.float32)
        # In the order of memory, because a gaussian's parameters fill a dozen cache lines and its gradient on the screen only one.
        for i in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, count)):
            rank = rank_of[i]
            if rank < 0:
                continue
            mx, my, mz = means[i, 0], means[i, 1], means[i, 2]
            x = viewmat[0, 0] * mx + viewmat[0, 1] * my + viewmat[0, 2] * mz + viewmat[0, 3]
            y = viewmat[1, 0] * mx + viewmat[1, 1] * my + viewmat[1, 2] * mz + viewmat[1, 3]
            z = viewmat[2, 0] * mx + viewmat[2, 1] * my + viewmat[2, 2] * mz + viewmat[2, 3]
            v, t = _screen_axes(log_scales, quats, viewmat, i, x, y, z, fx, fy, cx, cy, width, height)

            # Conic K = C^-1: dL/dC = -K dL/dK K.
            ka, kb, kc = splats[i, CONIC_A], splats[i, CONIC_B], splats[i, CONIC_C]
            va, vb, vc = v_rows[rank, 2], _HALF * v_rows[rank, 3], v_rows[rank, 4]
            m00, m01 = va * ka + vb * kb, va * kb + vb * kc
            m10, m11 = vb * ka + vc * kb, vb * kb + vc * kc
            g_a = -(ka * m00 + kb * m10)
            g_b = -(ka * m01 + kb * m11)
            g_c = -(kb * m01 + kc * m11)

            v_opacity = v_rows[rank, 5]
            opacity = _1 / (_1 + exp(-opacity_logits[i]))
            compensation = _1
            if antialias:
                a = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
                b = v[0] * v[3] + v[1] * v[4] + v[2] * v[5]
                c = v[3] * v[3] + v[4] * v[4] + v[5] * v[5]
                sharp = _sharp_det(v)
                det = sharp + BLUR * (a + c) + BLUR * BLUR
                ratio = sharp / det
                compensation = math.sqrt(max(ratio, _LEAST_RATIO))
                if ratio > _LEAST_RATIO:
                    # d sqrt(r) = (adj(C0) / |C1| - r C1^-1) : dC / (2 sqrt(r))
                    factor = v_opacity * opacity * _HALF / compensation
                    g_a += factor * (c / det - ratio * ka)
                    g_b += factor * (-b / det - ratio * kb)
                    g_c += factor * (a / det - ratio * kc)
            v_opacity_logits[i] = v_opacity * compensation * opacity * (_1 - opacity)

            # C = V V^T: dL/dV = 2 G V.
            w0 = _2 * (g_a * v[0] + g_b * v[3])
            w1 = _2 * (g_a * v[1] + g_b * v[4])
            w2 = _2 * (g_a * v[2] + g_b * v[5])
            w3 = _2 * (g_b * v[0] + g_c * v[3])
            w4 = _2 * (g_b * v[1] + g_c * v[4])
            w5 = _2 * (g_b * v[2] + g_c * v[5])
            v_log_scales[i, 0] = w0 * v[0] + w3 * v[3]
            v_log_scales[i, 1] = w1 * v[1] + w4 * v[4]
            v_log_scales[i, 2] = w2 * v[2] + w5 * v[5]
            s0, s1, s2 = exp(log_scales[i, 0]), exp(log_scales[i, 1]), exp(log_scales[i, 2])
            # From here on w = dL/d(J W R).
            w0, w1, w2, w3, w4, w5 = w0 * s0, w1 * s1, w2 * s2, w3 * s0, w4 * s1, w5 * s2

            qw, qx, qy, qz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
            norm = _1 / math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz)
            qw, qx, qy, qz = qw * norm, qx * norm, qy * norm, qz * norm
            r = _rotation(qw, qx, qy, qz)
            ux, inside_x = _clamped(x / z, fx, cx, np.float32(width))
            uy, inside_y = _clamped(y / z, fy, cy, np.float32(height))
            gx, gy = fx / z, fy / z
            j0, j1, j2, j3, j4, j5 = _projected_axes(viewmat, gx, gy, ux, uy)
            # dL/dR = (J W)^T w
            r00, r01, r02 = j0 * w0 + j3 * w3, j0 * w1 + j3 * w4, j0 * w2 + j3 * w5
            r10, r11, r12 = j1 * w0 + j4 * w3, j1 * w1 + j4 * w4, j1 * w2 + j4 * w5
            r20, r21, r22 = j2 * w0 + j5 * w3, j2 * w1 + j5 * w4, j2 * w2 + j5 * w5
            nw = _2 * (qx * (r21 - r12) + qy * (r02 - r20) + qz * (r10 - r01))
            nx = _2 * (qy * (r01 + r10) + qz * (r02 + r20) + qw * (r21 - r12) - _2 * qx * (r11 + r22))
            ny = _2 * (qx * (r01 + r10) + qz * (r12 + r21) + qw * (r02 - r20) - _2 * qy * (r00 + r22))
            nz = _2 * (qx * (r02 + r20) + qy * (r12 + r21) + qw * (r10 - r01) - _2 * qz * (r00 + r11))
            along = nw * qw + nx * qx + ny * qy + nz * qz
            v_quats[i, 0] = (nw - along * qw) * norm
            v_quats[i, 1] = (nx - along * qx) * norm
            v_quats[i, 2] = (ny - along * qy) * norm
            v_quats[i, 3] = (nz - along * qz) * norm

            # dL/d(J W) = w R^T, then dL/dJ = that W^T; J's four entries depend on z and the clamped ratios.
            p0 = w0 * r[0] + w1 * r[1] + w2 * r[2]
            p1 = w0 * r[3] + w1 * r[4] + w2 * r[5]
            p2 = w0 * r[6] + w1 * r[7] + w2 * r[8]
            p3 = w3 * r[0] + w4 * r[1] + w5 * r[2]
            p4 = w3 * r[3] + w4 * r[4] + w5 * r[5]
            p5 = w3 * r[6] + w4 * r[7] + w5 * r[8]
            v_j00 = p0 * viewmat[0, 0] + p1 * viewmat[0, 1] + p2 * viewmat[0, 2]
            v_j02 = p0 * viewmat[2, 0] + p1 * viewmat[2, 1] + p2 * viewmat[2, 2]
            v_j11 = p3 * viewmat[1, 0] + p4 * viewmat[1, 1] + p5 * viewmat[1, 2]
            v_j12 = p3 * viewmat[2, 0] + p4 * viewmat[2, 1] + p5 * viewmat[2, 2]
            v_ux, v_uy = -gx * v_j02, -gy * v_j12
            v_z = (-gx * v_j00 + gx * ux * v_j02 - gy * v_j11 + gy * uy * v_j12) / z
            v_x = v_rows[rank, 0] * gx
            v_y = v_rows[rank, 1] * gy
            v_z -= (v_x * x + v_y * y) / z
            if inside_x:
                v_x += v_ux / z
                v_z -= v_ux * x / (z * z)
            if inside_y:
                v_y += v_uy / z
                v_z -= v_uy * y / (z * z)
            v_mx = viewmat[0, 0] * v_x + viewmat[1, 0] * v_y + viewmat[2, 0] * v_z
            v_my = viewmat[0, 1] * v_x + viewmat[1, 1] * v_y + viewmat[2, 1] * v_z
            v_mz = viewmat[0, 2] * v_x + viewmat[1, 2] * v_y + viewmat[2, 2] * v_z

            # Colour: none flows where it was cut off at 0.
            v_color[0] = v_rows[rank, 6] if splats[i, RED] > np.float32(0.0) else np.float32(0.0)
            v_color[1] = v_rows[rank, 7] if splats[i, GREEN] > np.float32(0.0) else np.float32(0.0)
            v_color[2] = v_rows[rank, 8] if splats[i, BLUE] > np.float32(0.0) else np.float32(0.0)
            dx, dy, dz = mx - position[0], my - position[1], mz - position[2]
            scale = _1 / math.sqrt(dx * dx + dy * dy + dz * dz)
            dx, dy, dz = dx * scale, dy * scale, dz * scale
            sh_basis(degree, dx, dy, dz, basis)
            for channel in range(3):
                v_sh0[i, channel] = basis[0] * v_color[channel]
            if degree > 0:
                _sh_slope(degree, dx, dy, dz, slope)
                v_dx = v_dy = v_dz = np.float32(0.0)
                for k in range(1, coefficients):
                    value = np.float32(0.0)
                    for channel in range(3):
                        v_shn[i, k - 1, channel] = basis[k] * v_color[channel]
                        value += shn[i, k - 1, channel] * v_color[channel]
                    v_dx += value * slope[k, 0]
                    v_dy += value * slope[k, 1]
                    v_dz += value * slope[k, 2]
                along = v_dx * dx + v_dy * dy + v_dz * dz
                v_mx += (v_dx - along * dx) * scale
                v_my += (v_dy - along * dy) * scale
                v_mz += (v_dz - along * dz) * scale
            v_means[i, 0], v_means[i, 1], v_means[i, 2] = v_mx, v_my, v_mz
