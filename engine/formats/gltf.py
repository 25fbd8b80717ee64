# SPDX-License-Identifier: GPL-3.0-or-later
"""GLB: one file that holds a document of JSON and the numbers and pictures that it names. Axes: x right, y up, z towards the viewer.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..contract.errors import UserError
from ..contract.result import replacing

HINT = "Export it again from the program that made it."
# What a view of the buffer is for.
VERTICES, INDICES = 34962, 34963
TRIANGLES = 4

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_CODES = {kind.strip("<"): code for code, kind in _COMPONENTS.items()}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class Damaged(Exception):
    """Raised where a file does not hold what glTF asks for; :func:`opened` names the file."""


@dataclass(frozen=True, eq=False)
class Glb:
    """A file in memory: its document, and the chunk of bytes that accessors and pictures lie in."""

    document: dict[str, Any]
    body: bytes

    def primitives(self) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """The primitives that the file's scene shows, each with its place in the world [4, 4]."""
        nodes = self.document.get("nodes", [])
        scenes = self.document.get("scenes")
        roots = scenes[index(self.document.get("scene", 0))]["nodes"] if scenes else range(len(nodes))
        waiting = [(index(root), np.eye(4)) for root in roots]
        seen = set()
        while waiting:
            number, parent = waiting.pop()
            if number in seen:  # a tree visits each node once; a circle would never end
                raise Damaged
            seen.add(number)
            node = nodes[number]
            world = parent @ _matrix(node)
            waiting += [(index(child), world) for child in node.get("children", [])]
            if "mesh" in node:
                for primitive in self.document["meshes"][index(node["mesh"])]["primitives"]:
                    yield primitive, world

    def numbers(self, accessor: int, *widths: int) -> np.ndarray:
        """The numbers of an accessor, [N, width] float64, normalised ones as shares.

        Args:
            accessor: its number.
            widths: what the width may be.

        Raises:
            UserError: they are kept in a way that is not read; a sentence without the file's name.
        """
        facts = self.document["accessors"][index(accessor)]
        if "sparse" in facts:
            raise UserError("keeps its numbers in sparse lists, which are not read.", HINT)
        start, length, stride = self._view(facts["bufferView"])
        kind = np.dtype(_COMPONENTS[facts["componentType"]])
        count, width = index(facts["count"]), _WIDTHS[facts["type"]]
        stride = stride or kind.itemsize * width
        offset = index(facts.get("byteOffset", 0))
        needed = offset + stride * (count - 1) + kind.itemsize * width if count else 0
        if width not in widths or stride < kind.itemsize * width or needed > length:
            raise Damaged
        numbers = np.ndarray((count, width), kind, self.body, start + offset if count else 0, (stride, kind.itemsize)).astype(np.float64)
        if facts.get("normalized"):
            numbers = np.maximum(numbers / np.iinfo(kind).max, -1.0)
        return numbers

    def corners(self, accessor: int) -> np.ndarray:
        """The numbers of vertices that an accessor lists, [N] int64."""
        if self.document["accessors"][index(accessor)]["componentType"] not in (5121, 5123, 5125):
            raise Damaged
        return self.numbers(accessor, 1)[:, 0].astype(np.int64)

    def bytes_of(self, view: int) -> bytes:
        """What lies in a view of the buffer."""
        start, length, _ = self._view(view)
        return self.body[start : start + length]

    def _view(self, number: int) -> tuple[int, int, int]:
        """Where a view of the buffer begins in the body, its length and its stride (0: none is given)."""
        view = self.document["bufferViews"][index(number)]
        if "uri" in self.document["buffers"][index(view["buffer"])]:
            raise UserError("keeps its data in another file.", "Export it as one GLB file.")
        start, length = index(view.get("byteOffset", 0)), index(view["byteLength"])
        if start + length > len(self.body):
            raise Damaged
        return start, length, index(view.get("byteStride", 0))


