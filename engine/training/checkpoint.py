# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints: a trainer's whole state in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..contract.errors import UserError
from ..contract.result import CHECKPOINT, replacing


def write_checkpoint(folder: Path, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Writes the state whole or not at all. ``facts`` holds what JSON can."""
    # safetensors' writer takes contiguous arrays only, and stores the bytes of others in silence (0.5).
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with replacing(folder / CHECKPOINT) as temporary:
        # Not save_file: it hides a full disk in an error of its own.
        temporary.write_bytes(save(whole, {"state": json.dumps(facts)}))


def read_checkpoint(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Reads the state, None where none was written yet.

    Raises:
        UserError: the file is damaged.
    """
    file = folder / CHECKPOINT
    if not file.is_file():
        return None
    try:
        with safe_open(file, "numpy") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}, json.loads(tensors.metadata()["state"])
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file} is damaged: {error}.", "Train anew with --overwrite.") from None
