# SPDX-License-Identifier: GPL-3.0-or-later
"""Front-to-back compositing of projected gaussians, forward and backward: SIMD over the pixels of a tile, threads over tiles.

Both passes walk each tile's gaussians nearest first. With w = T alpha, the backward pass needs at each pixel only D = v . (final colour):
the part behind a gaussian is D minus what was passed, so it walks forward too, without a stored history (equation 3 of Kerbl et al. 2023,
differentiated by the opacity, in the form above).
"""

from __future__ import annotations

import numba as nb
import numpy as np

from ..math import OPTIONS, U, aligned, exp
from ..tiles.cpu import BLUE, COLUMNS, CONIC_A, CONIC_B, CONIC_C, GREEN, OPACITY, RED, TILE_HEIGHT, TILE_WIDTH, X, Y

PIXELS = TILE_WIDTH * TILE_HEIGHT

# A tile's state is one flat array of planes of PIXELS floats. One array, because LLVM gives up on vectorising where too many pointers
# might overlap.
_PX, _PY, _THROUGH = U(0), U(PIXELS), U(2 * PIXELS)
_RED, _GREEN, _BLUE = U(3 * PIXELS), U(4 * PIXELS), U(5 * PIXELS)
_REST = U(6 * PIXELS)
_PLANES = 7

MIN_ALPHA = np.float32(1.0 / 255.0)
MAX_ALPHA = np.float32(0.999)
# A pixel is finished when less light than this comes through.
MIN_TRANSMITTANCE = np.float32(1e-4)

# How many gaussians are fetched at a time, and pass between two looks whether all pixels of a tile are finished.
_BATCH = 32

# Columns of a pair's gradient: sums over pixels of g = dL/dsigma and its moments, and of the colour's.
GRADIENTS = 9


@nb.njit(**OPTIONS)
def _tile_costs(tile_starts):
    """Tiles, the longest list first: threads that take them in turn finish together."""
    return np.argsort(tile_starts[:-1] - tile_starts[1:], kind="mergesort")


@nb.njit(**OPTIONS)
def _new_state():
    """A tile's planes; the first two hold the pixel centres, px from the tile's corner."""
    state = aligned(_PLANES * PIXELS)
    for p in range(PIXELS):
        state[p] = p % TILE_WIDTH + np.float32(0.5)
        state[PIXELS + p] = p // TILE_WIDTH + np.float32(0.5)
    return state


@nb.njit(**OPTIONS)
def _gather(rows, pairs, first, last, corner, near):
    """Copies the gaussians of some pairs side by side, with places relative to the tile and the conic ready for use.

    Gaussians lie all over memory; here their cache misses overlap, while in the compositing loop each would be waited for.
    """
    for k in range(last - first):
        rank = pairs[first + k, 0]
        near[k, X], near[k, Y] = rows[rank, X] - corner[0], rows[rank, Y] - corner[1]
        near[k, CONIC_A], near[k, CONIC_C] = np.float32(0.5) * rows[rank, CONIC_A], np.float32(0.5) * rows[rank, CONIC_C]
        near[k, CONIC_B] = rows[rank, CONIC_B]
        near[k, OPACITY] = rows[rank, OPACITY]
        near[k, RED], near[k, GREEN], near[k, BLUE] = rows[rank, RED], rows[rank, GREEN], rows[rank, BLUE]


