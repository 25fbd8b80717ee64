# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes from mesh files of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..cameras import WORLD_AXES
from ..color import srgb_to_linear
from ..contract.errors import UserError
from .shapes import Shape

SUFFIXES = (".obj", ".glb", ".gltf")
_GREY = np.array([160, 160, 160, 255], np.uint8)
# A shape without patterns that mirrors a little, as most furniture does.
_PLAIN = np.array([[0, 1, 0, 0, 0.04, 20]], np.float32)


def read_shape(file: Path) -> tuple[Shape, list[str]]:
    """Reads an OBJ or glTF, Y up as both are by their definition, with the colors of its materials and textures.

    Returns:
        The shape, and what was left out of it in sentences.

    Raises:
        UserError: it cannot be read, or holds no triangle of use.
    """
    import trimesh

    try:
        scene = trimesh.load_scene(file, process=False)
        parts = [mesh for mesh in scene.dump() if isinstance(mesh, trimesh.Trimesh)]
        triangles = [np.asarray(mesh.vertices, np.float64)[mesh.faces] for mesh in parts]
        codes = [_colors(mesh)[mesh.faces] for mesh in parts]
    except Exception as error:  # its readers raise whatever a damaged file leads them to
        raise UserError(f"{file} cannot be read as a mesh: {error or type(error).__name__}.", "Export it again as OBJ or GLB.") from None
    corners = np.concatenate([np.zeros((0, 3, 3)), *triangles]) @ WORLD_AXES["y-up"].T
    colors = np.concatenate([np.zeros((0, 3, 4), np.uint8), *codes])[..., :3] / 255.0
    notes = []
    finite = np.isfinite(corners).all(axis=(1, 2)) & (np.abs(np.nan_to_num(corners)) < 1e9).all(axis=(1, 2))
    if not finite.all():
        notes.append(f"{file.name}: {(~finite).sum()} of {len(finite)} triangles have a corner at no finite place and are left out.")
    corners, colors = corners[finite], colors[finite]
    extent = np.ptp(corners.reshape(-1, 3), axis=0).max() if len(corners) else 0.0
    if not extent > 0:
        raise UserError(f"{file} holds no triangles.", "Export a mesh with faces.")
    return Shape(corners, srgb_to_linear(colors).astype(np.float32), np.zeros(len(corners), np.int32), _PLAIN), notes


def _colors(mesh) -> np.ndarray:
    """Codes [V, 4] uint8 of a mesh's vertices: its own, its texture's, its material's, or gray."""
    material = getattr(mesh.visual, "material", None)
    for look in (
        lambda: mesh.visual.to_color().vertex_colors,
        lambda: np.tile(material.diffuse, (len(mesh.vertices), 1)),
        lambda: np.tile(material.main_color, (len(mesh.vertices), 1)),
    ):
        try:
            colors = np.asarray(look(), np.uint8)
        except (AttributeError, ValueError, IndexError, KeyError, TypeError, OSError):
            # No coordinates of a texture, or a picture that is missing or damaged: the shape is good all the same.
            continue
        if colors.shape == (len(mesh.vertices), 4):
            return colors
    return np.tile(_GREY, (len(mesh.vertices), 1))
