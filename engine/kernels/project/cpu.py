# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection of gaussians to ellipses on the screen with their colour, forward and backward, sixteen gaussians at a time.

EWA splatting as in Zwicker et al. 2001 and Kerbl et al. 2023: with V = J W R S (2×3; J the projection's Jacobian, W the view's rotation,
R and S the gaussian's), the covariance on the screen is V Vᵀ + BLUR I. Opacity compensation (Yu et al. 2024) scales the opacity by
sqrt(|V Vᵀ| / |V Vᵀ + BLUR I|).

Gaussians come as a table [ROWS + 3 (K-1), C]: a row for each number, a column for each gaussian, C a multiple of sixteen. Columns that fill
up the last sixteen are nobody's: their opacity lies below what is drawn.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import simd
from ..adam.cpu import adam
from ..math import OPTIONS, aligned
from ..rasterize.cpu import V_COLUMNS
from ..tiles.cpu import BLUE, DEPTH, EXTENT, GREEN, OPACITY, PRECISION_X, PRECISION_Y, RED, SLOPE, X, Y
from .harmonics import put, sh_basis, sh_slopes

# Rows of the table. The harmonics follow the base colour, coefficient by coefficient, red, green and blue.
MEANS, LOG_SCALES, QUATS, LOGITS, COLORS = 0, 3, 6, 10, 11
ROWS = 14

# Variance added on the screen, px^2, so that no gaussian falls between pixels.
BLUR = np.float32(0.3)
# Floor of the compensation's square, below which a gaussian is so thin that its derivative has no use.
_LEAST_RATIO = np.float32(2.5e-5)
# The Jacobian is taken no further outside the picture than this share of its half size; beyond, it would blow up.
_MARGIN = np.float32(0.3)
# Vectors of sixteen that a thread takes at a time.
_CHUNK = 32

_LEAST_OPACITY = np.float32(1.0 / 255.0)
_MOST_DET = np.float32(1e18)
_HUGE = np.float32(1e30)

# A plain Python number would make the arithmetic around it double.
_0, _1, _2 = (np.float32(value) for value in (0, 1, 2))
_HALF = np.float32(0.5)


@nb.njit(**OPTIONS)
def rotation(w, x, y, z):
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
def view_bounds(focal, center, size):
    """Least and greatest x/z (or y/z) for which the Jacobian is taken where the gaussian is."""
    margin = _MARGIN * _HALF * size / focal
    return -center / focal - margin, (size - center) / focal + margin


@nb.njit(**OPTIONS)
def row(table, number, column):
    """Sixteen numbers of one row."""
    return simd.load(table, number * table.shape[1] + column)


@nb.njit(**OPTIONS)
def placed(table, viewmat, column):
    """Means in the world and in the camera's frame."""
    mx, my, mz = row(table, MEANS, column), row(table, MEANS + 1, column), row(table, MEANS + 2, column)
    return (
        mx,
        my,
        mz,
        viewmat[0, 0] * mx + viewmat[0, 1] * my + viewmat[0, 2] * mz + viewmat[0, 3],
        viewmat[1, 0] * mx + viewmat[1, 1] * my + viewmat[1, 2] * mz + viewmat[1, 3],
        viewmat[2, 0] * mx + viewmat[2, 1] * my + viewmat[2, 2] * mz + viewmat[2, 3],
    )


@nb.njit(**OPTIONS)
def turned(table, column):
    """Unit quaternions, and what they were multiplied by."""
    w, x, y, z = (
        row(table, QUATS, column),
        row(table, QUATS + 1, column),
        row(table, QUATS + 2, column),
        row(table, QUATS + 3, column),
    )
    norm = _1 / simd.sqrt(w * w + x * x + y * y + z * z)
    return w * norm, x * norm, y * norm, z * norm, norm


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
def _on_axes(j, r):
    """J W R row by row."""
    return (
        j[0] * r[0] + j[1] * r[3] + j[2] * r[6],
        j[0] * r[1] + j[1] * r[4] + j[2] * r[7],
        j[0] * r[2] + j[1] * r[5] + j[2] * r[8],
        j[3] * r[0] + j[4] * r[3] + j[5] * r[6],
        j[3] * r[1] + j[4] * r[4] + j[5] * r[7],
        j[3] * r[2] + j[4] * r[5] + j[5] * r[8],
    )


@nb.njit(**OPTIONS)
def _cross(a0, a1, a2, b0, b1, b2):
    return a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0


@nb.njit(**OPTIONS)
def _covariance(v):
    """V Vᵀ as a, b, c, its determinant, and the cross product of V's rows.

    The determinant is the cross product's square: ac - b^2 would lose all digits of a thin gaussian.
    """
    a = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    b = v[0] * v[3] + v[1] * v[4] + v[2] * v[5]
    c = v[3] * v[3] + v[4] * v[4] + v[5] * v[5]
    cross = _cross(*v)
    return a, b, c, cross[0] * cross[0] + cross[1] * cross[1] + cross[2] * cross[2], cross


@nb.njit(parallel=True, **OPTIONS)
def forward(table, viewmat, position, lens, width, height, near, antialias, degree, splats, visible):
    """Projects gaussians.

    Args:
        table: [ROWS + 3 (K-1), C] float32 on a cache line's edge.
        viewmat: [4, 4] float32 world-to-camera, OpenCV. position: [3], the camera's place. lens: [4], fx fy cx cy in px.
        width, height: px. near: distance in front of which nothing is drawn.
        antialias: whether the opacity is compensated. degree: of the harmonics used, (degree+1)^2 <= K.
        splats: [C, COLUMNS] float32, receives the ellipses. visible: [C] bool, receives which of them reach the picture.
    """
    vectors = table.shape[1] // simd.WIDTH
    coefficients = (degree + 1) * (degree + 1)
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    w, h = np.float32(width), np.float32(height)
    low_x, high_x = view_bounds(fx, cx, w)
    low_y, high_y = view_bounds(fy, cy, h)
    for chunk in nb.prange((vectors + _CHUNK - 1) // _CHUNK):
        basis, made = aligned(16 * simd.WIDTH), aligned(splats.shape[1] * simd.WIDTH)
        for vector in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, vectors)):
            i = vector * simd.WIDTH
            mx, my, mz, x, y, z = placed(table, viewmat, i)
            logit = row(table, LOGITS, i)
            size = row(table, LOG_SCALES, i) + row(table, LOG_SCALES + 1, i) + row(table, LOG_SCALES + 2, i)
            opacity = _1 / (_1 + simd.exp(-logit))
            # The last two are false for what is not a number; elsewhere that shows in the determinant.
            seen = (z > near) & (opacity >= _LEAST_OPACITY) & (logit >= -_HUGE) & (size <= _HUGE)
            if not simd.any_of(seen):
                visible[i : i + simd.WIDTH] = False
                continue
            z = simd.where(seen, z, _1)
            qw, qx, qy, qz, _ = turned(table, i)
            gx, gy = fx / z, fy / z
            ux = simd.smaller(simd.larger(x / z, low_x), high_x)
            uy = simd.smaller(simd.larger(y / z, low_y), high_y)
            t = _on_axes(_projected_axes(viewmat, gx, gy, ux, uy), rotation(qw, qx, qy, qz))
            s0, s1, s2 = (
                simd.exp(row(table, LOG_SCALES, i)),
                simd.exp(row(table, LOG_SCALES + 1, i)),
                simd.exp(row(table, LOG_SCALES + 2, i)),
            )
            a, b, c, sharp, _ = _covariance((t[0] * s0, t[1] * s1, t[2] * s2, t[3] * s0, t[4] * s1, t[5] * s2))
            det = sharp + BLUR * (a + c) + BLUR * BLUR
            a, c = a + BLUR, c + BLUR
            if antialias:
                opacity = opacity * simd.sqrt(simd.larger(sharp / det, _LEAST_RATIO))
            drawn = seen & (opacity > _LEAST_OPACITY) & (det > _0) & (det <= _MOST_DET)
            extent = _2 * simd.log(simd.where(drawn, np.float32(255.0) * opacity, _1))
            sx, sy = gx * x + cx, gy * y + cy
            half_x, half_y = simd.sqrt(extent * a), simd.sqrt(extent * c)
            drawn = drawn & (extent > _0) & (sx + half_x >= _0) & (sx - half_x <= w) & (sy + half_y >= _0) & (sy - half_y <= h)
            if not simd.any_of(drawn):
                visible[i : i + simd.WIDTH] = False
                continue
            put(made, X, sx)
            put(made, Y, sy)
            put(made, PRECISION_X, _1 / a)
            put(made, SLOPE, b / a)
            put(made, PRECISION_Y, a / det)
            put(made, OPACITY, opacity)
            put(made, DEPTH, z)
            put(made, EXTENT, extent)
            dx, dy, dz = mx - position[0], my - position[1], mz - position[2]
            scale = _1 / simd.sqrt(dx * dx + dy * dy + dz * dz)
            sh_basis(degree, dx * scale, dy * scale, dz * scale, basis)
            red = green = blue = simd.broadcast(_HALF)
            for k in range(coefficients):
                value = simd.load(basis, simd.WIDTH * k)
                red = red + value * row(table, COLORS + 3 * k, i)
                green = green + value * row(table, COLORS + 3 * k + 1, i)
                blue = blue + value * row(table, COLORS + 3 * k + 2, i)
            put(made, RED, simd.larger(red, _0))
            put(made, GREEN, simd.larger(green, _0))
            put(made, BLUE, simd.larger(blue, _0))
            # One color that is not finite would spoil the gradients of all gaussians in the same pixels.
            light = red + green + blue
            lanes = simd.bits(drawn & (light >= -_HUGE) & (light <= _HUGE))
            for lane in range(simd.WIDTH):
                visible[i + lane] = (lanes >> np.uint32(lane)) & np.uint32(1) != 0
                if visible[i + lane]:
                    for column in range(EXTENT + 1):
                        splats[i + lane, column] = made[column * simd.WIDTH + lane]


