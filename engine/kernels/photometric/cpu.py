# SPDX-License-Identifier: GPL-3.0-or-later
"""The photometric loss, (1 - w) L1 + w (1 - SSIM), with its gradient, and the light it is measured in.

SSIM as in Wang et al. 2004: 11×11 Gaussian window, sigma 1.5, zeros outside. The window is separable, so the loss takes three passes over
rows: horizontal moments; vertical moments, SSIM and its slopes, horizontal slopes; vertical slopes and the gradient.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from ..math import OPTIONS, U, aligned, srgb_encode, srgb_encode_slope

RADIUS = 5
_C1 = np.float32(0.01**2)
_C2 = np.float32(0.03**2)

_window = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
_W0, _W1, _W2, _W3, _W4, _W5 = (np.float32(value) for value in (_window / _window.sum())[:6])

_code = np.arange(256) / 255
_LINEAR_OF_CODE = np.where(_code <= 0.04045, _code / 12.92, ((_code + 0.055) / 1.055) ** 2.4).astype(np.float32)


@nb.njit(parallel=True, **OPTIONS)
def compose_target(pixels, background, linear, target):
    """What a captured picture looks like over a background.

    Args:
        pixels: [H, W, 3 or 4] uint8, sRGB codes, straight alpha.
        background: [3] float32, in the light of blending.
        linear: whether alpha mixes linear light instead of codes.
        target: [3, H, W] float32, receives sRGB code values 0 to 1.
    """
    height, width, channels = pixels.shape
    for y in nb.prange(height):
        for c in range(3):
            for x in range(width):
                code = pixels[y, x, c]
                value = np.float32(code) * np.float32(1.0 / 255.0)
                if channels == 4 and pixels[y, x, 3] != 255:
                    alpha = np.float32(pixels[y, x, 3]) * np.float32(1.0 / 255.0)
                    rest = (np.float32(1.0) - alpha) * background[c]
                    value = srgb_encode(alpha * _LINEAR_OF_CODE[code] + rest) if linear else alpha * value + rest
                target[c, y, x] = value


@nb.njit(parallel=True, **OPTIONS)
def encode(image, display):
    """sRGB code values of a linear picture. image: [4, H, W]; display: [3, H, W], receives them."""
    _, height, width = image.shape
    for row in nb.prange(3 * height):
        c, y = row // height, row % height
        for x in range(U(width)):
            display[c, y, x] = srgb_encode(image[c, y, x])


@nb.njit(parallel=True, **OPTIONS)
def encode_backward(image, v_display, v_image):
    """Gradient of :func:`encode`. v_image: [4, H, W], whose first three planes are written."""
    _, height, width = image.shape
    for row in nb.prange(3 * height):
        c, y = row // height, row % height
        for x in range(U(width)):
            v_image[c, y, x] = v_display[c, y, x] * srgb_encode_slope(image[c, y, x])


@nb.njit(inline="always", **OPTIONS)
def _blur_row(row, at):
    """The window's horizontal sum around a padded row's element."""
    return (
        _W0 * (row[at] + row[at + U(10)])
        + _W1 * (row[at + U(1)] + row[at + U(9)])
        + _W2 * (row[at + U(2)] + row[at + U(8)])
        + _W3 * (row[at + U(3)] + row[at + U(7)])
        + _W4 * (row[at + U(4)] + row[at + U(6)])
        + _W5 * row[at + U(5)]
    )


@nb.njit(inline="always", **OPTIONS)
def _blur_column(plane, m, c, y, x):
    """The window's vertical sum; planes have RADIUS rows of zeros above and below."""
    return (
        _W0 * (plane[m, c, y, x] + plane[m, c, y + U(10), x])
        + _W1 * (plane[m, c, y + U(1), x] + plane[m, c, y + U(9), x])
        + _W2 * (plane[m, c, y + U(2), x] + plane[m, c, y + U(8), x])
        + _W3 * (plane[m, c, y + U(3), x] + plane[m, c, y + U(7), x])
        + _W4 * (plane[m, c, y + U(4), x] + plane[m, c, y + U(6), x])
        + _W5 * plane[m, c, y + U(5), x]
    )


