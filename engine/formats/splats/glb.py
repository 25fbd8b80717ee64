# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats in a GLB: the glTF extension KHR_gaussian_splatting. Axes: x right, y up, z towards the viewer; metres.

https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Khronos/KHR_gaussian_splatting
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...contract.errors import UserError
from ...contract.result import replacing
from .gaussians import SH_C0, Splats, logarithms, logits, opacities, unit_quats
from .rotation import moved

_EXTENSION = "KHR_gaussian_splatting"
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_SPACES = {"linear": "lin_rec709_display", "srgb": "srgb_rec709_display"}
_FLOAT, _BYTE = 5126, 5121
_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_HINT = "Export it again from the program that made it."


class _Damaged(Exception):
    """Raised where the file does not hold what glTF asks for; the reader names the file."""


def read_glb(file: Path) -> Splats:
    """Reads all splats of a GLB's scene, where its nodes put them.

    Raises:
        UserError: the file is damaged, holds no splats, or holds them in a way that is not read.
    """
    data = file.read_bytes()
    try:
        document, body = _chunks(data)
        found: list[Splats] = []
        for primitive, matrix in _primitives(document):
            found.append(_placed(_primitive(document, body, primitive), matrix))
            # A splat takes 44 bytes at least: nodes may share splats, but not without end.
            if sum(len(part) for part in found) > len(body):
                raise UserError("shows the same splats too many times.", _HINT)
    except UserError as error:
        raise UserError(f"{file} {error.message}", error.hint) from None
    except (_Damaged, KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, struct.error):
        raise UserError(f"{file} is not a GLB file, or is damaged.", _HINT) from None
    if not found:
        raise UserError(f"{file} holds no splats.", f"Choose a GLB with {_EXTENSION}.")
    return _joined(found)


