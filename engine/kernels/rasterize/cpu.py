# SPDX-License-Identifier: GPL-3.0-or-later
"""Front-to-back compositing of projected gaussians, forward and backward: SIMD over the pixels of a tile's row, threads over tiles.

Both passes walk each tile's gaussians nearest first. With w = T alpha, the backward pass needs at each pixel only D = v . (final colour):
the part behind a gaussian is D minus what was passed, so it walks forward too, without a stored history (equation 3 of Kerbl et al. 2023,
differentiated by the opacity, in the form above).

A row of a tile is one vector. Down a tile's column dx stays, and with u = dy - slope dx (see kernels/tiles) log2(alpha) =
(L - p_x dx^2) - p_y u^2 takes two multiplications and an addition a row. It never exceeds L, whatever is rounded. The gradient's moments
by dx wait until all rows are summed.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from .. import simd
from ..math import OPTIONS, aligned
from ..tiles.cpu import (
    BLUE,
    COLUMNS,
    DEPTH,
    EXTENT,
    GREEN,
    OPACITY,
    PRECISION_X,
    PRECISION_Y,
    RED,
    SLOPE,
    TILE_HEIGHT,
    TILE_WIDTH,
    X,
    Y,
)

if TILE_WIDTH != simd.WIDTH:
    raise ImportError("A row of a tile has to be one vector.")

# A tile's state is one array, for each row of pixels a vector of each of these. Red, green and blue are light going forward, cotangents
# going backward; REST is what is still to come of D. Planes of whole tiles would lie 4096 bytes apart, and a processor that compares only
# the last twelve bits of addresses holds up a load for a store to the other plane.
_THROUGH, _RED, _GREEN, _BLUE, _REST = (np.int64(TILE_WIDTH * place) for place in range(5))
_ROW = np.int64(5 * TILE_WIDTH)

MIN_ALPHA = np.float32(1.0 / 255.0)
MAX_ALPHA = np.float32(0.999)
# A pixel is finished when less light than this comes through.
MIN_TRANSMITTANCE = np.float32(1e-4)

_LEAST_POWER = np.float32(np.log2(1.0 / 255.0))
_LOG2E = np.float32(np.log2(np.e))
_0, _HALF, _1, _2 = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)

# How many gaussians are fetched at a time, and pass between two looks whether all pixels of a tile are finished.
_BATCH = 32

# Gaussians whose pairs' gradients are summed by one thread at a time.
_CHUNK = 1024

# Floats of a pair's gradient, one cache line: sums over pixels of the colour's cotangents and of g = dL/dsigma and its moments.
GRADIENTS = 16

# Columns of a gaussian's gradient on the screen; those of x, y, the ellipse, opacity and colour are as in its row.
V_DEPTH, V_MAGNITUDES, V_SHARE = 9, 10, 12
V_COLUMNS = 13


@nb.njit(**OPTIONS)
def _tile_costs(tile_starts):
    """Tiles, the longest list first: threads that take them in turn finish together."""
    return np.argsort(tile_starts[:-1] - tile_starts[1:], kind="mergesort")


@nb.njit(**OPTIONS)
def _gather(rows, pairs, first, last, corner, near):
    """Copies the gaussians of some pairs side by side, with places relative to the tile and the precisions ready for powers of two.

    Gaussians lie all over memory; here their cache misses overlap, while in the compositing loop each would be waited for.
    """
    for k in range(last - first):
        rank = pairs[first + k, 0]
        near[k, X], near[k, Y] = rows[rank, X] - corner[0], rows[rank, Y] - corner[1]
        near[k, PRECISION_X], near[k, SLOPE] = -_HALF * _LOG2E * rows[rank, PRECISION_X], rows[rank, SLOPE]
        near[k, PRECISION_Y] = -_HALF * _LOG2E * rows[rank, PRECISION_Y]
        # The extent is 2 ln(255 opacity).
        near[k, EXTENT] = _HALF * _LOG2E * rows[rank, EXTENT] + _LEAST_POWER
        near[k, RED], near[k, GREEN], near[k, BLUE] = rows[rank, RED], rows[rank, GREEN], rows[rank, BLUE]


@nb.njit(**OPTIONS)
def _centers():
    """Pixel centres of a tile's row, px from its left edge."""
    centers = aligned(TILE_WIDTH)
    for x in range(TILE_WIDTH):
        centers[x] = np.float32(x) + _HALF
    return simd.load(centers, 0)


