# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangle meshes with colored vertices, as PLY and as GLB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras import WORLD_AXES
from ..color import linear_to_srgb, srgb_to_linear
from ..contract.errors import UserError
from .gltf import HINT, INDICES, TRIANGLES, Damaged, Glb, Writer, is_glb, opened
from .ply import read_triangles
from .points import PointCloud, read_ply_points, write_points

_UNLIT = "KHR_materials_unlit"


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface: its vertices, and ``triangles`` [M, 3] of numbers of vertices, counter-clockwise where seen from outside."""

    vertices: PointCloud
    triangles: np.ndarray


def read_mesh(file: Path) -> Mesh:
    """Reads a binary PLY of triangles or a GLB, whatever its name says; of a GLB all triangles of its scene, with Z up.

    Raises:
        UserError: the file is missing, damaged, or holds no triangles.
    """
    mesh = _read_glb(file) if is_glb(file) else _read_ply(file)
    if len(mesh.triangles) and not (0 <= mesh.triangles.min() and mesh.triangles.max() < len(mesh.vertices)):
        raise UserError(f"{file} is damaged: a face has a corner that is not there.", HINT)
    if not np.isfinite(mesh.vertices.positions).all():
        raise UserError(f"{file} is damaged: a vertex is not at a finite place.", HINT)
    return mesh


def write_mesh(file: Path, mesh: Mesh) -> None:
    """Writes a mesh, whole or not at all: a GLB where the file's name ends so, else a little-endian PLY. Positions in float64 keep
    their precision in both, far from the origin too.

    Raises:
        UserError: a vertex is not at a finite place, a GLB would be empty, or the disk is full.
    """
    vertices = mesh.vertices
    if file.suffix.lower() != ".glb":
        write_points(file, vertices.positions, vertices.colors, vertices.normals, mesh.triangles)
        return
    if not len(mesh.triangles):
        raise UserError(f"There is no surface to write to {file}.")
    if not np.isfinite(vertices.positions).all():
        raise UserError(f"{file}: a vertex is not at a finite place.")
    positions = np.asarray(vertices.positions, np.float64)
    # glTF's numbers are float32; a node may stand anywhere.
    middle = (positions.min(axis=0) + positions.max(axis=0)) / 2
    axes = WORLD_AXES["y-up"]
    writer = Writer()
    attributes = {"POSITION": writer.add(((positions - middle) @ axes).astype(np.float32), bounds=True)}
    if vertices.normals is not None:
        attributes["NORMAL"] = writer.add((vertices.normals.astype(np.float64) @ axes).astype(np.float32))
    if vertices.colors is not None:
        attributes["COLOR_0"] = writer.add(_linear(vertices.colors), normalized=True)
    primitive = {
        "mode": TRIANGLES,
        "attributes": attributes,
        "indices": writer.add(mesh.triangles.astype(np.uint32).ravel(), INDICES),
        "material": 0,
    }
    document = {
        "extensionsUsed": [_UNLIT],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "translation": (middle @ axes).tolist()}],
        "meshes": [{"primitives": [primitive]}],
        # The light is in the colors already.
        "materials": [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}, "extensions": {_UNLIT: {}}}],
    }
    writer.write(file, document)


def _read_ply(file: Path) -> Mesh:
    vertices, triangles = read_ply_points(file), read_triangles(file)
    if triangles is None:
        raise UserError(f"{file} holds no mesh: it has no faces.", "Choose a PLY of triangles, or a GLB.")
    return Mesh(vertices, triangles)


def _read_glb(file: Path) -> Mesh:
    parts: list[Mesh] = []
    with opened(file) as glb:
        for primitive, matrix in glb.primitives():
            if primitive.get("mode", TRIANGLES) != TRIANGLES:
                continue
            parts.append(_primitive(glb, primitive, matrix))
            # A vertex takes 12 bytes at least: nodes may share meshes, but not without end.
            if sum(len(part.vertices) for part in parts) > len(glb.body):
                raise UserError("shows the same mesh too many times.", HINT)
    if not parts:
        raise UserError(f"{file} holds no mesh.", "Choose a GLB of triangles.")
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    clouds = [part.vertices for part in parts]
    colors = [cloud.colors if cloud.colors is not None else np.full((len(cloud), 3), 255, np.uint8) for cloud in clouds]
    normals = [cloud.normals for cloud in clouds]
    vertices = PointCloud(
        np.concatenate([cloud.positions for cloud in clouds]),
        np.concatenate(colors) if any(cloud.colors is not None for cloud in clouds) else None,
        None if any(part is None for part in normals) else np.concatenate(normals),
    )
    return Mesh(vertices, np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)]))


def _primitive(glb: Glb, primitive: dict[str, Any], matrix: np.ndarray) -> Mesh:
    """The triangles of a primitive, in the world."""
    attributes = primitive["attributes"]
    positions = glb.numbers(attributes["POSITION"], 3)
    corners = glb.corners(primitive["indices"]) if "indices" in primitive else np.arange(len(positions))
    colors = glb.numbers(attributes["COLOR_0"], 3, 4) if "COLOR_0" in attributes else None
    normals = glb.numbers(attributes["NORMAL"], 3) if "NORMAL" in attributes else None
    if len(corners) % 3 or any(part is not None and len(part) != len(positions) for part in (colors, normals)):
        raise Damaged("a primitive's lists have lengths that do not fit together")
    if len(corners) and corners.max() >= len(positions):
        raise Damaged("a triangle has a corner that is not there")
    axes = WORLD_AXES["y-up"].T
    if normals is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            normals = np.nan_to_num(normals) @ np.linalg.pinv(matrix[:3, :3]) @ axes
        normals = (np.nan_to_num(normals) / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)).astype(np.float32)
    # What is not finite is found with all vertices.
    with np.errstate(over="ignore", invalid="ignore"):
        positions = (positions @ matrix[:3, :3].T + matrix[:3, 3]) @ axes
    triangles = corners.reshape(-1, 3)
    if np.linalg.det(matrix[:3, :3]) < 0:
        triangles = triangles[:, ::-1]
    return Mesh(PointCloud(positions, None if colors is None else _codes(colors[:, :3]), normals), triangles)


def _linear(codes: np.ndarray) -> np.ndarray:
    """sRGB [N, 3] uint8 as glTF has colors: opaque and linear [N, 4], in 16 bits, which keep every value."""
    linear = srgb_to_linear(codes / 255.0)
    return np.rint(np.concatenate([linear, np.ones((len(linear), 1))], axis=1) * 65535).astype(np.uint16)


def _codes(light: np.ndarray) -> np.ndarray:
    """Linear colors [N, 3] as sRGB, uint8."""
    return np.rint(linear_to_srgb(np.clip(np.nan_to_num(light), 0, 1)) * 255).astype(np.uint8)
