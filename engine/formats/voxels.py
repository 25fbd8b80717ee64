# SPDX-License-Identifier: GPL-3.0-or-later
"""Predicted voxels as a file: probabilities in a NumPy archive, from which surfaces at any threshold are made."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..contract.errors import UserError
from ..contract.result import replacing

_HINT = "Make the voxels again, or choose another result."
# No grid has more cells along a side; a cell takes 2 bytes.
LARGEST = 256
_MOST_BANDS = 65_536


@dataclass(frozen=True, eq=False)
class Voxels:
    """Probabilities [D, D, D] float32 that cells are full, axes x, y, z with z up, and ``bands`` [B, 3] uint8, the colours from top to
    bottom.
    """

    probabilities: np.ndarray
    bands: np.ndarray


def write_voxels(file: Path, voxels: Voxels, **more: Any) -> None:
    """Writes voxels, whole or not at all; ``more`` are further arrays for whoever reads the archive."""
    with replacing(file) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, probabilities=voxels.probabilities.astype(np.float16), bands=voxels.bands, **more)


def read_voxels(file: Path) -> Voxels:
    """Reads voxels; without colours they are grey.

    Raises:
        UserError: the file is missing, damaged, or holds no probabilities.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            # Before memory is taken; an archive may promise anything.
            if any(entry.file_size > 8 * LARGEST**3 for entry in archive.infolist()):
                raise ValueError
        with np.load(file, allow_pickle=False) as values:
            probabilities = values["probabilities"].astype(np.float32)
            bands = values["bands"] if "bands" in values else np.full((1, 3), 128, np.uint8)
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.", _HINT) from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.", _HINT) from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        raise UserError(f"{file} is damaged, or holds no voxels.", _HINT) from None
    cube = probabilities.ndim == 3 and len(set(probabilities.shape)) == 1 and 1 <= len(probabilities) <= LARGEST
    if not cube or not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise UserError(f"{file} is damaged: its probabilities are none of a cube of cells.", _HINT)
    if bands.dtype != np.uint8 or bands.ndim != 2 or bands.shape[1] != 3 or not 1 <= len(bands) <= _MOST_BANDS:
        raise UserError(f"{file} is damaged: its colours cannot be read.", _HINT)
    return Voxels(probabilities, bands)