@nb.njit(**OPTIONS)
def _backward_vector(table, i, seen, viewmat, position, lens, bounds, antialias, degree, v, basis, value, gradient):
    """Gradients of sixteen gaussians.

    Args:
        table … degree: as for forward; i: the first's column; seen: mask of those that are in the picture; bounds: of x/z and y/z.
        v: [10 * 16], cotangents of x, y, p_x, slope, p_y, opacity, red, green, blue, depth. basis, value: [16 * 16] scratch.
        gradient: [>= 11 + 3 (degree+1)^2, 16] receives the gradients, 0 where not seen.
    """
    fx, fy = lens[0], lens[1]
    mx, my, mz, x, y, z = placed(table, viewmat, i)
    z = simd.where(seen, z, _1)
    qw, qx, qy, qz, norm = turned(table, i)
    r = rotation(qw, qx, qy, qz)
    s0, s1, s2 = (
        simd.exp(row(table, LOG_SCALES, i)),
        simd.exp(row(table, LOG_SCALES + 1, i)),
        simd.exp(row(table, LOG_SCALES + 2, i)),
    )
    gx, gy = fx / z, fy / z
    ratio_x, ratio_y = x / z, y / z
    ux = simd.smaller(simd.larger(ratio_x, bounds[0]), bounds[1])
    uy = simd.smaller(simd.larger(ratio_y, bounds[2]), bounds[3])
    j = _projected_axes(viewmat, gx, gy, ux, uy)
    t = _on_axes(j, r)
    n = (t[0] * s0, t[1] * s1, t[2] * s2, t[3] * s0, t[4] * s1, t[5] * s2)
    a, b, c, sharp, cross = _covariance(n)
    over = _1 / (sharp + BLUR * (a + c) + BLUR * BLUR)

    # With X and Y for V's rows: p_x = 1 / (X X + BLUR), slope = p_x X Y, 1 / p_y = (Y Y + BLUR) - slope X Y. Of these, 1 / p_y has the
    # derivatives 2 M by Y and -2 slope M by X, with M = Y - slope X, which is (X x Y) x X + BLUR Y, times p_x, without cancellation.
    p_x = _1 / (a + BLUR)
    slope, p_y = b * p_x, (a + BLUR) * over
    k0, k1, k2 = _cross(*cross, n[0], n[1], n[2])
    k3, k4, k5 = _cross(n[3], n[4], n[5], *cross)
    by_x, by_slope, by_y = -_2 * p_x * p_x * simd.load(v, 32), p_x * simd.load(v, 48), -_2 * p_y * p_y * simd.load(v, 64)
    along_x, along_m = by_x - slope * by_slope, by_slope - slope * by_y
    m0, m1, m2 = p_x * (k0 + BLUR * n[3]), p_x * (k1 + BLUR * n[4]), p_x * (k2 + BLUR * n[5])
    w0, w1, w2 = along_x * n[0] + along_m * m0, along_x * n[1] + along_m * m1, along_x * n[2] + along_m * m2
    w3, w4, w5 = by_slope * n[0] + by_y * m0, by_slope * n[1] + by_y * m1, by_slope * n[2] + by_y * m2

    opacity = _1 / (_1 + simd.exp(-row(table, LOGITS, i)))
    v_opacity = simd.load(v, 80)
    if antialias:
        ratio = sharp * over
        compensation = simd.sqrt(simd.larger(ratio, _LEAST_RATIO))
        # The ratio is |X x Y|^2 over the determinant, which adds BLUR (X X + Y Y) + BLUR^2 to that.
        factor = simd.where(ratio > _LEAST_RATIO, v_opacity * opacity * over / compensation, _0)
        by_cross, by_rows = factor * (_1 - ratio), -BLUR * factor * ratio
        w0, w1, w2 = w0 + by_cross * k3 + by_rows * n[0], w1 + by_cross * k4 + by_rows * n[1], w2 + by_cross * k5 + by_rows * n[2]
        w3, w4, w5 = w3 + by_cross * k0 + by_rows * n[3], w4 + by_cross * k1 + by_rows * n[4], w5 + by_cross * k2 + by_rows * n[5]
        v_opacity = v_opacity * compensation
    simd.store(gradient, 16 * LOGITS, simd.where(seen, v_opacity * opacity * (_1 - opacity), _0))

    simd.store(gradient, 16 * LOG_SCALES, simd.where(seen, w0 * n[0] + w3 * n[3], _0))
    simd.store(gradient, 16 * (LOG_SCALES + 1), simd.where(seen, w1 * n[1] + w4 * n[4], _0))
    simd.store(gradient, 16 * (LOG_SCALES + 2), simd.where(seen, w2 * n[2] + w5 * n[5], _0))
    # From here on w = dL/d(J W R).
    w0, w1, w2, w3, w4, w5 = w0 * s0, w1 * s1, w2 * s2, w3 * s0, w4 * s1, w5 * s2

    # dL/dR = (J W)^T w
    r00, r01, r02 = j[0] * w0 + j[3] * w3, j[0] * w1 + j[3] * w4, j[0] * w2 + j[3] * w5
    r10, r11, r12 = j[1] * w0 + j[4] * w3, j[1] * w1 + j[4] * w4, j[1] * w2 + j[4] * w5
    r20, r21, r22 = j[2] * w0 + j[5] * w3, j[2] * w1 + j[5] * w4, j[2] * w2 + j[5] * w5
    nw = _2 * (qx * (r21 - r12) + qy * (r02 - r20) + qz * (r10 - r01))
    nx = _2 * (qy * (r01 + r10) + qz * (r02 + r20) + qw * (r21 - r12) - _2 * qx * (r11 + r22))
    ny = _2 * (qx * (r01 + r10) + qz * (r12 + r21) + qw * (r02 - r20) - _2 * qy * (r00 + r22))
    nz = _2 * (qx * (r02 + r20) + qy * (r12 + r21) + qw * (r10 - r01) - _2 * qz * (r00 + r11))
    along = nw * qw + nx * qx + ny * qy + nz * qz
    simd.store(gradient, 16 * QUATS, simd.where(seen, (nw - along * qw) * norm, _0))
    simd.store(gradient, 16 * (QUATS + 1), simd.where(seen, (nx - along * qx) * norm, _0))
    simd.store(gradient, 16 * (QUATS + 2), simd.where(seen, (ny - along * qy) * norm, _0))
    simd.store(gradient, 16 * (QUATS + 3), simd.where(seen, (nz - along * qz) * norm, _0))

    # dL/d(J W) = w R^T, then dL/dJ = that W^T; J's four entries depend on z and the clamped ratios.
    p0, p1, p2 = w0 * r[0] + w1 * r[1] + w2 * r[2], w0 * r[3] + w1 * r[4] + w2 * r[5], w0 * r[6] + w1 * r[7] + w2 * r[8]
    p3, p4, p5 = w3 * r[0] + w4 * r[1] + w5 * r[2], w3 * r[3] + w4 * r[4] + w5 * r[5], w3 * r[6] + w4 * r[7] + w5 * r[8]
    v_j00 = p0 * viewmat[0, 0] + p1 * viewmat[0, 1] + p2 * viewmat[0, 2]
    v_j02 = p0 * viewmat[2, 0] + p1 * viewmat[2, 1] + p2 * viewmat[2, 2]
    v_j11 = p3 * viewmat[1, 0] + p4 * viewmat[1, 1] + p5 * viewmat[1, 2]
    v_j12 = p3 * viewmat[2, 0] + p4 * viewmat[2, 1] + p5 * viewmat[2, 2]
    near = _1 / z
    v_x, v_y = simd.load(v, 0) * gx, simd.load(v, 16) * gy
    v_z = simd.load(v, 144) + near * (gx * (ux * v_j02 - v_j00) + gy * (uy * v_j12 - v_j11) - v_x * x - v_y * y)
    v_ux = simd.where((ratio_x >= bounds[0]) & (ratio_x <= bounds[1]), -gx * v_j02 * near, _0)
    v_uy = simd.where((ratio_y >= bounds[2]) & (ratio_y <= bounds[3]), -gy * v_j12 * near, _0)
    v_z = v_z - (v_ux * x + v_uy * y) * near
    v_x, v_y = v_x + v_ux, v_y + v_uy
    v_mx = viewmat[0, 0] * v_x + viewmat[1, 0] * v_y + viewmat[2, 0] * v_z
    v_my = viewmat[0, 1] * v_x + viewmat[1, 1] * v_y + viewmat[2, 1] * v_z
    v_mz = viewmat[0, 2] * v_x + viewmat[1, 2] * v_y + viewmat[2, 2] * v_z

    dx, dy, dz = mx - position[0], my - position[1], mz - position[2]
    scale = _1 / simd.sqrt(dx * dx + dy * dy + dz * dz)
    dx, dy, dz = dx * scale, dy * scale, dz * scale
    sh_basis(degree, dx, dy, dz, basis)
    coefficients = (degree + 1) * (degree + 1)
    # None flows where a colour was cut off at 0; it is summed up again, which is faster than to keep it.
    red = green = blue = simd.broadcast(_HALF)
    for k in range(coefficients):
        weight = simd.load(basis, 16 * k)
        red = red + weight * row(table, COLORS + 3 * k, i)
        green = green + weight * row(table, COLORS + 3 * k + 1, i)
        blue = blue + weight * row(table, COLORS + 3 * k + 2, i)
    v_red = simd.where(seen & (red > _0), simd.load(v, 96), _0)
    v_green = simd.where(seen & (green > _0), simd.load(v, 112), _0)
    v_blue = simd.where(seen & (blue > _0), simd.load(v, 128), _0)
    for k in range(coefficients):
        weight = simd.where(seen, simd.load(basis, 16 * k), _0)
        simd.store(gradient, 16 * (COLORS + 3 * k), weight * v_red)
        simd.store(gradient, 16 * (COLORS + 3 * k + 1), weight * v_green)
        simd.store(gradient, 16 * (COLORS + 3 * k + 2), weight * v_blue)
        here = v_red * row(table, COLORS + 3 * k, i) + v_green * row(table, COLORS + 3 * k + 1, i)
        simd.store(value, 16 * k, here + v_blue * row(table, COLORS + 3 * k + 2, i))
    if degree > 0:
        v_dx, v_dy, v_dz = sh_slopes(degree, dx, dy, dz, value)
        along = v_dx * dx + v_dy * dy + v_dz * dz
        v_mx = v_mx + (v_dx - along * dx) * scale
        v_my = v_my + (v_dy - along * dy) * scale
        v_mz = v_mz + (v_dz - along * dz) * scale
    simd.store(gradient, 16 * MEANS, simd.where(seen, v_mx, _0))
    simd.store(gradient, 16 * (MEANS + 1), simd.where(seen, v_my, _0))
    simd.store(gradient, 16 * (MEANS + 2), simd.where(seen, v_mz, _0))


