# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks at the doors of kernels, which do not check their indices themselves."""

from __future__ import annotations

import numpy as np

Shape = tuple[int | None, ...]


def given(name: str, array: np.ndarray, shape: Shape, dtype: type = np.float32) -> np.ndarray:
    """An array that a kernel reads, contiguous and of a dtype. None is a side of any length.

    Raises:
        ValueError: it has another shape.
    """
    array = np.ascontiguousarray(array, dtype)
    check(name, array, shape, dtype)
    return array


def check(name: str, array: np.ndarray, shape: Shape, dtype: type = np.float32) -> None:
    """Raises ValueError unless an array, that a kernel writes, is contiguous and of a dtype and shape. None is a side of any length."""
    fits = array.ndim == len(shape) and all(side in (None, actual) for side, actual in zip(shape, array.shape, strict=True))
    if not (fits and array.dtype == dtype and array.flags.c_contiguous):
        raise ValueError(f"{name} is {array.dtype.name} {list(array.shape)}, and has to be {np.dtype(dtype).name} {list(shape)}.")


def check_indices(name: str, indices: np.ndarray, count: int) -> None:
    """Raises ValueError unless all indices are from 0 to ``count`` - 1."""
    if indices.size and not (indices.min() >= 0 and indices.max() < count):
        raise ValueError(f"{name} has numbers from {indices.min()} to {indices.max()}, and there are {count}.")
