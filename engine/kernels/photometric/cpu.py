# SPDX-License-Identifier: GPL-3.0-or-later
"""The photometric loss, (1 - w) L1 + w (1 - SSIM), with its gradient, and the light it is measured in.

SSIM as in Wang et al. 2004: 11×11 Gaussian window, sigma 1.5, zeros outside. It needs four windowed sums: of a, b, a² + b² and a b. Its
slopes by those of a, a² + b² and a b go through the window once more to make the gradient.

All of it happens in one walk down the rows of a channel, so that what lies between never leaves the nearest caches: pictures in, five rows
behind them SSIM's slopes, five rows behind those the gradient. It takes four rows at a time, which share the loads of a vertical window.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import simd
from ..math import OPTIONS, U, aligned, srgb_encode

# The walk's state holds, for each vector of columns, the last rows of the two pictures and of SSIM's slopes.
_SLOTS = 26
_PLANE = _SLOTS * simd.WIDTH
_A, _B, _BY_MEAN, _BY_SQUARES, _BY_PRODUCT = (_PLANE * place for place in range(5))
# An odd number of vectors, or columns would compete for the same places in the cache.
_COLUMN = 5 * _PLANE + simd.WIDTH

_NUMBERS = np.arange(simd.WIDTH, dtype=np.float32)
_0, _1, _2 = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_PER_CODE = np.float32(1.0 / 255.0)
_C1 = np.float32(0.01**2)
_C2 = np.float32(0.03**2)

_window = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
_W0, _W1, _W2, _W3, _W4, _W5 = (np.float32(value) for value in (_window / _window.sum())[:6])

_code = np.arange(256) / 255
_LINEAR_OF_CODE = np.where(_code <= 0.04045, _code / 12.92, ((_code + 0.055) / 1.055) ** 2.4).astype(np.float32)


@nb.njit(**OPTIONS)
def _compose_row(pixels, y, c, behind, linear, row, alphas):
    """A row of a captured picture over a background, in sRGB code values. ``alphas``: as long as the row, overwritten."""
    _, width, channels = pixels.shape
    start = y * width * channels
    # Vectors of bytes reach a little beyond the last pixel they are for.
    whole = max(width - 1, 0) // simd.WIDTH * simd.WIDTH
    if channels == 3:
        for x in range(0, whole, simd.WIDTH):
            simd.store(row, x, simd.bytes_apart(pixels, start + 3 * x + c, 3) * _PER_CODE)
        for x in range(whole, width):
            row[x] = np.float32(pixels[y, x, c]) * _PER_CODE
        return
    for x in range(0, whole, simd.WIDTH):
        simd.store(row, x, simd.bytes_apart(pixels, start + 4 * x + c, 4) * _PER_CODE)
        simd.store(alphas, x, simd.bytes_apart(pixels, start + 4 * x + 3, 4) * _PER_CODE)
    for x in range(whole, width):
        row[x], alphas[x] = np.float32(pixels[y, x, c]) * _PER_CODE, np.float32(pixels[y, x, 3]) * _PER_CODE
    if linear:
        uncovered = srgb_encode(behind)
        for first in range(0, width, simd.WIDTH):
            last = min(first + simd.WIDTH, width)
            partial = _0
            for x in range(U(first), U(last)):
                partial += alphas[x] * (_1 - alphas[x])
            # Between covered and not lies only an outline, so few pixels need the curve.
            if partial == _0:
                for x in range(U(first), U(last)):
                    row[x] = row[x] if alphas[x] == _1 else uncovered
            else:
                for x in range(U(first), U(last)):
                    light = _LINEAR_OF_CODE[np.uint32(row[x] * np.float32(255.0) + np.float32(0.5))]
                    mixed = srgb_encode(alphas[x] * light + (_1 - alphas[x]) * behind)
                    row[x] = row[x] if alphas[x] == _1 else mixed
    else:
        for x in range(U(width)):
            row[x] = alphas[x] * row[x] + (_1 - alphas[x]) * behind


@nb.njit(parallel=True, **OPTIONS)
def compose_target(pixels, background, linear, target):
    """What a captured picture looks like over a background.

    Args:
        pixels: [H, W, 3 or 4] uint8, sRGB codes, straight alpha.
        background: [3] float32, in the light of blending.
        linear: whether alpha mixes linear light instead of codes.
        target: [3, H, W] float32, receives sRGB code values 0 to 1.
    """
    pixels = np.ascontiguousarray(pixels)
    for y in nb.prange(pixels.shape[0]):
        alphas = np.empty(pixels.shape[1], np.float32)
        for c in range(3):
            _compose_row(pixels, y, c, background[c], linear, target[c, y], alphas)


@nb.njit(**OPTIONS)
def _display_row(image, c, y, gain, linear, row):
    """A row of a rendered picture, made brighter, in sRGB code values."""
    if linear:
        for x in range(U(image.shape[2])):
            row[x] = srgb_encode(gain * image[c, y, x])
    else:
        for x in range(U(image.shape[2])):
            row[x] = gain * image[c, y, x]


@nb.njit(parallel=True, **OPTIONS)
def encode(image, display):
    """sRGB code values of a linear picture. image: [4, H, W]; display: [3, H, W], receives them."""
    for row in nb.prange(3 * image.shape[1]):
        c, y = row // image.shape[1], row % image.shape[1]
        _display_row(image, c, y, _1, True, display[c, y])


@nb.njit(**OPTIONS)
def _write_row(image, c, y, gain, linear, display, v_display, v_image):
    """Takes a row's gradient back through :func:`_display_row`, whose result is ``display``."""
    if linear:
        for x in range(U(image.shape[2])):
            light = gain * image[c, y, x]
            # The curve is 1.055 light^(1 / 2.4) - 0.055.
            slope = (display[x] + np.float32(0.055)) / (np.float32(2.4) * light)
            v_image[c, y, x] = v_display[x] * gain * (np.float32(12.92) if light <= np.float32(0.0031308) else slope)
    else:
        for x in range(U(image.shape[2])):
            v_image[c, y, x] = v_display[x] * gain