@nb.njit(**OPTIONS)
def _take(rank_of, v_rows, i, v):
    """Brings the cotangents of sixteen gaussians side by side. Returns the mask of those that are in the picture."""
    for lane in range(simd.WIDTH):
        rank = rank_of[i + lane]
        v[10 * simd.WIDTH + lane] = np.float32(rank)
        for k in range(10):
            v[k * simd.WIDTH + lane] = v_rows[rank, k] if rank >= 0 else _0
    return simd.load(v, 10 * simd.WIDTH) >= _0


@nb.njit(**OPTIONS)
def _add_turns(rank_of, v_rows, i, gradient):
    """Adds the cotangents of sixteen quaternions that a loss has of its own, where v_rows has columns for them."""
    for k in range(v_rows.shape[1] - V_COLUMNS):
        for lane in range(simd.WIDTH):
            rank = rank_of[i + lane]
            if rank >= 0:
                gradient[(QUATS + k) * simd.WIDTH + lane] += v_rows[rank, V_COLUMNS + k]


@nb.njit(parallel=True, **OPTIONS)
def backward(table, viewmat, position, lens, width, height, antialias, degree, rank_of, v_rows, gradients):
    """Gradients of :func:`forward`, 0 for gaussians that are not in the picture.

    Args:
        table … degree: as for forward. rank_of: [C] int32, place of each gaussian in depth order, -1 where it is not visible.
        v_rows: [M, 10 or more] float32, cotangents of x, y, p_x, slope, p_y, opacity, red, green, blue, depth in that order; four columns
            beyond V_COLUMNS are further ones of the quaternions.
        gradients: like the table, receives the gradients; rows of higher harmonics than ``degree`` are left as they are.
    """
    count = 11 + 3 * (degree + 1) * (degree + 1)
    vectors = table.shape[1] // simd.WIDTH
    bounds = view_bounds(lens[0], lens[2], np.float32(width)) + view_bounds(lens[1], lens[3], np.float32(height))
    for chunk in nb.prange((vectors + _CHUNK - 1) // _CHUNK):
        v, basis, value, gradient = aligned(11 * 16), aligned(16 * 16), aligned(16 * 16), aligned(59 * 16)
        for vector in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, vectors)):
            i = vector * simd.WIDTH
            seen = _take(rank_of, v_rows, i, v)
            _backward_vector(table, i, seen, viewmat, position, lens, bounds, antialias, degree, v, basis, value, gradient)
            _add_turns(rank_of, v_rows, i, gradient)
            for k in range(count):
                simd.store(gradients, k * table.shape[1] + i, simd.load(gradient, 16 * k))


