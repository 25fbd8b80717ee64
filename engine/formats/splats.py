# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats and their common file, the PLY of Kerbl et al. 2023 that every viewer reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..contract.errors import UserError
from .ply import Vertices, read_vertices, write_vertices


@dataclass(frozen=True, eq=False)
class Splats:
    """Gaussians as they are trained and stored, float32.

    ``blend`` says in which light they composite, ``antialias`` whether they were trained with opacity-compensated antialiasing; None
    where a file does not say.
    """

    means: np.ndarray  # [N, 3] world
    log_scales: np.ndarray  # [N, 3] natural logarithm of world units
    quats: np.ndarray  # [N, 4] w x y z
    opacity_logits: np.ndarray  # [N]
    sh: np.ndarray  # [N, K, 3], K = (degree + 1)²; the first is the base colour
    blend: Literal["linear", "srgb"] | None = None
    antialias: bool | None = None

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return {1: 0, 4: 1, 9: 2, 16: 3}[self.sh.shape[1]]

    def select(self, index: np.ndarray) -> Splats:
        """Those of an index or a mask, in its order."""
        return replace(
            self,
            means=self.means[index],
            log_scales=self.log_scales[index],
            quats=self.quats[index],
            opacity_logits=self.opacity_logits[index],
            sh=self.sh[index],
        )

    def check(self, what: str) -> None:
        """Refuses gaussians that no viewer can draw.

        Args:
            what: names them in the message, usually the file.

        Raises:
            UserError: a number is not finite, a rotation has no length, or the arrays do not fit together.
        """
        n, k = len(self.means), self.sh.shape[1] if self.sh.ndim == 3 else 0
        shapes = (self.means.shape, self.log_scales.shape, self.quats.shape, self.opacity_logits.shape, self.sh.shape)
        if k not in (1, 4, 9, 16) or shapes != ((n, 3), (n, 3), (n, 4), (n,), (n, k, 3)):
            raise UserError(f"{what}: the splats' parts do not fit together.")
        bad = ~np.isfinite(self.means).all(axis=1) | ~np.isfinite(self.log_scales).all(axis=1) | ~np.isfinite(self.quats).all(axis=1)
        bad |= ~np.isfinite(self.opacity_logits) | ~np.isfinite(self.sh).all(axis=(1, 2))
        if bad.any():
            raise UserError(f"{what}: {int(bad.sum())} of {n} splats hold a number that is not finite.", "Train or export them again.")
        if n and np.abs(self.quats).max(axis=1).min() <= 0:
            raise UserError(f"{what}: a splat's rotation has no length.", "Train or export them again.")


def read_splats(file: Path) -> Splats:
    """Reads splats from a PLY.

    Raises:
        UserError: the file is missing or damaged, holds no splats, or holds numbers that are not finite.
    """
    vertices = read_vertices(file)
    columns = vertices.columns
    if "packed_position" in columns or "packed_rotation" in columns:
        raise UserError(f"{file} is a compressed PLY, which is not read.", "Export it as an ordinary PLY of splats.")
    rest = 0
    while f"f_rest_{rest}" in columns:
        rest += 1
    if rest not in (0, 9, 24, 45):
        raise UserError(f"{file} has {rest} harmonics; splats have 0, 9, 24 or 45.", "Export it with degree 0 to 3.")
    needed = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise UserError(f"{file} holds no splats: its vertices have no {missing[0]}.", "Choose a PLY of gaussian splats.")
    base = vertices.stack(["f_dc_0", "f_dc_1", "f_dc_2"])[:, None, :]
    # The file holds all of red's harmonics, then green's, then blue's.
    harmonics = vertices.stack([f"f_rest_{index}" for index in range(rest)]).reshape(len(vertices), 3, rest // 3).transpose(0, 2, 1)
    splats = Splats(
        means=vertices.stack(["x", "y", "z"]),
        log_scales=vertices.stack(["scale_0", "scale_1", "scale_2"]),
        quats=vertices.stack(["rot_0", "rot_1", "rot_2", "rot_3"]),
        opacity_logits=vertices.columns["opacity"].astype(np.float32),
        sh=np.ascontiguousarray(np.concatenate([base, harmonics], axis=1)),
        blend=_blend(vertices),
        antialias=_antialias(vertices),
    )
    splats.check(str(file))
    return splats


def write_splats(file: Path, splats: Splats) -> None:
    """Writes splats as a PLY, whole or not at all; rotations are normalised.

    Raises:
        UserError: a number is not finite, or the disk is full.
    """
    splats.check(str(file))
    quats = splats.quats.astype(np.float64)
    # Scaled first, so that neither tiny nor huge quaternions leave float's range in the square.
    quats = quats / np.abs(quats).max(axis=1, keepdims=True) if len(quats) else quats
    quats = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32)
    columns: dict[str, np.ndarray] = {}

    def add(names: list[str], values: np.ndarray) -> None:
        for index, name in enumerate(names):
            columns[name] = values[:, index].astype(np.float32)

    add(["x", "y", "z"], splats.means)
    add(["nx", "ny", "nz"], np.zeros((len(splats), 3), dtype=np.float32))
    add(["f_dc_0", "f_dc_1", "f_dc_2"], splats.sh[:, 0])
    rest = 3 * (splats.sh.shape[1] - 1)
    add([f"f_rest_{index}" for index in range(rest)], splats.sh[:, 1:].transpose(0, 2, 1).reshape(len(splats), rest))
    add(["opacity"], splats.opacity_logits[:, None])
    add(["scale_0", "scale_1", "scale_2"], splats.log_scales)
    add(["rot_0", "rot_1", "rot_2", "rot_3"], quats)
    comments = []
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