@nb.njit(inline="always", **OPTIONS)
def _window(v):
    """The window's sum of eleven lanes."""
    return _W5 * v[5] + _W4 * (v[4] + v[6]) + _W3 * (v[3] + v[7]) + _W2 * (v[2] + v[8]) + _W1 * (v[1] + v[9]) + _W0 * (v[0] + v[10])


@nb.njit(inline="always", **OPTIONS)
def _across(lines, at):
    """The window's sum along a line."""
    return _window(simd.loads(lines, at - 5, 1, 11))


@nb.njit(inline="always", **OPTIONS)
def _down(lines, at, stride, v):
    """Writes the window's sums around the four middle ones of fourteen rows to four lines."""
    simd.store(lines, at, _window(v[0:11]))
    simd.store(lines, at + stride, _window(v[1:12]))
    simd.store(lines, at + 2 * stride, _window(v[2:13]))
    simd.store(lines, at + 3 * stride, _window(v[3:14]))


@nb.njit(inline="always", **OPTIONS)
def _products(a, b):
    """Row by row."""
    low = (a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3], a[4] * b[4], a[5] * b[5], a[6] * b[6])
    return (*low, a[7] * b[7], a[8] * b[8], a[9] * b[9], a[10] * b[10], a[11] * b[11], a[12] * b[12], a[13] * b[13])


@nb.njit(inline="always", **OPTIONS)
def _sums(a, b):
    """Row by row."""
    low = (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], a[5] + b[5], a[6] + b[6])
    return (*low, a[7] + b[7], a[8] + b[8], a[9] + b[9], a[10] + b[10], a[11] + b[11], a[12] + b[12], a[13] + b[13])


@nb.njit(**OPTIONS)
def _take_row(row, state, at):
    """Copies a row into the state."""
    for x in range(0, row.size, simd.WIDTH):
        simd.store(state, at, simd.load(row, x))
        at += _COLUMN


@nb.njit(**OPTIONS)
def _moments(columns, state, at, lines, stride):
    """Vertical sums of a, b, a² + b² and a b at four rows, from the fourteen at a place in the state."""
    for x in range(simd.WIDTH, simd.WIDTH * (columns + 1), simd.WIDTH):
        a, b = simd.loads(state, at + _A, simd.WIDTH, 14), simd.loads(state, at + _B, simd.WIDTH, 14)
        _down(lines, x, stride, a)
        _down(lines, x + 4 * stride, stride, b)
        _down(lines, x + 8 * stride, stride, _sums(_products(a, a), _products(b, b)))
        _down(lines, x + 12 * stride, stride, _products(a, b))
        at += _COLUMN