@nb.njit(parallel=True, **OPTIONS)
def backward_and_step(
    table,
    viewmat,
    position,
    lens,
    width,
    height,
    antialias,
    degree,
    rank_of,
    v_rows,
    first,
    second,
    paces,
    correction2,
    time,
    done,
    opacity_weight,
    scale_weight,
):
    """:func:`backward` and a step of Adam in one pass: a gradient is used while it is at hand and never written.

    Vectors of which no gaussian is in the picture are left owing the step (kernels/adam/deferred), unless a weight gives each a gradient.

    Args:
        table … v_rows: as for backward; the table is updated in place.
        first, second: like the table, Adam's moments. paces: [rows of the table] float32 and correction2: see kernels/adam.
        time: number of the step, from 1. done: [C / 16] int32, the last step that each vector has made.
        opacity_weight, scale_weight: of what each gaussian's opacity, and sum of scales, adds to the loss.
    """
    count = 11 + 3 * (degree + 1) * (degree + 1)
    vectors = table.shape[1] // simd.WIDTH
    bounds = view_bounds(lens[0], lens[2], np.float32(width)) + view_bounds(lens[1], lens[3], np.float32(height))
    opacity_weight, scale_weight = np.float32(opacity_weight), np.float32(scale_weight)
    for chunk in nb.prange((vectors + _CHUNK - 1) // _CHUNK):
        v, basis, value, gradient = aligned(11 * 16), aligned(16 * 16), aligned(16 * 16), aligned(59 * 16)
        for vector in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, vectors)):
            i = vector * simd.WIDTH
            seen = _take(rank_of, v_rows, i, v)
            if simd.any_of(seen):
                _backward_vector(table, i, seen, viewmat, position, lens, bounds, antialias, degree, v, basis, value, gradient)
                _add_turns(rank_of, v_rows, i, gradient)
            elif opacity_weight > _0 or scale_weight > _0:
                gradient[:] = _0
            else:
                continue
            done[vector] = time
            if opacity_weight > _0:
                opacity = _1 / (_1 + simd.exp(-row(table, LOGITS, i)))
                simd.store(gradient, 16 * LOGITS, simd.load(gradient, 16 * LOGITS) + opacity_weight * opacity * (_1 - opacity))
            if scale_weight > _0:
                for k in range(LOG_SCALES, LOG_SCALES + 3):
                    simd.store(gradient, 16 * k, simd.load(gradient, 16 * k) + scale_weight * simd.exp(row(table, k, i)))
            for k in range(count):
                at = k * table.shape[1] + i
                value_, first_, second_ = adam(
                    simd.load(table, at),
                    simd.load(gradient, 16 * k),
                    simd.load(first, at),
                    simd.load(second, at),
                    paces[k],
                    correction2,
                )
                simd.store(table, at, value_)
                simd.store(first, at, first_)
                simd.store(second, at, second_)