@nb.njit(**OPTIONS)
def _forward_tile(rows, pairs, first, last, corner, near, state):
    """Composites pairs first..last into the state. Returns how many of them were needed."""
    for p in range(PIXELS):
        state[2 * PIXELS + p] = np.float32(1.0)
        state[3 * PIXELS + p] = state[4 * PIXELS + p] = state[5 * PIXELS + p] = np.float32(0.0)
    for k in range(first, last):
        if (k - first) % _BATCH == 0:
            most = np.float32(0.0)
            for p in range(U(PIXELS)):
                most = max(most, state[_THROUGH + p])
            if most < MIN_TRANSMITTANCE:
                return k - first
            _gather(rows, pairs, k, min(k + _BATCH, last), corner, near)
        j = (k - first) % _BATCH
        x, y, a, b, c = near[j, X], near[j, Y], near[j, CONIC_A], near[j, CONIC_B], near[j, CONIC_C]
        opacity, red, green, blue = near[j, OPACITY], near[j, RED], near[j, GREEN], near[j, BLUE]
        for p in range(U(pairs[k, 2] * TILE_WIDTH), U(pairs[k, 3] * TILE_WIDTH)):
            dx, dy = state[_PX + p] - x, state[_PY + p] - y
            sigma = dx * (a * dx + b * dy) + c * dy * dy
            alpha = min(opacity * exp(-sigma), MAX_ALPHA)
            through = state[_THROUGH + p]
            alpha = alpha if (alpha >= MIN_ALPHA) & (through >= MIN_TRANSMITTANCE) else np.float32(0.0)
            weight = through * alpha
            state[_RED + p] += weight * red
            state[_GREEN + p] += weight * green
            state[_BLUE + p] += weight * blue
            state[_THROUGH + p] = through - weight
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
        state, near = _new_state(), np.empty((_BATCH, COLUMNS), np.float32)
        for i in range(worker, tiles, workers):
            tile = order[i]
            left, top = (tile % across) * TILE_WIDTH, (tile // across) * TILE_HEIGHT
            corner = (np.float32(left), np.float32(top))
            needed[tile] = _forward_tile(rows, pairs, tile_starts[tile], tile_starts[tile + 1], corner, near, state)
            for y in range(min(TILE_HEIGHT, height - top)):
                for x in range(min(TILE_WIDTH, width - left)):
                    p = y * TILE_WIDTH + x
                    through = state[2 * PIXELS + p]
                    for channel in range(3):
                        image[channel, top + y, left + x] = state[(3 + channel) * PIXELS + p] + through * background[channel]
                    image[3, top + y, left + x] = through
    return needed


@nb.njit(**OPTIONS)
def _backward_tile(rows, pairs, first, needed, last, corner, near, state, gradients):
    """The sums of each pair. In the state, red, green and blue are the cotangents, and rest is what is still to come of D."""
    for k in range(first, first + needed):
        j = (k - first) % _BATCH
        if j == 0:
            _gather(rows, pairs, k, min(k + _BATCH, first + needed), corner, near)
        x, y, a, b, c = near[j, X], near[j, Y], near[j, CONIC_A], near[j, CONIC_B], near[j, CONIC_C]
        opacity, red, green, blue = near[j, OPACITY], near[j, RED], near[j, GREEN], near[j, BLUE]
        s_red = s_green = s_blue = s_1 = s_x = s_y = s_xx = s_xy = s_yy = np.float32(0.0)
        for p in range(U(pairs[k, 2] * TILE_WIDTH), U(pairs[k, 3] * TILE_WIDTH)):
            dx, dy = state[_PX + p] - x, state[_PY + p] - y
            sigma = dx * (a * dx + b * dy) + c * dy * dy
            full = opacity * exp(-sigma)
            alpha = min(full, MAX_ALPHA)
            through = state[_THROUGH + p]
            alpha = alpha if (alpha >= MIN_ALPHA) & (through >= MIN_TRANSMITTANCE) else np.float32(0.0)
            weight = through * alpha
            behind = through - weight
            v_red, v_green, v_blue = state[_RED + p], state[_GREEN + p], state[_BLUE + p]
            v_weight = red * v_red + green * v_green + blue * v_blue
            rest = state[_REST + p] - weight * v_weight
            # dL/dalpha = T v.c - (what is behind) / (1 - alpha); and dL/dsigma = -alpha dL/dalpha, none where alpha was clamped.
            v_sigma = alpha * rest / (np.float32(1.0) - alpha) - weight * v_weight
            v_sigma = v_sigma if full < MAX_ALPHA else np.float32(0.0)
            state[_THROUGH + p] = behind
            state[_REST + p] = rest
            s_red += weight * v_red
            s_green += weight * v_green
            s_blue += weight * v_blue
            s_1 += v_sigma
            s_x += v_sigma * dx
            s_y += v_sigma * dy
            s_xx += v_sigma * dx * dx
            s_xy += v_sigma * dx * dy
            s_yy += v_sigma * dy * dy
        pair = pairs[k, 1]
        gradients[pair, 0], gradients[pair, 1], gradients[pair, 2] = s_red, s_green, s_blue
        gradients[pair, 3], gradients[pair, 4], gradients[pair, 5] = s_1, s_x, s_y
        gradients[pair, 6], gradients[pair, 7], gradients[pair, 8] = s_xx, s_xy, s_yy
    for k in range(first + needed, last):
        for j in range(GRADIENTS):
            gradients[pairs[k, 1], j] = np.float32(0.0)


@nb.njit(parallel=True, **OPTIONS)
def backward(rows, tile_starts, pairs, pair_starts, needed, image, v_image, gradients, v_rows, workers):
    """Gradients of :func:`forward`.

    Args:
        rows, tile_starts, pairs, pair_starts: as for forward.
        needed: what forward returned.
        image: [4, H, W], what forward wrote.
        v_image: [4, H, W] float32, cotangents of colour and transmittance.
        gradients: [>= E, GRADIENTS] float32 scratch.
        v_rows: [M, 9] float32, receives cotangents of x, y, conic a, b, c, opacity, red, green, blue.
        workers: number of threads.
    """
    _, height, width = image.shape
    across = (width + TILE_WIDTH - 1) // TILE_WIDTH
    tiles = tile_starts.size - 1
    order = _tile_costs(tile_starts)
    for worker in nb.prange(workers):
        state, near = _new_state(), np.empty((_BATCH, COLUMNS), np.float32)
        for i in range(worker, tiles, workers):
            tile = order[i]
            left, top = (tile % across) * TILE_WIDTH, (tile // across) * TILE_HEIGHT
            for p in range(2 * PIXELS, _PLANES * PIXELS):
                state[p] = np.float32(0.0)
            for y in range(min(TILE_HEIGHT, height - top)):
                for x in range(min(TILE_WIDTH, width - left)):
                    p = y * TILE_WIDTH + x
                    rest = v_image[3, top + y, left + x] * image[3, top + y, left + x]
                    for channel in range(3):
                        v = v_image[channel, top + y, left + x]
                        state[(3 + channel) * PIXELS + p] = v
                        rest += v * image[channel, top + y, left + x]
                    state[2 * PIXELS + p] = np.float32(1.0)
                    state[6 * PIXELS + p] = rest
            corner = (np.float32(left), np.float32(top))
            _backward_tile(rows, pairs, tile_starts[tile], needed[tile], tile_starts[tile + 1], corner, near, state, gradients)
    for rank in nb.prange(rows.shape[0]):
        s_red = s_green = s_blue = s_1 = s_x = s_y = s_xx = s_xy = s_yy = np.float32(0.0)
        for pair in range(pair_starts[rank], pair_starts[rank + 1]):
            s_red += gradients[pair, 0]
            s_green += gradients[pair, 1]
            s_blue += gradients[pair, 2]
            s_1 += gradients[pair, 3]
            s_x += gradients[pair, 4]
            s_y += gradients[pair, 5]
            s_xx += gradients[pair, 6]
            s_xy += gradients[pair, 7]
            s_yy += gradients[pair, 8]
        a, b, c = rows[rank, CONIC_A], rows[rank, CONIC_B], rows[rank, CONIC_C]
        # sigma = (a dx^2 + c dy^2) / 2 + b dx dy with dx = pixel - x
        v_rows[rank, 0] = -(a * s_x + b * s_y)
        v_rows[rank, 1] = -(b * s_x + c * s_y)
        v_rows[rank, 2] = np.float32(0.5) * s_xx
        v_rows[rank, 3] = s_xy
        v_rows[rank, 4] = np.float32(0.5) * s_yy
        v_rows[rank, 5] = -s_1 / rows[rank, OPACITY]
        v_rows[rank, 6], v_rows[rank, 7], v_rows[rank, 8] = s_red, s_green, s_blue
