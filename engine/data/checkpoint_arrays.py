# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrays of checkpoints, checked before they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from safetensors import SafetensorError

from ..contract.checkpoints import CaptureFacts
from ..contract.errors import UserError
from .views import View


def saved_array(
    arrays: Mapping[str, np.ndarray],
    name: str,
    shape: Sequence[int | None],
    dtype: type = np.float32,
    *,
    allow: Literal["finite", "infinity", "any"] = "finite",
) -> np.ndarray:
    """An array of a checkpoint.

    Args:
        arrays: all of them by name. name: of this one.
        shape: expected; None where any length will do.
        dtype: expected.
        allow: which numbers it may hold: finite ones, also infinity, or also NaN.

    Raises:
        UserError: it is missing, has another shape or dtype, or holds what it must not (code ``damaged``).
    """
    array = arrays.get(name)
    wrong = None
    if array is None:
        wrong = f"it lacks {name}"
    elif len(array.shape) != len(shape) or any(want is not None and have != want for have, want in zip(array.shape, shape, strict=True)):
        wanted = " × ".join("any" if length is None else str(length) for length in shape) or "a single number"
        wrong = f"{name} has the shape {list(array.shape)} instead of {wanted}"
    elif array.dtype != dtype:
        wrong = f"{name} is of {array.dtype} instead of {np.dtype(dtype)}"
    elif array.dtype.kind == "f" and (
        (allow == "finite" and not np.isfinite(array).all()) or (allow == "infinity" and np.isnan(array).any())
    ):
        wrong = f"{name} holds a number that is not finite"
    if wrong is not None:
        raise UserError(f"{wrong}.", code="damaged")
    return array


def reason(error: Exception) -> str:
    """Why a file of arrays cannot be used, of what its reader raised; for the end of a sentence."""
    if isinstance(error, SafetensorError):
        # Its own words are of the parser, and name bytes of the header.
        return "its header does not fit its content"
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    if isinstance(error, (TypeError, AttributeError)):
        return "a value in it is of the wrong kind"
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def check_same_views(facts: CaptureFacts, views: Sequence[View]) -> None:
    """Refuses a checkpoint of other views than these.

    Raises:
        UserError: the names differ (code ``changed``).
    """
    if list(facts.views) != [view.name for view in views]:
        raise UserError("The capture has other views than when this training began.", code="changed")