@nb.njit(parallel=True, **OPTIONS)
def forward_backward(display, target, weight, moments, slopes, v_display, sums):
    """The loss and its gradient by the rendered picture.

    Args:
        display, target: [3, H, W] float32, sRGB code values.
        weight: of 1 - SSIM; the rest is L1.
        moments: [5, 3, H + 10, W] float32 scratch, zeros on first use. slopes: [3, 3, H + 10, W] likewise.
        v_display: [3, H, W] float32, receives the gradient.
        sums: [3 H, 2] float64, receives each row's sum of |difference| and of SSIM; their order of summation is the caller's.
    """
    _, height, width = display.shape
    weight = np.float32(weight)
    scale = np.float32(1.0 / (3.0 * height * width))
    stride = width + 2 * RADIUS
    for line in nb.prange(3 * height):
        c, y = line // height, line % height
        # One flat array for five padded rows (x, y, xx, yy, xy), so that LLVM sees that they do not overlap.
        rows = aligned(5 * stride)
        for j in range(5 * stride):
            rows[j] = np.float32(0.0)
        for i in range(U(width)):
            a, b = display[c, y, i], target[c, y, i]
            at = i + U(RADIUS)
            rows[at] = a
            rows[at + U(stride)] = b
            rows[at + U(2 * stride)] = a * a
            rows[at + U(3 * stride)] = b * b
            rows[at + U(4 * stride)] = a * b
        for m in range(5):
            for i in range(U(width)):
                moments[m, c, y + RADIUS, i] = _blur_row(rows, U(m * stride) + i)
    for line in nb.prange(3 * height):
        c, y = line // height, line % height
        # First the three padded rows of slopes, then the five blurred moments: flat again, for the same reason.
        rows = aligned(3 * stride + 5 * width)
        blurred = U(3 * stride)
        for j in range(3 * stride):
            rows[j] = np.float32(0.0)
        for m in range(5):
            for i in range(U(width)):
                rows[blurred + U(m * width) + i] = _blur_column(moments, m, c, U(y), i)
        total_difference = total_similarity = np.float32(0.0)
        for i in range(U(width)):
            at = blurred + i
            mean_a, mean_b = rows[at], rows[at + U(width)]
            a1 = np.float32(2.0) * mean_a * mean_b + _C1
            a2 = np.float32(2.0) * (rows[at + U(4 * width)] - mean_a * mean_b) + _C2
            b1 = mean_a * mean_a + mean_b * mean_b + _C1
            b2 = rows[at + U(2 * width)] + rows[at + U(3 * width)] - mean_a * mean_a - mean_b * mean_b + _C2
            inverse = np.float32(1.0) / (b1 * b2)
            similarity = a1 * a2 * inverse
            at = i + U(RADIUS)
            # dS by the blurred a, aa and ab.
            rows[at] = np.float32(2.0) * inverse * (mean_b * (a2 - a1) - mean_a * similarity * (b2 - b1))
            rows[at + U(stride)] = -similarity * b1 * inverse
            rows[at + U(2 * stride)] = np.float32(2.0) * a1 * inverse
            total_similarity += similarity
        for i in range(U(width)):
            total_difference += abs(display[c, y, i] - target[c, y, i])
        sums[line, 0], sums[line, 1] = total_difference, total_similarity
        for m in range(3):
            for i in range(U(width)):
                slopes[m, c, y + RADIUS, i] = _blur_row(rows, U(m * stride) + i)
    for line in nb.prange(3 * height):
        c, y = line // height, line % height
        for i in range(U(width)):
            a, b = display[c, y, i], target[c, y, i]
            slope = (
                _blur_column(slopes, 0, c, U(y), i)
                + np.float32(2.0) * a * _blur_column(slopes, 1, c, U(y), i)
                + b * _blur_column(slopes, 2, c, U(y), i)
            )
            sign = np.float32(1.0) if a > b else (np.float32(-1.0) if a < b else np.float32(0.0))
            v_display[c, y, i] = scale * ((np.float32(1.0) - weight) * sign - weight * slope)
