# SPDX-License-Identifier: GPL-3.0-or-later
"""Predicted voxels as a file: probabilities in a NumPy archive, from which surfaces at any threshold are made."""

from __future__ import annotations

import math
import re
import struct
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
_MOST_BYTES = 8 * LARGEST**3 + 4096
# The list of an archive's content takes memory and time before anything is unpacked.
_MAX_FILE = 80 << 20
_MAX_NPY_HEADER = 4096
# The header of a NumPy array, as NumPy writes it. Its own reader evaluates what is there as Python.
_NPY = re.compile(rb"\x93NUMPY[\x01-\x03]\x00")
_NPY_FACTS = re.compile(
    r"\{'descr': '(?P<descr>[<>|=][biuf][1248])', 'fortran_order': (?P<fortran>True|False), 'shape': \((?P<shape>[0-9, ]{0,80})\),? *\}\s*"
)


@dataclass(frozen=True, eq=False)
class Voxels:
    """Probabilities [D, D, D] float32 that cells are full, axes x, y, z with z up, and ``bands`` [B, 3] uint8, the colors from top to
    bottom.
    """

    probabilities: np.ndarray
    bands: np.ndarray


def write_voxels(file: Path, voxels: Voxels, **more: Any) -> None:
    """Writes voxels, whole or not at all; ``more`` are further arrays for whoever reads the archive."""
    with replacing(file) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, probabilities=voxels.probabilities.astype(np.float16), bands=voxels.bands, **more)


def read_voxels(file: Path) -> Voxels:
    """Reads voxels; without colors they are gray.

    Raises:
        UserError: the file is missing, damaged, or holds no probabilities.
    """
    try:
        if (size := file.stat().st_size) > _MAX_FILE:
            raise UserError(f"{file} has {size} bytes, too many for voxels.", _HINT)
        with zipfile.ZipFile(file) as archive:
            probabilities = _array(archive, "probabilities.npy", file).astype(np.float32)
            bands = _array(archive, "bands.npy", file) if "bands.npy" in archive.namelist() else np.full((1, 3), 128, np.uint8)
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.", _HINT) from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.", _HINT) from None
    except KeyError:
        raise UserError(f"{file} holds no voxels: it has no array probabilities.", _HINT) from None
    except (ValueError, EOFError, IndexError, struct.error, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        raise UserError(f"{file} is damaged: its archive cannot be unpacked.", _HINT) from None
    cube = probabilities.ndim == 3 and len(set(probabilities.shape)) == 1 and 1 <= len(probabilities) <= LARGEST
    if not cube or not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise UserError(f"{file} is damaged: its probabilities are none of a cube of cells.", _HINT)
    if bands.dtype != np.uint8 or bands.ndim != 2 or bands.shape[1] != 3 or not 1 <= len(bands) <= _MOST_BANDS:
        raise UserError(f"{file} is damaged: its colors cannot be read.", _HINT)
    return Voxels(probabilities, bands)


def _array(archive: zipfile.ZipFile, name: str, file: Path) -> np.ndarray:
    """An array of an archive, whose size is checked before memory is allocated.

    Raises:
        KeyError: there is none of that name.
    """
    entry = archive.getinfo(name)
    # Others, which NumPy never writes, choose how much memory unpacking takes.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError
    if entry.file_size > _MOST_BYTES:
        said = f"its array {name} claims {entry.file_size} bytes, and the largest grid has {_MOST_BYTES}"
        raise UserError(f"{file} is damaged: {said}.", _HINT)
    # An archive may hold more than it says, too.
    with archive.open(entry) as stream:
        data = stream.read(_MOST_BYTES)
    begin = 10 if data[6:7] == b"\x01" else 12
    length = struct.unpack_from("<H" if begin == 10 else "<I", data, 8)[0] if _NPY.match(data) and len(data) > begin else 0
    facts = _NPY_FACTS.fullmatch(data[begin : begin + length].decode("latin-1")) if length <= _MAX_NPY_HEADER else None
    if not length or facts is None:
        raise UserError(f"{file} is damaged: its array {name} has no header of NumPy, or holds other things than numbers.", _HINT)
    shape = tuple(int(side) for side in facts["shape"].split(",") if side.strip())
    kind = np.dtype(facts["descr"])
    if len(shape) > 3 or math.prod(shape) * kind.itemsize != len(data) - begin - length:
        raise UserError(f"{file} is damaged: its array {name} has the shape {shape}, and {len(data) - begin - length} bytes.", _HINT)
    return np.frombuffer(data, kind, offset=begin + length).reshape(shape, order="F" if facts["fortran"] == "True" else "C")
