# SPDX-License-Identifier: GPL-3.0-or-later
"""EXR images for compositing: scene-linear colors, alpha and planar depth."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np

from ..contract.errors import UserError
from ..contract.result import replacing
from .packages import require
from .png import SOFTWARE

# Blender's own renders hold this depth where nothing is.
NO_DEPTH = np.float32(1e10)
_MAX_HALF = 65504.0


def openexr() -> ModuleType:
    """The package that reads and writes EXR.

    Raises:
        UserError: it is not installed.
    """
    return require("OpenEXR", "EXR images")


def is_ours(file: Path) -> bool:
    """Whether :func:`write_exr` wrote an EXR."""
    try:
        return openexr().File(str(file), header_only=True).header().get("software") == SOFTWARE
    except (OSError, RuntimeError, ValueError):
        return False


def write_exr(file: Path, linear: np.ndarray, alpha: np.ndarray, depth: np.ndarray) -> None:
    """Writes an EXR with the channels R, G, B, A (half) and Depth.Z (float); Blender does not read a depth that has no layer name.

    Args:
        file: receives the image.
        linear: [3, H, W] scene-linear, multiplied by alpha.
        alpha: [H, W].
        depth: [H, W] planar z, 0 = none, which becomes 1e10.

    Raises:
        UserError: the file cannot be written, or the package is missing.
    """
    package = openexr()
    half = np.clip(np.nan_to_num(np.concatenate([linear, alpha[None]])), -_MAX_HALF, _MAX_HALF).astype(np.float16)
    channels = {name: np.ascontiguousarray(plane) for name, plane in zip("RGBA", half, strict=True)}
    channels["Depth.Z"] = np.where(depth > 0, depth, NO_DEPTH).astype(np.float32)
    header = {"compression": package.ZIP_COMPRESSION, "type": package.scanlineimage, "software": SOFTWARE}
    with replacing(file) as temporary:
        try:
            package.File(header, channels).write(str(temporary))
        except ValueError:
            # OpenEXR (3.5) takes no other names.
            raise UserError(f"{file} cannot be written: its name is not UTF-8.", "Choose another --out, or --format png.") from None
        except RuntimeError as error:
            # OpenEXR raises nothing else, and states its reason after the name of our temporary file.
            reason = str(error).rpartition('". ')[2].strip(". ")
            raise UserError(f"{file} could not be written: {reason}.", "Check the free disk space and the permissions.") from None