@nb.njit(**OPTIONS)
def _slopes(width, lines, line, stride, state, at):
    """SSIM along a row and its slopes by the windowed a, a² + b² and a b. Returns lanes that sum up SSIM."""
    ones, total = simd.broadcast(_1), simd.broadcast(_0)
    rest = simd.load(_NUMBERS, 0) - np.float32(width)
    for x in range(line, line + width, simd.WIDTH):
        a, b = _across(lines, x), _across(lines, x + 4 * stride)
        squares, product = _across(lines, x + 8 * stride), _across(lines, x + 12 * stride)
        ab, aabb = a * b, a * a + b * b
        a1, a2 = _2 * ab + _C1, _2 * (product - ab) + _C2
        b1, b2 = aabb + _C1, squares - aabb + _C2
        # Outside the picture there is nothing to be similar, though windows reach there.
        inverse = simd.where(rest < _0, ones / (b1 * b2), _0)
        similarity = a1 * a2 * inverse
        simd.store(state, at + _BY_MEAN, _2 * (b * inverse * (a2 - a1) - a * inverse * similarity * (b2 - b1)))
        simd.store(state, at + _BY_SQUARES, -b1 * inverse * similarity)
        simd.store(state, at + _BY_PRODUCT, _2 * a1 * inverse)
        total = total + similarity
        rest = rest + np.float32(simd.WIDTH)
        at += _COLUMN
    return total


@nb.njit(**OPTIONS)
def _no_slopes(columns, state, at):
    """Where there is no picture."""
    for place in range(at, at + columns * _COLUMN, _COLUMN):
        for plane in (_BY_MEAN, _BY_SQUARES, _BY_PRODUCT):
            simd.store(state, place + plane, simd.broadcast(_0))


@nb.njit(**OPTIONS)
def _slope_sums(columns, state, at, lines, stride):
    """Vertical sums of the slopes at four rows, from the fourteen at a place in the state."""
    for x in range(simd.WIDTH, simd.WIDTH * (columns + 1), simd.WIDTH):
        _down(lines, x, stride, simd.loads(state, at + _BY_MEAN, simd.WIDTH, 14))
        _down(lines, x + 4 * stride, stride, simd.loads(state, at + _BY_SQUARES, simd.WIDTH, 14))
        _down(lines, x + 8 * stride, stride, simd.loads(state, at + _BY_PRODUCT, simd.WIDTH, 14))
        at += _COLUMN


@nb.njit(**OPTIONS)
def _gradient(lines, line, stride, state, at, by_difference, by_similarity, row, v_row):
    """The gradient along a row, and the row itself. Returns lanes that sum up |a - b|."""
    ones, total = simd.broadcast(_1), simd.broadcast(_0)
    for x in range(0, row.size, simd.WIDTH):
        here = line + x
        a, b = simd.load(state, at + _A), simd.load(state, at + _B)
        slope = _across(lines, here) + _2 * a * _across(lines, here + 4 * stride) + b * _across(lines, here + 8 * stride)
        sign = simd.where(a > b, ones, simd.where(a < b, -ones, _0))
        simd.store(row, x, a)
        simd.store(v_row, x, by_difference * sign + by_similarity * slope)
        total = total + (a - b) * sign
        at += _COLUMN
    return total


