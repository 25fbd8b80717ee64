# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies: light, textured meshes of real things, as GLB.

The file opens in any viewer. Its default scene shows the mesh with the colors that were captured, unlit; with KHR_materials_variants
it also has the lit material. A second scene holds the collision hull, so that viewers do not draw it.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras import WORLD_AXES
from ..contract.errors import UserError
from .gltf import HINT, INDICES, TRIANGLES, Damaged, Glb, Writer, index, opened
from .image_sizes import size_in
from .memory import check_memory

CAPTURED, LIT = "As captured", "Lit"

_FACTS = "reconstruct"
_VARIANTS, _UNLIT = "KHR_materials_variants", "KHR_materials_unlit"
# No larger texture is read: a picture of a few bytes may claim gigabytes.
_MOST_PIXELS = 16_384
_ROUGHNESS = 0.7


@dataclass(frozen=True, eq=False)
class Proxy:
    """A mesh that stands for a result. Metres, Z up, about the middle of its footprint on the floor.

    Vertices are split where the texture is cut. ``triangles`` are counter-clockwise where seen from outside. Pictures are PNG or JPEG,
    colors as sRGB codes; the first row is the top, where v is 1. ``normal_map`` is in tangent space as Blender and glTF have it
    (MikkTSpace, green up). ``albedo`` is None where the capture holds none: the captured colors stand for it. ``hull`` are convex
    pieces, positions [N, 3] and triangles [M, 3]. ``placement`` takes positions to where they were captured, [4, 4] rigid; where
    ``scale`` is unknown, the unit is the capture's own.
    """

    positions: np.ndarray  # [V, 3] float64
    triangles: np.ndarray  # [F, 3] int64
    uvs: np.ndarray  # [V, 2] float32, v up
    normals: np.ndarray  # [V, 3] float32, unit
    captured: bytes
    albedo: bytes | None = None
    normal_map: bytes | None = None
    hull: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    placement: np.ndarray | None = None  # None is where it stands
    scale: str = "metric"

    @property
    def dimensions(self) -> tuple[float, float, float]:
        """Width, depth and height."""
        return tuple(np.ptp(self.positions, axis=0).tolist())


def write_proxy(file: Path, proxy: Proxy) -> None:
    """Writes a GLB, whole or not at all.

    Raises:
        UserError: the proxy has no triangles or a vertex at no finite place, or the disk is full.
    """
    if not len(proxy.triangles):
        raise UserError(f"There is no surface to write to {file}.")
    if not np.isfinite(proxy.positions).all():
        raise UserError(f"{file}: a vertex is not at a finite place.")
    writer = Writer()
    attributes = {
        "POSITION": writer.add(_to_gltf(proxy.positions), bounds=True),
        "NORMAL": writer.add(_to_gltf(proxy.normals)),
        "TEXCOORD_0": writer.add(np.stack([proxy.uvs[:, 0], 1 - proxy.uvs[:, 1]], axis=1).astype(np.float32)),
    }
    pictures = [proxy.captured, *(part for part in (proxy.albedo, proxy.normal_map) if part is not None)]
    images = [{"bufferView": writer.add_bytes(part), "mimeType": _kind(part)} for part in pictures]
    primitive = {
        "mode": TRIANGLES,
        "attributes": attributes,
        "indices": writer.add(proxy.triangles.astype(np.uint32).ravel(), INDICES),
        "material": 0,
        "extensions": {_VARIANTS: {"mappings": [{"material": 0, "variants": [0]}, {"material": 1, "variants": [1]}]}},
    }
    nodes, meshes = [{"name": "Proxy", "mesh": 0}], [{"name": "Proxy", "primitives": [primitive]}]
    for positions, triangles in proxy.hull:
        corners = {"POSITION": writer.add(_to_gltf(positions), bounds=True)}
        part = {"mode": TRIANGLES, "attributes": corners, "indices": writer.add(triangles.astype(np.uint32).ravel(), INDICES)}
        nodes.append({"name": "Hull", "mesh": len(meshes)})
        meshes.append({"name": "Hull", "primitives": [part]})
    scenes = [{"name": "Proxy", "nodes": [0]}]
    if proxy.hull:
        scenes.append({"name": "Collision hull", "nodes": list(range(1, len(nodes)))})
    facts: dict[str, Any] = {"scale": proxy.scale, "albedo": proxy.albedo is not None}
    if proxy.placement is not None:
        facts["placement"] = np.asarray(proxy.placement, np.float64).tolist()
    document = {
        "asset": {"extras": {_FACTS: facts}},
        "extensionsUsed": [_UNLIT, _VARIANTS],
        "extensions": {_VARIANTS: {"variants": [{"name": CAPTURED}, {"name": LIT}]}},
        "scene": 0,
        "scenes": scenes,
        "nodes": nodes,
        "meshes": meshes,
        "materials": _materials(proxy),
        "textures": [{"source": number, "sampler": 0} for number in range(len(images))],
        "images": images,
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
    }
    writer.write(file, document)