@nb.njit(**OPTIONS)
def _forward_tile(rows, pairs, first, last, corner, near, state):
    """Composites pairs first..last into the state. Returns how many of them were needed."""
    centers = _centers()
    nothing, all = simd.broadcast(_0), simd.broadcast(_1)
    for p in range(0, TILE_HEIGHT * _ROW, _ROW):
        simd.store(state, _THROUGH + p, all)
        simd.store(state, _RED + p, nothing)
        simd.store(state, _GREEN + p, nothing)
        simd.store(state, _BLUE + p, nothing)
    for k in range(first, last):
        j = (k - first) % _BATCH
        if j == 0:
            most = simd.load(state, _THROUGH)
            for p in range(_ROW, TILE_HEIGHT * _ROW, _ROW):
                most = simd.larger(most, simd.load(state, _THROUGH + p))
            if not simd.any_of(most >= MIN_TRANSMITTANCE):
                return k - first
            _gather(rows, pairs, k, min(k + _BATCH, last), corner, near)
        red, green, blue = near[j, RED], near[j, GREEN], near[j, BLUE]
        top, bottom = pairs[k, 1], pairs[k, 2]
        dx = centers - near[j, X]
        u = (np.float32(top) + _HALF - near[j, Y]) - near[j, SLOPE] * dx
        across, down = near[j, EXTENT] + near[j, PRECISION_X] * dx * dx, near[j, PRECISION_Y]
        for p in range(top * _ROW, bottom * _ROW, _ROW):
            power = across + down * u * u
            through = simd.load(state, _THROUGH + p)
            drawn = (power >= _LEAST_POWER) & (through >= MIN_TRANSMITTANCE)
            weight = through * simd.where(drawn, simd.smaller(simd.exp2_of_negative(power), MAX_ALPHA), _0)
            simd.store(state, _RED + p, simd.load(state, _RED + p) + weight * red)
            simd.store(state, _GREEN + p, simd.load(state, _GREEN + p) + weight * green)
            simd.store(state, _BLUE + p, simd.load(state, _BLUE + p) + weight * blue)
            simd.store(state, _THROUGH + p, through - weight)
            u = u + _1
    return last - first


