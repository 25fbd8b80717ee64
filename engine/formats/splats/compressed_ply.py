# SPDX-License-Identifier: GPL-3.0-or-later
"""PlayCanvas' compressed PLY: numbers of a few bits between the bounds of a chunk of 256 splats.

Layout as in https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/ply/#compressed-ply-format
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...contract.errors import UserError
from ...harmonics import SH_C0
from ..ply import Vertices, read_element
from .gaussians import MIN_LOG_SCALE, Splats, in_blocks, logits

_CHUNK = 256
_PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")


def is_compressed(vertices: Vertices) -> bool:
    """Whether the vertices of a PLY are packed splats."""
    return any(name in vertices.columns for name in _PACKED)


def unpack(file: Path, vertices: Vertices) -> Splats:
    """Unpacks the splats of a compressed PLY.

    Args:
        file: the PLY, whose chunks and harmonics are still to be read.
        vertices: its vertices.

    Raises:
        UserError: a part is missing, or the parts do not belong together.
    """
    damaged = UserError(f"{file} is damaged: the parts of this compressed PLY do not fit together.", "Export it again.")
    for name in _PACKED:
        if name not in vertices.columns or vertices.columns[name].dtype != np.uint32:
            raise UserError(f"{file} is damaged: its element vertex has no {name} of 32 bits.", "Export it again.")
    chunks = read_element(file, "chunk")
    if chunks is None or len(chunks) * _CHUNK < len(vertices):
        raise UserError(f"{file} is damaged: its element chunk has too few bounds for {len(vertices)} splats.", "Export it again.")

    def bounds(names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ends = [[f"{end}_{name}" for name in names] for end in ("min", "max")]
        if missing := [name for end in ends for name in end if name not in chunks.columns]:
            raise UserError(f"{file} is damaged: its element chunk has no {missing[0]}.", "Export it again.")
        return chunks.stack(ends[0], np.float64), chunks.stack(ends[1], np.float64)

    positions, scales = bounds(["x", "y", "z"]), bounds(["scale_x", "scale_y", "scale_z"])
    # Between -inf, the bound of flat splats, and another there is no number.
    scales = tuple(np.maximum(end, MIN_LOG_SCALE) for end in scales)
    # The first writers had no bounds for colors.
    colors = bounds(["r", "g", "b"]) if "min_r" in chunks.columns else None
    higher = _harmonics(file, len(vertices), damaged)

    def decode(part: slice) -> Splats:
        position, rotation, scale, color = (vertices.columns[name][part] for name in _PACKED)
        chunk = np.arange(part.start, part.stop) // _CHUNK

        def between(ends: tuple[np.ndarray, np.ndarray], shares: np.ndarray) -> np.ndarray:
            # Infinite bounds give splats that are not finite, which are left out.
            with np.errstate(invalid="ignore", over="ignore"):
                return ends[0][chunk] * (1 - shares) + ends[1][chunk] * shares

        rgba = np.stack([_bits(color, shift, 8) for shift in (24, 16, 8, 0)], axis=1)
        base = ((rgba[:, :3] if colors is None else between(colors, rgba[:, :3])) - 0.5) / SH_C0
        return Splats(
            means=_single(between(positions, _11_10_11(position))),
            log_scales=_single(between(scales, _11_10_11(scale))),
            quats=_rotations(rotation),
            opacity_logits=logits(rgba[:, 3]),
            sh=_single(np.concatenate([base[:, None], _decoded(higher[part])], axis=1)),
        )

    return in_blocks(len(vertices), decode)


def _single(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _bits(packed: np.ndarray, shift: int, bits: int) -> np.ndarray:
    """Some bits of each number as a share of their largest value, 0 to 1."""
    most = (1 << bits) - 1
    return ((packed >> np.uint32(shift)) & np.uint32(most)) / most


def _11_10_11(packed: np.ndarray) -> np.ndarray:
    return np.stack([_bits(packed, 21, 11), _bits(packed, 11, 10), _bits(packed, 0, 11)], axis=1)


def _rotations(packed: np.ndarray) -> np.ndarray:
    """The three smaller parts of each quaternion wxyz, 10 bits each; the largest follows from them. [N, 4] float32."""
    small = np.stack([_bits(packed, shift, 10) for shift in (20, 10, 0)], axis=1) * np.sqrt(2) - np.sqrt(0.5)
    largest = (packed >> np.uint32(30)).astype(np.int64)
    quats = np.empty((len(packed), 4))
    for index in range(4):
        here = largest == index
        quats[here] = np.insert(small[here], index, np.sqrt(np.maximum(0, 1 - (small[here] ** 2).sum(axis=1))), axis=1)
    return quats.astype(np.float32)


def _harmonics(file: Path, count: int, damaged: UserError) -> np.ndarray:
    """Bytes of the higher harmonics, [N, K - 1, 3]; the file has red's first, then green's, then blue's."""
    element = read_element(file, "sh")
    if element is None:
        return np.zeros((count, 0, 3), np.uint8)
    names = [f"f_rest_{index}" for index in range(len(element.columns))]
    complete = all(name in element.columns and element.columns[name].dtype == np.uint8 for name in names)
    if len(names) not in (9, 24, 45) or len(element) != count or not complete:
        raise damaged
    return element.stack(names, np.uint8).reshape(count, 3, len(names) // 3).transpose(0, 2, 1)


def _decoded(codes: np.ndarray) -> np.ndarray:
    """Harmonics of bytes that span -4 to 4: a code is the middle of its step, except the first and the last, which are the ends."""
    shares = np.where(codes == 0, 0.0, np.where(codes == 255, 1.0, (codes + 0.5) / 256))
    return (shares - 0.5) * 8