def read_proxy(file: Path) -> Proxy:
    """Reads a GLB that :func:`write_proxy` wrote.

    Raises:
        UserError: the file is missing, damaged, or no proxy.
    """
    with opened(file) as glb:
        facts = glb.document["asset"].get("extras", {}).get(_FACTS)
        if facts is None:
            raise UserError("holds no proxy.", "Choose a proxy.glb that the engine made.")
        primitive = glb.document["meshes"][0]["primitives"][0]
        attributes = primitive["attributes"]
        positions, triangles = _surface(glb, primitive)
        normals, uvs = glb.numbers(attributes["NORMAL"], 3), glb.numbers(attributes["TEXCOORD_0"], 2)
        if not len(positions) == len(normals) == len(uvs) or not (np.isfinite(normals).all() and np.isfinite(uvs).all()):
            raise Damaged("its positions, normals and texture coordinates do not fit together or are not finite")
        captured, lit = glb.document["materials"][:2]
        placement = facts.get("placement")
        if placement is not None:
            placement = np.array(placement, dtype=np.float64)
            if placement.shape != (4, 4) or not np.isfinite(placement).all():
                raise Damaged("its placement is no finite matrix")
        return Proxy(
            positions=positions,
            triangles=triangles,
            uvs=np.stack([uvs[:, 0], 1 - uvs[:, 1]], axis=1).astype(np.float32),
            normals=(normals @ WORLD_AXES["y-up"].T).astype(np.float32),
            captured=_picture(glb, captured["pbrMetallicRoughness"]["baseColorTexture"]),
            albedo=_picture(glb, lit["pbrMetallicRoughness"]["baseColorTexture"]) if facts["albedo"] is True else None,
            normal_map=_picture(glb, lit["normalTexture"]) if "normalTexture" in lit else None,
            hull=tuple(_surface(glb, mesh["primitives"][0]) for mesh in glb.document["meshes"][1:]),
            placement=placement,
            scale="metric" if facts["scale"] == "metric" else "unknown",
        )


def _materials(proxy: Proxy) -> list[dict[str, Any]]:
    """As captured and lit. Where a viewer knows nothing of unlit materials, it lights what was captured."""
    lit: dict[str, Any] = {
        "name": LIT,
        "pbrMetallicRoughness": {
            "baseColorTexture": {"index": 0 if proxy.albedo is None else 1},
            "metallicFactor": 0.0,
            "roughnessFactor": _ROUGHNESS,
        },
    }
    if proxy.normal_map is not None:
        lit["normalTexture"] = {"index": 1 if proxy.albedo is None else 2}
    captured = {
        "name": CAPTURED,
        "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 1.0},
        "extensions": {_UNLIT: {}},
    }
    return [captured, lit]


def _to_gltf(vectors: np.ndarray) -> np.ndarray:
    """Rows [N, 3] of our axes in glTF's."""
    return (np.asarray(vectors, np.float64) @ WORLD_AXES["y-up"]).astype(np.float32)


def _surface(glb: Glb, primitive: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Positions [N, 3] with our axes and triangles [M, 3] of a primitive."""
    positions = glb.numbers(primitive["attributes"]["POSITION"], 3)
    corners = glb.corners(primitive["indices"])
    if not len(corners) or len(corners) % 3 or corners.max() >= len(positions) or not np.isfinite(positions).all():
        raise Damaged("its surface is empty, not finite, or has a corner that is not there")
    return positions @ WORLD_AXES["y-up"].T, corners.reshape(-1, 3)


def _picture(glb: Glb, texture: dict[str, Any]) -> bytes:
    image = glb.document["images"][index(glb.document["textures"][index(texture["index"])]["source"])]
    data = glb.bytes_of(image["bufferView"])
    size = size_in(BytesIO(data))
    if size is None:
        raise Damaged("a texture is neither PNG nor JPEG")
    if not 0 < max(size) <= _MOST_PIXELS:
        raise UserError(f"holds a texture of {size[0]} × {size[1]} pixels, which is not read.", HINT)
    # What is decoded, twice for a moment; photos do not pack better.
    check_memory(glb.file, 8 * size[0] * size[1], 64 * len(data))
    return data


def _kind(picture: bytes) -> str:
    return "image/jpeg" if picture[:2] == b"\xff\xd8" else "image/png"
