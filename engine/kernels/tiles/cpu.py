# SPDX-License-Identifier: GPL-3.0-or-later
"""Which gaussian touches which tile, exactly, in depth order: a radix sort by depth, then a stable counting sort by tile.

A gaussian's footprint is the ellipse where its alpha reaches 1/255. A tile is a strip of TILE_WIDTH columns cut every TILE_HEIGHT rows. For
each strip the rows that the ellipse covers follow in closed form, so the test is exact, and the rasteriser gets those rows with the pair.

The exponent of a gaussian is -(p_x dx^2 + p_y (dy - slope dx)^2) / 2: p_x is one over the variance of x, slope the covariance over the
variance of x, and p_y one over the variance of y where x is given. These are the factors L D L^T of the inverse covariance (a, b; b, c),
whose own numbers lose all digits of a long thin gaussian: in float32 ac - b^2 is 0 or negative, and the exponent positive.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ..math import OPTIONS, U, bits_of_float

# A power of two, for division by shifting.
_TILE_SHIFT = np.int32(4)
TILE_WIDTH = TILE_HEIGHT = 1 << 4

# Parts that are listed, counted and placed independently. A constant, so that the work does not depend on the number of threads.
_CHUNKS = 16

# Spans whose arithmetic is done at a time: few enough to stay in the nearest cache.
_BATCH = 256

# Pairs are numbered by int32.
_MAX_PAIRS = 2**31 - 1

_0, _HALF, _1 = np.float32(0.0), np.float32(0.5), np.float32(1.0)

# Columns of a projected gaussian's row, see kernels/project.
X, Y, PRECISION_X, SLOPE, PRECISION_Y, OPACITY, RED, GREEN, BLUE, DEPTH, EXTENT = range(11)
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


@nb.njit(inline="always", **OPTIONS)
def _up(place, size):
    """The first of ``size`` pixels that is not before a place; ``size`` where there is none, 0 for NaN."""
    # Not min and max, which keep NaN: as an integer that would be any index.
    place = place if place > _0 else _0
    place = place if place < np.float32(size) else np.float32(size)
    whole = np.int32(place)
    return whole + np.int32(np.float32(whole) < place)


@nb.njit(inline="always", **OPTIONS)
def _down(place, size):
    """The last of ``size`` pixels that is not beyond a place; -1 where there is none, and for NaN."""
    place = place if place > np.float32(-1.0) else np.float32(-1.0)
    place = place if place < np.float32(size - 1) else np.float32(size - 1)
    whole = np.int32(place)
    return whole - np.int32(np.float32(whole) > place)


@nb.njit(**OPTIONS)
def _reach(rows, width, first_strips, strips, begin, end):
    """First strip (tile column) whose pixel centres each ellipse reaches, and how many there are. Returns their sum."""
    total = 0
    for rank in range(U(begin), U(end)):
        half = math.sqrt(rows[rank, EXTENT] / rows[rank, PRECISION_X])
        first = _up(rows[rank, X] - half - _HALF, width)
        last = _down(rows[rank, X] + half - _HALF, width)
        first_strips[rank] = first >> _TILE_SHIFT
        count = (last >> _TILE_SHIFT) - (first >> _TILE_SHIFT) + np.int32(1) if first <= last else np.int32(0)
        strips[rank] = count
        total += count
    return total


@nb.njit(**OPTIONS)
def _list_spans(first_strips, strips, begin, end, ranks, columns):
    """Writes rank and strip of each span, a gaussian's ellipse in one strip, gaussian by gaussian."""
    k = U(0)
    for rank in range(U(begin), U(end)):
        for strip in range(first_strips[rank], first_strips[rank] + strips[rank]):
            ranks[k], columns[k] = rank, strip
            k += U(1)


