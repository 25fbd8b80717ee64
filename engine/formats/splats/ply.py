# SPDX-License-Identifier: GPL-3.0-or-later
"""The common file of splats: the PLY of Kerbl et al. 2023, which every viewer reads. Its axes are not defined; ours names them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ...cameras import WORLD_AXES
from ...contract.errors import UserError
from ..ply import Vertices, read_header, read_vertices, write_vertices
from . import compressed_ply
from .gaussians import Note, Splats, unit_quats

# CloudCompare saves a property that it does not know under such a name.
_PREFIX = re.compile(r"^(scalar_)?(scal_)?")


def holds_splats(properties: Sequence[str]) -> bool:
    """Whether vertices with these properties are splats, or what is left of them."""
    return any(name.startswith("packed_") or _PREFIX.sub("", name) == "f_dc_0" for name in properties)


def stated_axes(file: Path) -> str | None:
    """The axes that a PLY names in a comment, as all that we write do; None where it does not.

    Raises:
        UserError: the file is missing or is not a PLY.
    """
    comments = read_header(file).comments
    for comment in comments:
        if comment.removeprefix("axes ") in WORLD_AXES:
            return comment.removeprefix("axes ")
    # What earlier versions wrote has no such comment.
    return "z-up" if {"blend linear", "blend srgb"} & set(comments) else None


def read_ply(file: Path, note: Note | None = None) -> Splats:
    """Reads splats from a PLY, ordinary or compressed. Those of 2DGS, which have two scales, are flat.

    Raises:
        UserError: the file is missing or damaged, or holds no splats.
    """
    vertices = read_vertices(file)
    if compressed_ply.is_compressed(vertices):
        return compressed_ply.unpack(file, vertices)
    columns = {_PREFIX.sub("", name): column for name, column in vertices.columns.items()}
    if "scale_2" not in columns and {"scale_0", "scale_1"} <= set(columns):
        columns["scale_2"] = np.full(len(vertices), -np.inf, np.float32)
        if note is not None:
            note("Its splats have two scales, as those of 2DGS, and are flat.")
    vertices = Vertices(columns, vertices.comments)
    rest = 0
    while f"f_rest_{rest}" in columns:
        rest += 1
    named = sum(name.startswith("f_rest_") for name in columns)
    if rest not in (0, 9, 24, 45) or named != rest:
        raise UserError(f"{file} has {named} harmonics f_rest; splats have 0, 9, 24 or 45.", "Export it with degree 0 to 3.")
    needed = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise UserError(f"{file} holds no splats: its vertices have no {missing[0]}.", "Choose a PLY of gaussian splats.")
    base = vertices.stack(["f_dc_0", "f_dc_1", "f_dc_2"])[:, None, :]
    # The file holds all of red's harmonics, then green's, then blue's.
    harmonics = vertices.stack([f"f_rest_{index}" for index in range(rest)]).reshape(len(vertices), 3, rest // 3).transpose(0, 2, 1)
    return Splats(
        means=vertices.stack(["x", "y", "z"]),
        log_scales=vertices.stack(["scale_0", "scale_1", "scale_2"]),
        quats=vertices.stack(["rot_0", "rot_1", "rot_2", "rot_3"]),
        opacity_logits=vertices.stack(["opacity"])[:, 0],
        sh=np.ascontiguousarray(np.concatenate([base, harmonics], axis=1)),
        blend=_blend(vertices),
        antialias=_antialias(vertices),
    )


def write_ply(file: Path, splats: Splats, axes: str = "z-up") -> None:
    """Writes splats as a PLY, completely or not at all; rotations are normalized.

    Args:
        file: the file.
        splats: the splats.
        axes: names the axes that they have, a key of :data:`~engine.cameras.WORLD_AXES`.

    Raises:
        UserError: the disk is full.
    """
    columns: dict[str, np.ndarray] = {}

    def add(name: str, values: np.ndarray) -> None:
        for index in range(values.shape[1]):
            columns[f"{name}_{index}"] = np.asarray(values[:, index], np.float32)

    for index, axis in enumerate("xyz"):
        columns[axis] = np.asarray(splats.means[:, index], np.float32)
    columns |= dict.fromkeys(("nx", "ny", "nz"), np.broadcast_to(np.float32(0), len(splats)))
    add("f_dc", splats.sh[:, 0])
    # All of red's harmonics, then green's, then blue's, without a copy.
    higher = splats.sh[:, 1:]
    for index in range(3 * higher.shape[1]):
        columns[f"f_rest_{index}"] = np.asarray(higher[:, index % higher.shape[1], index // higher.shape[1]], np.float32)
    columns["opacity"] = np.asarray(splats.opacity_logits, np.float32)
    add("scale", splats.log_scales)
    add("rot", unit_quats(splats.quats).astype(np.float32))
    comments = [f"axes {axes}"]
    if splats.blend is not None:
        comments.append(f"blend {splats.blend}")
    if splats.antialias is not None:
        comments.append(f"SplatRenderMode: {'mip' if splats.antialias else 'default'}")
    write_vertices(file, columns, comments)


def _blend(vertices: Vertices) -> Literal["linear", "srgb"] | None:
    if "blend linear" in vertices.comments:
        return "linear"
    return "srgb" if "blend srgb" in vertices.comments else None


def _antialias(vertices: Vertices) -> bool | None:
    if "SplatRenderMode: mip" in vertices.comments:
        return True
    return False if "SplatRenderMode: default" in vertices.comments else None
