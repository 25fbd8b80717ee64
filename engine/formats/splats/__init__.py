# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats and their files: one module a format, here what picks by the file's name.

Splats in memory are in our world, Z up. SPZ and glTF define their axes; PLY and .splat do not. A PLY that we wrote names its axes in a
comment; others come from training on COLMAP's cameras, mostly, and have Y down. So do .splat files, which have no comments: ours as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ...cameras import WORLD_AXES
from ...contract.errors import UserError
from .dot_splat import read_dot_splat, write_dot_splat
from .gaussians import Note, Splats
from .glb import read_glb, write_glb
from .ply import holds_splats, read_ply, stated_axes, write_ply
from .spz import read_spz, write_spz
from .transform import moved

__all__ = ["AXES", "READERS", "WRITERS", "Splats", "check_target", "holds_splats", "read_splats", "write_splats"]

READERS: dict[str, Callable[[Path, Note | None], Splats]] = {".ply": read_ply, ".spz": read_spz, ".splat": read_dot_splat, ".glb": read_glb}
WRITERS: dict[str, Callable[[Path, Splats], None]] = {".ply": write_ply, ".spz": write_spz, ".splat": write_dot_splat, ".glb": write_glb}
# The axes that files are written with, and that they are taken to have. PLY of other programs have others.
AXES = {".ply": "z-up", ".splat": "y-down", ".spz": "y-up", ".glb": "y-up"}
_FOREIGN_PLY = "y-down"


def read_splats(file: Path, axes: str | None = None, note: Note | None = None) -> Splats:
    """Reads splats from a PLY (ordinary or PlayCanvas' compressed), SPZ, .splat or GLB file.

    Args:
        file: the file; its suffix says what it is.
        axes: a key of :data:`~engine.cameras.WORLD_AXES`, where the file has other axes than its format, or than a PLY says.
        note: takes sentences on what is ignored or changed, and on splats that are not finite and are left out, as trainers of others
            leave some; without it those are an error.

    Returns:
        The splats with Z up.

    Raises:
        UserError: the file is missing or damaged, holds no splats, or holds numbers that are not finite.
    """
    read = _chosen(READERS, file)
    try:
        splats = read(file, note).with_finite_limits()
        axes = axes or (stated_axes(file) or _FOREIGN_PLY if read is read_ply else AXES[file.suffix.lower()])
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None
    drawable = splats.drawable()
    if note is not None and drawable.any() and not drawable.all():
        note(f"{int((~drawable).sum())} of {len(splats)} splats hold numbers that are not finite, and were left out.")
        splats = splats.select(drawable)
    splats.check(str(file))
    return splats if axes == "z-up" else moved(splats, WORLD_AXES[axes], in_place=True)


def write_splats(file: Path, splats: Splats, axes: str | None = None, spz_version: int | None = None) -> None:
    """Writes splats to the format of the file's suffix, whole or not at all.

    Args:
        file: the file.
        splats: with Z up.
        axes: as for :func:`read_splats`.
        spz_version: 2 or 3, for SPZ.

    Raises:
        UserError: a number is not finite, the format cannot hold the splats, or the disk is full.
    """
    write = _chosen(WRITERS, file)
    if spz_version is not None and write is write_spz:
        write = partial(write_spz, version=spz_version)
    splats.check(str(file))
    axes = axes or AXES[file.suffix.lower()]
    if write is write_ply:
        write = partial(write_ply, axes=axes)
    write(file, splats if axes == "z-up" else moved(splats, WORLD_AXES[axes].T))


def check_target(file: Path) -> None:
    """Refuses a file whose suffix is of no format that is written.

    Raises:
        UserError: so it is.
    """
    _chosen(WRITERS, file)


def _chosen(table: dict[str, Callable], file: Path) -> Callable:
    if file.suffix.lower() not in table:
        raise UserError(f"{file} has no suffix of a file of splats.", f"Name one of {', '.join(table)}.")
    return table[file.suffix.lower()]