@nb.njit(**OPTIONS)
def _gather_spans(rows, ranks, columns, near):
    """Copies what the spans' arithmetic needs side by side: the first pixel's dx, the last pixel's, y and the ellipse."""
    for k in range(U(ranks.size)):
        rank = U(ranks[k])
        left = np.float32(columns[k] * TILE_WIDTH) + _HALF - rows[rank, X]
        near[0, k], near[1, k], near[2, k] = left, left + np.float32(TILE_WIDTH - 1), rows[rank, Y]
        near[3, k], near[4, k], near[5, k] = rows[rank, PRECISION_X], rows[rank, SLOPE], rows[rank, PRECISION_Y]
        near[6, k] = rows[rank, EXTENT]


@nb.njit(**OPTIONS)
def _span_rows(near, height, firsts, lasts):
    """First and last pixel row that the ellipse reaches in each span; last < first where there is none. Returns how many tiles that makes.

    The ellipse's upper and lower edges, dy = slope dx ± sqrt((extent - p_x dx^2) / p_y), are concave and convex in dx, so their extremes
    over the strip lie at the ellipse's own extreme, moved into the strip: dx is there the covariance times sqrt(extent / variance of y).
    """
    total = 0
    for k in range(U(firsts.size)):
        left, right, y = near[0, k], near[1, k], near[2, k]
        p_x, slope, p_y, extent = near[3, k], near[4, k], near[5, k], near[6, k]
        half_width = math.sqrt(extent / p_x)
        left, right = max(left, -half_width), min(right, half_width)
        covariance = slope / p_x
        at_bottom = covariance * math.sqrt(extent / (_1 / p_y + slope * covariance))
        low_dx = min(max(-at_bottom, left), right)
        high_dx = min(max(at_bottom, left), right)
        low = slope * low_dx - math.sqrt(max(extent - p_x * low_dx * low_dx, _0) / p_y)
        high = slope * high_dx + math.sqrt(max(extent - p_x * high_dx * high_dx, _0) / p_y)
        first, last = _up(y + low - _HALF, height), _down(y + high - _HALF, height)
        last = last if left <= right else np.int32(-1)
        firsts[k], lasts[k] = first, last
        total += (last >> _TILE_SHIFT) - (first >> _TILE_SHIFT) + np.int32(1) if first <= last else np.int32(0)
    return total


@nb.njit(**OPTIONS)
def _list_pairs(ranks, columns, firsts, lasts, across, listed, counts, own_counts):
    """Writes tile, rank and rows of each pair, gaussian by gaussian, and counts them by tile and by gaussian.

    Most spans reach one tile or two. Both are written, and kept or not, without a branch that nothing could predict.
    """
    at = U(0)
    for k in range(U(ranks.size)):
        first, last = firsts[k], lasts[k]
        band = first >> _TILE_SHIFT
        tiles = (last >> _TILE_SHIFT) - band + 1 if first <= last else 0
        tile, top = band * across + columns[k], band << _TILE_SHIFT
        own_counts[ranks[k]] += tiles
        for step in range(max(tiles, 2)):
            listed[at, 0], listed[at, 1] = tile, ranks[k]
            listed[at, 2], listed[at, 3] = max(first - top, 0), min(last - top, TILE_HEIGHT - 1) + 1
            there = step < tiles
            # A tile that is not there may lie below the picture.
            counts[U(tile if there else 0)] += there
            at += U(there)
            tile += across
            top += TILE_HEIGHT


@nb.njit(**OPTIONS)
def _place(listed, begin, end, cursors, sources, own, first_pair):
    """Gives each listed pair its tile's next place."""
    pair = U(first_pair)
    for k in range(U(begin), U(end)):
        tile = U(listed[k, 0])
        at = cursors[tile]
        cursors[tile] = at + 1
        own[pair] = at
        pair += U(1)
        sources[U(at)] = k