@contextlib.contextmanager
def opened(file: Path) -> Iterator[Glb]:
    """Reads a GLB. Whatever the block finds wrong in it becomes an error that names the file.

    Raises:
        UserError: the file is missing, is no GLB, or is damaged; or the block's own, which begins with a verb.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None
    try:
        yield Glb(*_chunks(data))
    except UserError as error:
        raise UserError(f"{file} {error.message}", error.hint) from None
    except (Damaged, KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, struct.error):
        raise UserError(f"{file} is not a GLB file, or is damaged.", HINT) from None


def is_glb(file: Path) -> bool:
    """Whether a file begins as a GLB does; False where it cannot be read."""
    try:
        with open(file, "rb") as stream:
            return stream.read(4) == struct.pack("<I", _MAGIC)
    except OSError:
        return False


def index(value: Any) -> int:
    """A whole number that is not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Damaged
    return value


class Writer:
    """Gathers numbers and pictures, and writes them with a document that names them by what ``add`` and ``add_bytes`` returned."""

    def __init__(self) -> None:
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, values: np.ndarray, target: int = VERTICES, *, bounds: bool = False, normalized: bool = False) -> int:
        """Adds [N] or [N, 2..4] numbers, N at least 1. Returns the number of their accessor."""
        kind = np.dtype(values.dtype)
        self.accessors.append(
            {
                "bufferView": self.add_bytes(np.ascontiguousarray(values, kind.newbyteorder("<")).tobytes(), target),
                "componentType": _CODES[kind.str[1:]],
                "count": len(values),
                "type": "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}",
            }
        )
        if normalized:
            self.accessors[-1]["normalized"] = True
        if bounds:
            self.accessors[-1] |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        return len(self.accessors) - 1

    def add_bytes(self, data: bytes, target: int | None = None) -> int:
        """Adds bytes as they are. Returns the number of their view."""
        view = {"buffer": 0, "byteOffset": self._size, "byteLength": len(data)}
        self.views.append(view if target is None else {**view, "target": target})
        padding = b"\0" * (-len(data) % 4)
        self._parts += [data, padding]
        self._size += len(data) + len(padding)
        return len(self.views) - 1

    def write(self, file: Path, document: dict[str, Any], hint: str = "") -> None:
        """Writes the file, whole or not at all.

        Args:
            file: the file.
            document: all but the asset's version, accessors, views and buffers.
            hint: what to do where it is too large.

        Raises:
            UserError: it is more than a GLB can hold, or the disk is full.
        """
        document = {
            **document,
            "asset": {"version": "2.0", "generator": "Reconstruct", **document.get("asset", {})},
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": self._size}],
        }
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode("utf-8")
        text += b" " * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + self._size
        if size >= 1 << 32:
            raise UserError(f"What should be written to {file} is more than the 4 GiB that a GLB holds.", hint)
        with replacing(file) as temporary:
            with open(temporary, "wb") as stream:
                stream.write(struct.pack("<III", _MAGIC, 2, size) + struct.pack("<II", len(text), _JSON) + text)
                stream.write(struct.pack("<II", self._size, _BIN))
                stream.writelines(self._parts)


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The document and the binary chunk of a GLB."""
    magic, version, size = struct.unpack_from("<III", data)
    if magic != _MAGIC or version != 2 or size > len(data):
        raise Damaged
    start, text, body = 12, None, b""
    while start + 8 <= size:
        length, kind = struct.unpack_from("<II", data, start)
        start += 8
        if start + length > size:
            raise Damaged
        if kind == _JSON and text is None:
            text = data[start : start + length]
        elif kind == _BIN and not body:
            body = data[start : start + length]
        start += length
    if text is None:
        raise Damaged
    document = json.loads(text)
    if not isinstance(document, dict):
        raise Damaged
    return document, body


def _matrix(node: dict[str, Any]) -> np.ndarray:
    """A node's own transform, [4, 4]."""
    if "matrix" in node:
        matrix = np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    else:
        turn = np.array(node.get("rotation", (0, 0, 0, 1)), dtype=np.float64)
        x, y, z, w = turn / max(np.linalg.norm(turn), 1e-30)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        matrix = np.eye(4)
        matrix[:3, :3] = (np.eye(3) + 2 * w * cross + 2 * cross @ cross) * np.array(node.get("scale", (1, 1, 1)), dtype=np.float64)
        matrix[:3, 3] = node.get("translation", (0, 0, 0))
    if not np.isfinite(matrix).all():
        raise Damaged
    return matrix
