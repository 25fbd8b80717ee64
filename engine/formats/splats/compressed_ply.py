# SPDX-License-Identifier: GPL-3.0-or-later
"""PlayCanvas' compressed PLY: numbers of a few bits between the bounds of a chunk of 256 splats.

Layout as in https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/ply/#compressed-ply-format
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...contract.errors import UserError
from ..ply import Vertices, read_element
from .gaussians import SH_C0, Splats, logits

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
    if any(name not in vertices.columns or vertices.columns[name].dtype != np.uint32 for name in _PACKED):
        raise damaged
    position, rotation, scale, color = (vertices.columns[name] for name in _PACKED)
    chunks = read_element(file, "chunk")
    if chunks is None or len(chunks) * _CHUNK < len(vertices):
        raise damaged
    chunk = np.arange(len(vertices)) // _CHUNK

    def between_bounds(shares: np.ndarray, names: list[str]) -> np.ndarray:
        low, high = [f"min_{name}" for name in names], [f"max_{name}" for name in names]
        if any(name not in chunks.columns for name in low + high):
            raise damaged
        return chunks.stack(low)[chunk] * (1 - shares) + chunks.stack(high)[chunk] * shares

    rgba = np.stack([_bits(color, shift, 8) for shift in (24, 16, 8, 0)], axis=1)
    rgb = rgba[:, :3]
    # The first writers had no bounds for colours.
    if "min_r" in chunks.columns:
        rgb = between_bounds(rgb, ["r", "g", "b"])
    base = (rgb - 0.5) / SH_C0
    return Splats(
        means=between_bounds(_11_10_11(position), ["x", "y", "z"]).astype(np.float32),
        log_scales=between_bounds(_11_10_11(scale), ["scale_x", "scale_y", "scale_z"]).astype(np.float32),
        quats=_rotations(rotation),
        opacity_logits=logits(rgba[:, 3]),
        sh=np.concatenate([base[:, None], _harmonics(file, len(vertices), damaged)], axis=1).astype(np.float32),
    )


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
    """[N, K - 1, 3], from bytes that span -4 to 4; red's come first, then green's, then blue's."""
    element = read_element(file, "sh")
    if element is None:
        return np.zeros((count, 0, 3))
    names = [f"f_rest_{index}" for index in range(len(element.columns))]
    whole = all(name in element.columns and element.columns[name].dtype == np.uint8 for name in names)
    if len(names) not in (9, 24, 45) or len(element) != count or not whole:
        raise damaged
    codes = element.stack(names, np.uint8).reshape(count, 3, len(names) // 3).transpose(0, 2, 1)
    # A code stands for the middle of its step, save the first and the last, which are the ends.
    shares = np.where(codes == 0, 0.0, np.where(codes == 255, 1.0, (codes + 0.5) / 256))
    return (shares - 0.5) * 8