@nb.njit(parallel=True, **OPTIONS)
def _bin(rows, width, height, workers):
    count = rows.shape[0]
    across = (width + TILE_WIDTH - 1) // TILE_WIDTH
    down = (height + TILE_HEIGHT - 1) // TILE_HEIGHT
    tiles = across * down
    # Of ranks, spans and pairs, where each chunk starts. Chunks go round among the threads: those near the camera hold larger gaussians.
    cuts = np.arange(_CHUNKS + 1) * count // _CHUNKS
    spans, made = np.zeros(_CHUNKS + 1, np.int64), np.zeros(_CHUNKS + 1, np.int64)
    first_strips, strips = np.empty(count, np.int32), np.empty(count, np.int32)
    for worker in nb.prange(workers):
        for chunk in range(worker, _CHUNKS, workers):
            spans[chunk + 1] = _reach(rows, width, first_strips, strips, cuts[chunk], cuts[chunk + 1])
    for chunk in range(_CHUNKS):
        spans[chunk + 1] += spans[chunk]
    ranks, columns = np.empty(spans[_CHUNKS], np.int32), np.empty(spans[_CHUNKS], np.int32)
    firsts, lasts = np.empty(spans[_CHUNKS], np.int32), np.empty(spans[_CHUNKS], np.int32)
    for worker in nb.prange(workers):
        for chunk in range(worker, _CHUNKS, workers):
            begin, end = spans[chunk], spans[chunk + 1]
            _list_spans(first_strips, strips, cuts[chunk], cuts[chunk + 1], ranks[begin:end], columns[begin:end])
            near = np.empty((7, _BATCH), np.float32)
            for k in range(begin, end, _BATCH):
                stop = min(k + _BATCH, end)
                _gather_spans(rows, ranks[k:stop], columns[k:stop], near)
                made[chunk + 1] += _span_rows(near, height, firsts[k:stop], lasts[k:stop])
    for chunk in range(_CHUNKS):
        made[chunk + 1] += made[chunk]
    total = made[_CHUNKS]
    if total > _MAX_PAIRS:
        raise MemoryError("The gaussians cover more tiles of the image than can be numbered.")
    counts = np.zeros((_CHUNKS, tiles), np.int32)
    own_starts = np.zeros(count + 1, np.int64)
    # Behind each chunk's list is room for the two that a span writes before it knows.
    listed = np.empty((total + 2 * _CHUNKS, 4), np.int32)
    for worker in nb.prange(workers):
        for chunk in range(worker, _CHUNKS, workers):
            begin, end = spans[chunk], spans[chunk + 1]
            here = listed[made[chunk] + 2 * chunk :]
            _list_pairs(
                ranks[begin:end], columns[begin:end], firsts[begin:end], lasts[begin:end], across, here, counts[chunk], own_starts[1:]
            )
            running = made[chunk]
            for rank in range(cuts[chunk], cuts[chunk + 1]):
                running += own_starts[rank + 1]
                own_starts[rank + 1] = running
    tile_starts = np.empty(tiles + 1, np.int64)
    start = 0
    for tile in range(tiles):
        tile_starts[tile] = start
        for chunk in range(_CHUNKS):
            here = counts[chunk, tile]
            counts[chunk, tile] = start
            start += here
    tile_starts[tiles] = start
    pairs, own, sources = np.empty((total, 3), np.int32), np.empty(total, np.int32), np.empty(total, np.int32)
    for worker in nb.prange(workers):
        for chunk in range(worker, _CHUNKS, workers):
            first, last = made[chunk] + 2 * chunk, made[chunk + 1] + 2 * chunk
            _place(listed, first, last, counts[chunk], sources, own, made[chunk])
    # Fetched from all over memory, written in order: a load that misses the cache lets others pass, a store does not.
    for at in nb.prange(total):
        k = sources[at]
        pairs[at, 0], pairs[at, 1], pairs[at, 2] = listed[k, 1], listed[k, 2], listed[k, 3]
    return tile_starts, pairs, own_starts, own


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

    Raises:
        MemoryError: there are more pairs than int32 can number.
    """
    return _bin(rows, width, height, nb.get_num_threads())