@nb.njit(parallel=True, **OPTIONS)
def forward(rows, tile_starts, pairs, background, image, workers):
    """Composites a picture.

    Args:
        rows: [M, COLUMNS] float32, projected gaussians in depth order.
        tile_starts, pairs: from bin_pairs.
        background: [3] float32.
        image: [4, H, W] float32, receives red, green, blue and transmittance.
        workers: number of threads.

    Returns:
        [tiles] int32, how many pairs each tile needed before all its pixels were finished.
    """
    _, height, width = image.shape
    across = (width + TILE_WIDTH - 1) // TILE_WIDTH
    tiles = tile_starts.size - 1
    order = _tile_costs(tile_starts)
    needed = np.zeros(tiles, np.int32)
    for worker in nb.prange(workers):
        state, near = aligned(TILE_HEIGHT * _ROW), np.empty((_BATCH, COLUMNS), np.float32)
        for i in range(worker, tiles, workers):
            tile = order[i]
            left, top = (tile % across) * TILE_WIDTH, (tile // across) * TILE_HEIGHT
            corner = (np.float32(left), np.float32(top))
            needed[tile] = _forward_tile(rows, pairs, tile_starts[tile], tile_starts[tile + 1], corner, near, state)
            for y in range(min(TILE_HEIGHT, height - top)):
                for x in range(min(TILE_WIDTH, width - left)):
                    p = y * _ROW + x
                    through = state[_THROUGH + p]
                    for channel in range(3):
                        image[channel, top + y, left + x] = state[_RED + channel * TILE_WIDTH + p] + through * background[channel]
                    image[3, top + y, left + x] = through
    return needed


@nb.njit(**OPTIONS)
def _backward_tile(rows, pairs, first, needed, last, corner, near, state, absolute, gradients):
    """The sums of each pair, in the tile's order: written one after the other, because a store to memory out of the cache's reach holds up
    all stores behind it."""
    centers = _centers()
    for k in range(first, first + needed):
        j = (k - first) % _BATCH
        if j == 0:
            _gather(rows, pairs, k, min(k + _BATCH, first + needed), corner, near)
        red, green, blue = near[j, RED], near[j, GREEN], near[j, BLUE]
        top, bottom = pairs[k, 1], pairs[k, 2]
        dx = centers - near[j, X]
        u = (np.float32(top) + _HALF - near[j, Y]) - near[j, SLOPE] * dx
        across, down = near[j, EXTENT] + near[j, PRECISION_X] * dx * dx, near[j, PRECISION_Y]
        s_red = s_green = s_blue = s_1 = s_u = s_uu = abs_x = abs_y = share = simd.broadcast(_0)
        for p in range(top * _ROW, bottom * _ROW, _ROW):
            power = across + down * u * u
            through = simd.load(state, _THROUGH + p)
            drawn = (power >= _LEAST_POWER) & (through >= MIN_TRANSMITTANCE)
            full = simd.exp2_of_negative(power)
            # Not the weight is cut off but alpha: its products with 2^-120 would be subnormal, which costs a hundred cycles.
            alpha = simd.where(drawn, simd.smaller(full, MAX_ALPHA), _0)
            weight = through * alpha
            v_red, v_green, v_blue = simd.load(state, _RED + p), simd.load(state, _GREEN + p), simd.load(state, _BLUE + p)
            passed = weight * (red * v_red + green * v_green + blue * v_blue)
            rest = simd.load(state, _REST + p) - passed
            # dL/dalpha = T v.c - (what is behind) / (1 - alpha); and dL/dsigma = -alpha dL/dalpha, none where alpha was clamped.
            v_sigma = simd.where(drawn & (full < MAX_ALPHA), alpha * rest / (_1 - alpha) - passed, _0)
            simd.store(state, _THROUGH + p, through - weight)
            simd.store(state, _REST + p, rest)
            s_red = s_red + weight * v_red
            s_green = s_green + weight * v_green
            s_blue = s_blue + weight * v_blue
            share = share + weight
            s_1 = s_1 + v_sigma
            v_sigma_u = v_sigma * u
            s_u = s_u + v_sigma_u
            s_uu = s_uu + v_sigma_u * u
            if absolute:
                abs_x = abs_x + simd.absolute(v_sigma * (near[j, PRECISION_X] * dx - near[j, SLOPE] * down * u))
                abs_y = abs_y + simd.absolute(v_sigma_u)
            u = u + _1
        s_x = s_1 * dx
        all_sums = simd.sums((s_red, s_green, s_blue, s_1, s_x, s_u, s_x * dx, s_u * dx, s_uu, abs_x, abs_y, share))
        simd.store(gradients, GRADIENTS * k, all_sums)
    for k in range(first + needed, last):
        simd.store(gradients, GRADIENTS * k, simd.broadcast(_0))


@nb.njit(parallel=True, **OPTIONS)
def backward(rows, tile_starts, pairs, own_starts, own, needed, image, v_image, absolute, gradients, v_rows, workers):
    """Gradients of :func:`forward`.

    Args:
        rows, tile_starts, pairs: as for forward. own_starts, own: from bin_pairs.
        needed: what forward returned.
        image: [4, H, W], what forward wrote.
        v_image: [4, H, W] float32, cotangents of colour and transmittance.
        absolute: whether magnitudes are wanted.
        gradients: [>= E, GRADIENTS] float32 scratch, on a cache line's edge.
        v_rows: [M, V_COLUMNS] float32, receives cotangents of x, y, p_x, slope, p_y, opacity, red, green, blue; 0 for the depth, which
            these pictures do not depend on; the sums over pixels of the magnitudes of those of x and y (Ye et al. 2024, AbsGS), 0 where
            they are not wanted; and of the gaussian's share in the pixels.
        workers: number of threads.
    """
    _, height, width = image.shape
    across = (width + TILE_WIDTH - 1) // TILE_WIDTH
    tiles = tile_starts.size - 1
    order = _tile_costs(tile_starts)
    for worker in nb.prange(workers):
        state, near = aligned(TILE_HEIGHT * _ROW), np.empty((_BATCH, COLUMNS), np.float32)
        for i in range(worker, tiles, workers):
            tile = order[i]
            left, top = (tile % across) * TILE_WIDTH, (tile // across) * TILE_HEIGHT
            state[:] = _0
            for y in range(min(TILE_HEIGHT, height - top)):
                for x in range(min(TILE_WIDTH, width - left)):
                    p = y * _ROW + x
                    rest = v_image[3, top + y, left + x] * image[3, top + y, left + x]
                    for channel in range(3):
                        v = v_image[channel, top + y, left + x]
                        state[_RED + channel * TILE_WIDTH + p] = v
                        rest += v * image[channel, top + y, left + x]
                    state[_THROUGH + p] = _1
                    state[_REST + p] = rest
            corner = (np.float32(left), np.float32(top))
            _backward_tile(rows, pairs, tile_starts[tile], needed[tile], tile_starts[tile + 1], corner, near, state, absolute, gradients)
    count = rows.shape[0]
    for chunk in nb.prange((count + _CHUNK - 1) // _CHUNK):
        total = aligned(simd.WIDTH)
        for rank in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, count)):
            lanes = simd.broadcast(_0)
            for at in range(own_starts[rank], own_starts[rank + 1]):
                lanes = lanes + simd.load(gradients, GRADIENTS * own[at])
            simd.store(total, 0, lanes)
            s_1, s_x, s_u, s_xx, s_xu, s_uu = total[3], total[4], total[5], total[6], total[7], total[8]
            p_x, slope, p_y = rows[rank, PRECISION_X], rows[rank, SLOPE], rows[rank, PRECISION_Y]
            # sigma = (p_x dx^2 + p_y u^2) / 2 with dx = pixel - x and u = dy - slope dx
            v_rows[rank, X] = slope * p_y * s_u - p_x * s_x
            v_rows[rank, Y] = -p_y * s_u
            v_rows[rank, PRECISION_X] = _HALF * s_xx
            v_rows[rank, SLOPE] = -p_y * s_xu
            v_rows[rank, PRECISION_Y] = _HALF * s_uu
            v_rows[rank, OPACITY] = -s_1 / rows[rank, OPACITY]
            v_rows[rank, 6], v_rows[rank, 7], v_rows[rank, 8] = total[0], total[1], total[2]
            v_rows[rank, V_DEPTH] = _0
            v_rows[rank, V_MAGNITUDES], v_rows[rank, V_MAGNITUDES + 1] = _2 / _LOG2E * total[9], p_y * total[10]
            v_rows[rank, V_SHARE] = total[11]


@nb.njit(**OPTIONS)
def _median_tile(rows, pairs, first, last, corner, near, state):
    """The depth at which half of the light is gone, into the state's second plane: _forward_tile with depth in the place of colour."""
    centers = _centers()
    nothing, all = simd.broadcast(_0), simd.broadcast(_1)
    for p in range(0, TILE_HEIGHT * _ROW, _ROW):
        simd.store(state, _THROUGH + p, all)
        simd.store(state, _RED + p, nothing)
    for k in range(first, last):
        j = (k - first) % _BATCH
        if j == 0:
            most = simd.load(state, _THROUGH)
            for p in range(_ROW, TILE_HEIGHT * _ROW, _ROW):
                most = simd.larger(most, simd.load(state, _THROUGH + p))
            if not simd.any_of(most >= _HALF):
                return
            _gather(rows, pairs, k, min(k + _BATCH, last), corner, near)
        depth = simd.broadcast(rows[pairs[k, 0], DEPTH])
        top, bottom = pairs[k, 1], pairs[k, 2]
        dx = centers - near[j, X]
        u = (np.float32(top) + _HALF - near[j, Y]) - near[j, SLOPE] * dx
        across, down = near[j, EXTENT] + near[j, PRECISION_X] * dx * dx, near[j, PRECISION_Y]
        for p in range(top * _ROW, bottom * _ROW, _ROW):
            power = across + down * u * u
            through = simd.load(state, _THROUGH + p)
            alpha = simd.where(power >= _LEAST_POWER, simd.smaller(simd.exp2_of_negative(power), MAX_ALPHA), _0)
            left = through - through * alpha
            simd.store(state, _RED + p, simd.where((through >= _HALF) & (left < _HALF), depth, simd.load(state, _RED + p)))
            simd.store(state, _THROUGH + p, left)
            u = u + _1


@nb.njit(parallel=True, **OPTIONS)
def median_depth(rows, tile_starts, pairs, depth, workers):
    """Depth of the gaussian that brings the transmittance below a half.

    Args:
        rows, tile_starts, pairs, workers: as for forward.
        depth: [H, W] float32, receives planar z; 0 where more than half of the light comes through.
    """
    height, width = depth.shape
    across = (width + TILE_WIDTH - 1) // TILE_WIDTH
    tiles = tile_starts.size - 1
    order = _tile_costs(tile_starts)
    for worker in nb.prange(workers):
        state, near = aligned(TILE_HEIGHT * _ROW), np.empty((_BATCH, COLUMNS), np.float32)
        for i in range(worker, tiles, workers):
            tile = order[i]
            left, top = (tile % across) * TILE_WIDTH, (tile // across) * TILE_HEIGHT
            corner = (np.float32(left), np.float32(top))
            _median_tile(rows, pairs, tile_starts[tile], tile_starts[tile + 1], corner, near, state)
            for y in range(min(TILE_HEIGHT, height - top)):
                for x in range(min(TILE_WIDTH, width - left)):
                    depth[top + y, left + x] = state[_RED + y * _ROW + x]


@nb.njit(**OPTIONS)
def count_pairs(rows, tile_starts, pairs, needed, width):
    """How many pairs of gaussian and pixel a picture took, and how many of them changed their pixel.

    Args:
        rows, tile_starts, pairs: as for forward. needed: what forward returned. width: of the picture, px.

    Returns:
        (evaluated, useful)
    """
    across = (width + TILE_WIDTH - 1) // TILE_WIDTH
    evaluated = useful = 0
    through = np.empty((TILE_HEIGHT, TILE_WIDTH), np.float32)
    for tile in range(tile_starts.size - 1):
        left, top = (tile % across) * TILE_WIDTH, (tile // across) * TILE_HEIGHT
        through[:] = _1
        for k in range(tile_starts[tile], tile_starts[tile] + needed[tile]):
            rank, first, last = pairs[k]
            p_x, slope, p_y = rows[rank, PRECISION_X], rows[rank, SLOPE], rows[rank, PRECISION_Y]
            evaluated += (last - first) * TILE_WIDTH
            for y in range(first, last):
                for x in range(TILE_WIDTH):
                    dx, dy = left + x + _HALF - rows[rank, X], top + y + _HALF - rows[rank, Y]
                    sigma = _HALF * (p_x * dx * dx + p_y * (dy - slope * dx) ** 2)
                    alpha = min(rows[rank, OPACITY] * np.exp(-sigma), MAX_ALPHA)
                    if alpha >= MIN_ALPHA and through[y, x] >= MIN_TRANSMITTANCE:
                        through[y, x] *= _1 - alpha
                        useful += 1
    return evaluated, useful