def write_glb(file: Path, splats: Splats) -> None:
    """Writes a GLB with one node of splats. Where they do not say how they blend, the file says sRGB, as the field's viewers do.

    Raises:
        UserError: there are no splats, one's size is beyond float32, or the disk is full.
    """
    if not len(splats):
        raise UserError(f"There are no splats to write to {file}, and glTF has no empty lists.")
    with np.errstate(over="ignore"):
        scales = np.exp(splats.log_scales.astype(np.float64)).astype("<f4")
    if not np.isfinite(scales).all():
        raise UserError(f"A splat is too large to be written to {file}.", "Remove it first, for example with --remove-floaters.")
    blend = splats.blend or "srgb"
    opacity = opacities(splats)
    attributes: dict[str, np.ndarray] = {
        "POSITION": splats.means.astype("<f4"),
        # What programs without the extension show: points in linear colours.
        "COLOR_0": _point_colors(splats.sh[:, 0], opacity, blend),
        f"{_EXTENSION}:ROTATION": unit_quats(splats.quats)[:, [1, 2, 3, 0]].astype("<f4"),
        f"{_EXTENSION}:SCALE": scales,
        f"{_EXTENSION}:OPACITY": opacity.astype("<f4"),
    }
    for index in range(splats.sh.shape[1]):
        attributes[_coefficient(index)] = splats.sh[:, index].astype("<f4")
    views, accessors, parts, start = [], [], [], 0
    for index, (name, values) in enumerate(attributes.items()):
        kind = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
        part = values.tobytes()
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(part), "target": 34962})
        accessors.append({"bufferView": index, "componentType": _BYTE if name == "COLOR_0" else _FLOAT, "count": len(splats), "type": kind})
        if name == "COLOR_0":
            accessors[-1]["normalized"] = True
        if name == "POSITION":
            accessors[-1] |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        parts.append(part)
        start += len(part)
    facts = {"kernel": "ellipse", "colorSpace": _SPACES[blend], "sortingMethod": "cameraDistance", "projection": "perspective"}
    primitive = {"mode": 0, "attributes": {name: index for index, name in enumerate(attributes)}, "extensions": {_EXTENSION: facts}}
    document = {
        "asset": {"version": "2.0", "generator": "Reconstruct"},
        "extensionsUsed": [_EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": start}],
    }
    text = json.dumps(document, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + start
    if size >= 1 << 32:
        raise UserError(f"{len(splats)} splats are more than the 4 GiB of a GLB hold: {file}.", "Write another format, or use --decimate.")
    with replacing(file) as temporary:
        with open(temporary, "wb") as stream:
            stream.write(struct.pack("<III", _MAGIC, 2, size) + struct.pack("<II", len(text), _JSON) + text)
            stream.write(struct.pack("<II", start, _BIN))
            stream.writelines(parts)


def _coefficient(index: int) -> str:
    degree = int(np.sqrt(index))
    return f"{_EXTENSION}:SH_DEGREE_{degree}_COEF_{index - degree * degree}"


def _point_colors(base: np.ndarray, opacity: np.ndarray, blend: str) -> np.ndarray:
    colors = np.clip(base * SH_C0 + 0.5, 0, 1)
    if blend == "srgb":
        colors = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return np.rint(np.concatenate([colors, opacity[:, None]], axis=1) * 255).astype(np.uint8)


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The document and the binary chunk of a GLB."""
    magic, version, size = struct.unpack_from("<III", data)
    if magic != _MAGIC or version != 2 or size > len(data):
        raise _Damaged
    start, text, body = 12, None, b""
    while start + 8 <= size:
        length, kind = struct.unpack_from("<II", data, start)
        start += 8
        if start + length > size:
            raise _Damaged
        if kind == _JSON and text is None:
            text = data[start : start + length]
        elif kind == _BIN and not body:
            body = data[start : start + length]
        start += length
    if text is None:
        raise _Damaged
    document = json.loads(text)
    if not isinstance(document, dict):
        raise _Damaged
    return document, body


def _primitives(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """The primitives of splats below the scene's nodes, each with its place in the world [4, 4]."""
    nodes = document.get("nodes", [])
    scenes = document.get("scenes")
    roots = scenes[_index(document.get("scene", 0))]["nodes"] if scenes else range(len(nodes))
    waiting = [(_index(root), np.eye(4)) for root in roots]
    seen = set()
    while waiting:
        index, parent = waiting.pop()
        if index in seen:  # a tree visits each node once; a circle would never end
            raise _Damaged
        seen.add(index)
        node = nodes[index]
        world = parent @ _matrix(node)
        waiting += [(_index(child), world) for child in node.get("children", [])]
        if "mesh" in node:
            for primitive in document["meshes"][_index(node["mesh"])]["primitives"]:
                if _EXTENSION in primitive.get("extensions", {}):
                    yield primitive, world


def _index(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise _Damaged
    return value


def _matrix(node: dict[str, Any]) -> np.ndarray:
    """A node's own transform, [4, 4]."""
    if "matrix" in node:
        matrix = np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    else:
        x, y, z, w = unit_quats(np.array([node.get("rotation", (0, 0, 0, 1))], dtype=np.float64))[0]
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        matrix = np.eye(4)
        matrix[:3, :3] = (np.eye(3) + 2 * w * cross + 2 * cross @ cross) * np.array(node.get("scale", (1, 1, 1)), dtype=np.float64)
        matrix[:3, 3] = node.get("translation", (0, 0, 0))
    if not np.isfinite(matrix).all():
        raise _Damaged
    return matrix


def _placed(splats: Splats, matrix: np.ndarray) -> Splats:
    if np.array_equal(matrix, np.eye(4)):
        return splats
    linear = matrix[:3, :3]
    scale = np.cbrt(np.linalg.det(linear))
    with np.errstate(all="ignore"):
        even = np.abs(linear.T @ linear / scale**2 - np.eye(3)).max() < 1e-3
    if not (scale > 0 and even):
        raise UserError("mirrors, shears or unevenly scales its splats, which is not read.", "Apply the transform before it is exported.")
    # Off by rounding the least: the rotation nearest to it.
    left, _, right = np.linalg.svd(linear)
    return moved(splats, left @ right, float(scale), matrix[:3, 3])


def _primitive(document: dict[str, Any], body: bytes, primitive: dict[str, Any]) -> Splats:
    """The splats of one primitive, in its own space."""
    attributes, facts = primitive["attributes"], primitive["extensions"][_EXTENSION]
    if facts.get("extensions"):
        raise UserError("holds compressed splats, which are not read.", "Export them without compression.")

    def values(name: str) -> np.ndarray:
        return _accessor(document, body, attributes[name])

    means = values("POSITION")
    degree = max(degree for degree in range(4) if f"{_EXTENSION}:SH_DEGREE_{degree}_COEF_0" in attributes)
    sh = np.stack([values(_coefficient(index)) for index in range((degree + 1) ** 2)], axis=1)
    return Splats(
        means=means.astype(np.float32),
        log_scales=logarithms(values(f"{_EXTENSION}:SCALE")),
        quats=values(f"{_EXTENSION}:ROTATION")[:, [3, 0, 1, 2]].astype(np.float32),
        opacity_logits=logits(values(f"{_EXTENSION}:OPACITY")[:, 0]),
        sh=sh.astype(np.float32),
        blend=next((blend for blend, space in _SPACES.items() if facts.get("colorSpace") == space), None),
    )


def _accessor(document: dict[str, Any], body: bytes, index: int) -> np.ndarray:
    """The numbers of an accessor, [N, width] float64, normalised ones as shares."""
    accessor = document["accessors"][_index(index)]
    if "sparse" in accessor:
        raise UserError("keeps its splats in sparse lists, which are not read.", _HINT)
    view = document["bufferViews"][_index(accessor["bufferView"])]
    if "uri" in document["buffers"][_index(view["buffer"])]:
        raise UserError("keeps its splats in another file.", "Export it as one GLB file.")
    kind = np.dtype(_COMPONENTS[accessor["componentType"]])
    count, width = _index(accessor["count"]), _WIDTHS[accessor["type"]]
    stride = _index(view.get("byteStride", 0)) or kind.itemsize * width
    start = _index(view.get("byteOffset", 0)) + _index(accessor.get("byteOffset", 0))
    if stride < kind.itemsize * width or count and start + stride * (count - 1) + kind.itemsize * width > len(body):
        raise _Damaged
    numbers = np.ndarray((count, width), kind, body, start if count else 0, (stride, kind.itemsize)).astype(np.float64)
    if accessor.get("normalized"):
        numbers = np.maximum(numbers / np.iinfo(kind).max, -1.0)
    return numbers


def _joined(parts: list[Splats]) -> Splats:
    """One set of all; those of a lower degree get harmonics of 0."""
    most = max(part.sh.shape[1] for part in parts)
    blends = {part.blend for part in parts}
    return replace(
        parts[0],
        means=np.concatenate([part.means for part in parts]),
        log_scales=np.concatenate([part.log_scales for part in parts]),
        quats=np.concatenate([part.quats for part in parts]),
        opacity_logits=np.concatenate([part.opacity_logits for part in parts]),
        sh=np.concatenate([np.pad(part.sh, ((0, 0), (0, most - part.sh.shape[1]), (0, 0))) for part in parts]),
        blend=blends.pop() if len(blends) == 1 else None,
    )