@nb.njit(**OPTIONS)
def _walk(image, pixels, background, gains, linear, weight, c, first, last, v_image, sums):
    """The loss and its gradient at rows first..last of a channel."""
    _, height, width = image.shape
    columns = (width + simd.WIDTH - 1) // simd.WIDTH
    # An odd number of vectors, or lines would compete for the same places in the cache.
    stride = simd.WIDTH * ((columns + 2) | 1)
    state, lines = aligned(columns * _COLUMN), aligned(16 * stride)
    row_a, row_b, v_row = (aligned(columns * simd.WIDTH), aligned(columns * simd.WIDTH), aligned(columns * simd.WIDTH))
    folded = aligned(simd.WIDTH)
    lines[:] = row_a[:] = row_b[:] = _0
    scale = np.float32(1.0 / (3.0 * height * width))
    by_difference, by_similarity = scale * (_1 - weight), -scale * weight
    slot = 10
    for top in range(first - 14, last + 10, 4):
        if slot + 4 > _SLOTS:
            for place in range(0, columns * _COLUMN, _COLUMN):
                for plane in range(place, place + 5 * _PLANE, _PLANE):
                    for k in range(0, 10 * simd.WIDTH, simd.WIDTH):
                        simd.store(state, plane + k, simd.load(state, plane + k + (slot - 10) * simd.WIDTH))
            slot = 10
        for k in range(4):
            y, at = top + k, (slot + k) * simd.WIDTH
            if 0 <= y < height:
                _display_row(image, c, y, gains[c], linear, row_a)
                _compose_row(pixels, y, c, background[c], linear, row_b, v_row)
            else:
                row_a[:] = row_b[:] = _0
            _take_row(row_a, state, at + _A)
            _take_row(row_b, state, at + _B)
        oldest = (slot - 10) * simd.WIDTH
        if top >= first - 2:
            _moments(columns, state, oldest, lines, stride)
            for k in range(4):
                y, at = top - 5 + k, (slot + k) * simd.WIDTH
                if 0 <= y < height:
                    similarity = _slopes(width, lines, simd.WIDTH + k * stride, stride, state, at)
                    if first <= y < last:
                        simd.store(folded, 0, simd.sums((similarity,)))
                        sums[c * height + y, 1] = folded[0]
                else:
                    _no_slopes(columns, state, at)
        if top >= first + 10:
            _slope_sums(columns, state, oldest, lines, stride)
            for k in range(min(4, last - (top - 10))):
                y, at = top - 10 + k, oldest + k * simd.WIDTH
                difference = _gradient(lines, simd.WIDTH + k * stride, stride, state, at, by_difference, by_similarity, row_a, v_row)
                simd.store(folded, 0, simd.sums((difference,)))
                sums[c * height + y, 0] = folded[0]
                _write_row(image, c, y, gains[c], linear, row_a, v_row, v_image)
        slot += 4


@nb.njit(parallel=True, **OPTIONS)
def _share(image, pixels, background, gains, linear, weight, v_image, sums, workers):
    """Splits all channels evenly, between fours of rows: a row's rounding depends on its place among the four, and on nothing else."""
    height = image.shape[1]
    fours = (height + 3) // 4
    for worker in nb.prange(workers):
        begin, end = 3 * fours * worker // workers, 3 * fours * (worker + 1) // workers
        for c in range(3):
            first, last = max(begin - c * fours, 0) * 4, min((end - c * fours) * 4, height)
            if first < last:
                _walk(image, pixels, background, gains, linear, weight, c, first, last, v_image, sums)


def forward_backward(image, pixels, background, gains, linear, weight, v_image, sums):
    """The loss and its gradient by the rendered picture.

    Args:
        image: [4, H, W] float32, rendered in the light of blending, over the background divided by the gains.
        pixels: [H, W, 3 or 4] uint8, the captured picture: sRGB codes, straight alpha.
        background: [3] float32, in the light of blending.
        gains: [3] float32, what the picture's red, green and blue are multiplied by in the light of blending; 1 leaves it as it is.
        linear: whether blending mixes linear light instead of codes.
        weight: of 1 - SSIM; the rest is L1.
        v_image: [4, H, W] float32, whose first three planes receive the gradient.
        sums: [3 H, 2] float64, receives each row's sum of |difference| and of SSIM; their order of summation is the caller's.

    Raises:
        ValueError: the pictures differ in size.
    """
    _, height, width = image.shape
    if pixels.shape not in ((height, width, 3), (height, width, 4)) or v_image.shape != image.shape or sums.shape != (3 * height, 2):
        raise ValueError(f"The captured picture is {pixels.shape}, the rendered one {image.shape}.")
    _share(image, np.ascontiguousarray(pixels), background, gains, linear, np.float32(weight), v_image, sums, nb.get_num_threads())


@nb.njit(parallel=True, **OPTIONS)
def gain_slopes(image, v_image, background, sums):
    """The loss's gradient by the logarithms of the gains: what is behind a picture does not get brighter with it.

    Args:
        image: [4, H, W] float32, as it was rendered. v_image: [4, H, W] float32, the loss's gradient by it.
        background: [3] float32, what it was rendered over.
        sums: [3, H] float64, receives each row's share.
    """
    height = image.shape[1]
    for row in nb.prange(3 * height):
        c, y = row // height, row % height
        total = _0
        for x in range(U(image.shape[2])):
            total += v_image[c, y, x] * (image[c, y, x] - background[c] * image[3, y, x])
        sums[c, y] = total
