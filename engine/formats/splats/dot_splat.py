# SPDX-License-Identifier: GPL-3.0-or-later
""".splat, the file of antimatter15's viewer: 32 bytes a splat, no header, no harmonics, no word on axes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ...contract.errors import UserError
from ...contract.result import replacing
from ...harmonics import SH_C0
from ..memory import check_memory
from .gaussians import Note, Splats, in_blocks, logarithms, logits, opacities, splat_bytes, unit_quats

_ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 3), ("opacity", "u1"), ("quat", "u1", 4)])


def read_dot_splat(file: Path, note: Note | None = None) -> Splats:
    """Reads splats of degree 0.

    Raises:
        UserError: the file is empty, or its size is not that of whole splats.
    """
    with open(file, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        # The file, its splats, and the same turned.
        check_memory(file, size + 2 * splat_bytes(0) * (size // _ROW.itemsize), size)
        data = stream.read()
    if not data or len(data) % _ROW.itemsize:
        raise UserError(f"{file} is not a complete .splat file: it has {len(data)} bytes, and a splat has 32.", "Export it again.")
    table = np.frombuffer(data, dtype=_ROW)

    def decode(part: slice) -> Splats:
        rows = table[part]
        return Splats(
            means=rows["mean"].astype(np.float32),
            log_scales=logarithms(rows["scale"]),
            # Some writers put 0 at 128, others at 127.5. Normalizing brings both to within a step of the same rotation.
            quats=unit_quats(rows["quat"] - 128.0).astype(np.float32),
            opacity_logits=logits(rows["opacity"] / 255),
            sh=((rows["color"] / 255 - 0.5) / SH_C0).astype(np.float32)[:, None],
        )

    return in_blocks(len(table), decode)


def write_dot_splat(file: Path, splats: Splats) -> None:
    """Writes the splats, in their order, without harmonics above degree 0.

    Raises:
        UserError: there are no splats, one's size is beyond float32, or the disk is full.
    """
    if not len(splats):
        raise UserError(f"There are no splats to write to {file}, and a .splat file holds at least one.")
    rows = np.empty(len(splats), dtype=_ROW)
    rows["mean"] = splats.means
    with np.errstate(over="ignore"):
        rows["scale"] = np.exp(splats.log_scales.astype(np.float64))
    if not np.isfinite(rows["scale"]).all():
        raise UserError(f"A splat is too large to be written to {file}.", "Remove it first, for example with --remove-floaters.")
    rows["color"] = _byte((splats.sh[:, 0] * SH_C0 + 0.5) * 255)
    rows["opacity"] = _byte(opacities(splats) * 255)
    rows["quat"] = _byte(unit_quats(splats.quats) * 128 + 128)
    with replacing(file) as temporary:
        temporary.write_bytes(rows.tobytes())


def _byte(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
