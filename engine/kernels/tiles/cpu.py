# SPDX-License-Identifier: GPL-3.0-or-later
"""Which gaussian touches which tile, exactly, in depth order: a radix sort by depth, then a stable counting sort by tile.

A gaussian's footprint is the ellipse where its alpha reaches 1/255. A tile is a strip of TILE_WIDTH columns cut every TILE_HEIGHT rows. For
each strip the rows that the ellipse covers follow in closed form, so the test is exact, and the rasteriser gets those rows with the pair.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ..math import OPTIONS, bits_of_float

TILE_WIDTH = 16
TILE_HEIGHT = 16

# Parts that count and fill independently. A constant, so that the work does not depend on the number of threads.
_CHUNKS = 16

# Pairs are counted first and filled in later: both times the arithmetic has to round alike, so none of it may be reordered.
_EXACT = {**OPTIONS, "fastmath": False}

# Columns of a projected gaussian's row, see kernels/project.
X, Y, CONIC_A, CONIC_B, CONIC_C, OPACITY, RED, GREEN, BLUE, DEPTH, EXTENT = range(11)
COLUMNS = 12


@nb.njit(**OPTIONS)
def depth_order(splats, visible):
    """Indices of the visible gaussians, nearest first; equal depths keep their order.

    Args:
        splats: [N, COLUMNS] float32.
        visible: [N] bool.

    Returns:
        [M] int32.
    """
    count = 0
    for i in range(visible.size):
        count += visible[i]
    index = np.empty(count, np.int32)
    key = np.empty(count, np.uint32)
    j = 0
    for i in range(visible.size):
        if visible[i]:
            index[j] = i
            # Positive floats order like their bits.
            key[j] = np.uint32(bits_of_float(splats[i, DEPTH]))
            j += 1
    other_index = np.empty_like(index)
    other_key = np.empty_like(key)
    histogram = np.zeros((3, 2048), np.int64)
    for i in range(count):
        k = key[i]
        histogram[0, k & np.uint32(2047)] += 1
        histogram[1, (k >> np.uint32(11)) & np.uint32(2047)] += 1
        histogram[2, k >> np.uint32(22)] += 1
    for digit in range(3):
        shift = np.uint32(11 * digit)
        total = 0
        for b in range(2048):
            here = histogram[digit, b]
            histogram[digit, b] = total
            total += here
        for i in range(count):
            b = (key[i] >> shift) & np.uint32(2047)
            at = histogram[digit, b]
            histogram[digit, b] = at + 1
            other_key[at] = key[i]
            other_index[at] = index[i]
        key, other_key = other_key, key
        index, other_index = other_index, index
    return index


@nb.njit(parallel=True, **OPTIONS)
def gather_rows(splats, order):
    """Rows of ``splats`` in ``order``, so that the rasteriser reads memory forward. [M, COLUMNS]."""
    rows = np.empty((order.size, COLUMNS), np.float32)
    for i in nb.prange(order.size):
        for c in range(COLUMNS):
            rows[i, c] = splats[order[i], c]
    return rows


@nb.njit(**_EXACT)
def _strips(rows, rank, width):
    """First and last strip (tile column) whose pixel centres the ellipse reaches; last < first where there is none."""
    a, b, c = rows[rank, CONIC_A], rows[rank, CONIC_B], rows[rank, CONIC_C]
    half = math.sqrt(rows[rank, EXTENT] * c / (a * c - b * b))
    first = max(math.ceil(rows[rank, X] - half - np.float32(0.5)), 0)
    last = min(math.floor(rows[rank, X] + half - np.float32(0.5)), width - 1)
    if last < first:
        return 0, -1
    return int(first) // TILE_WIDTH, int(last) // TILE_WIDTH


@nb.njit(**_EXACT)
def _strip_rows(rows, rank, strip, height):
    """First and last pixel row that the ellipse reaches inside a strip; last < first where there is none.

    The ellipse is a dx^2 + 2 b dx dy + c dy^2 = e. Its upper and lower edges, dy = (-b dx ± sqrt(c e - (ac - b^2) dx^2)) / c, are concave
    and convex in dx, so their extremes over the strip lie at the ellipse's own extreme, moved into the strip.
    """
    a, b, c, extent = rows[rank, CONIC_A], rows[rank, CONIC_B], rows[rank, CONIC_C], rows[rank, EXTENT]
    det = a * c - b * b
    left = np.float32(strip * TILE_WIDTH) + np.float32(0.5) - rows[rank, X]
    right = left + np.float32(TILE_WIDTH - 1)
    half_width = math.sqrt(extent * c / det)
    left, right = max(left, -half_width), min(right, half_width)
    if right < left:
        return 0, -1
    at_top = b / a * math.sqrt(extent * a / det)
    low_dx = min(max(at_top, left), right)
    high_dx = min(max(-at_top, left), right)
    low = (-b * low_dx - math.sqrt(max(c * extent - det * low_dx * low_dx, np.float32(0.0)))) / c
    high = (-b * high_dx + math.sqrt(max(c * extent - det * high_dx * high_dx, np.float32(0.0)))) / c
    first = max(math.ceil(rows[rank, Y] + low - np.float32(0.5)), 0)
    last = min(math.floor(rows[rank, Y] + high - np.float32(0.5)), height - 1)
    return int(first), int(last)


@nb.njit(parallel=True, **OPTIONS)
def bin_pairs(rows, width, height):
    """The pairs of gaussian and tile, by tile, nearest gaussian first.

    Args:
        rows: [M, COLUMNS] float32, projected gaussians in depth order.
        width, height: picture size, px.

    Returns:
        tile_starts: [tiles + 1] int64, where each tile's pairs start; tiles are numbered row by row.
        pairs: [E, 3] int32: rank of the gaussian, first and last+1 row inside the tile.
        own_starts: [M + 1] int64, where each gaussian's own pairs start in ``own``.
        own: [E] int32, places in ``pairs``, gaussian by gaussian.
    """
    count = rows.shape[0]
    across = (width + TILE_WIDTH - 1) // TILE_WIDTH
    down = (height + TILE_HEIGHT - 1) // TILE_HEIGHT
    tiles = across * down
    counts = np.zeros((_CHUNKS, tiles), np.int32)
    own_starts = np.zeros(count + 1, np.int64)
    step = (count + _CHUNKS - 1) // _CHUNKS
    for chunk in nb.prange(_CHUNKS):
        for rank in range(chunk * step, min((chunk + 1) * step, count)):
            first_strip, last_strip = _strips(rows, rank, width)
            here = 0
            for strip in range(first_strip, last_strip + 1):
                first, last = _strip_rows(rows, rank, strip, height)
                if first <= last:
                    for band in range(first // TILE_HEIGHT, last // TILE_HEIGHT + 1):
                        counts[chunk, band * across + strip] += 1
                        here += 1
            own_starts[rank + 1] = here
    for rank in range(count):
        own_starts[rank + 1] += own_starts[rank]
    tile_starts = np.empty(tiles + 1, np.int64)
    cursors = np.empty((_CHUNKS, tiles), np.int64)
    total = 0
    for tile in range(tiles):
        tile_starts[tile] = total
        for chunk in range(_CHUNKS):
            cursors[chunk, tile] = total
            total += counts[chunk, tile]
    tile_starts[tiles] = total
    pairs, own = np.empty((total, 3), np.int32), np.empty(total, np.int32)
    for chunk in nb.prange(_CHUNKS):
        for rank in range(chunk * step, min((chunk + 1) * step, count)):
            pair = own_starts[rank]
            first_strip, last_strip = _strips(rows, rank, width)
            for strip in range(first_strip, last_strip + 1):
                first, last = _strip_rows(rows, rank, strip, height)
                if first <= last:
                    for band in range(first // TILE_HEIGHT, last // TILE_HEIGHT + 1):
                        tile = band * across + strip
                        at = cursors[chunk, tile]
                        cursors[chunk, tile] = at + 1
                        own[pair] = at
                        pair += 1
                        pairs[at, 0] = rank
                        pairs[at, 1] = max(first - band * TILE_HEIGHT, 0)
                        pairs[at, 2] = min(last - band * TILE_HEIGHT, TILE_HEIGHT - 1) + 1
    return tile_starts, pairs, own_starts, own
