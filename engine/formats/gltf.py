# SPDX-License-Identifier: GPL-3.0-or-later
"""GLB: one file that holds a document of JSON and the numbers and pictures that it names. Axes: x right, y up, z towards the viewer.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..contract.errors import UserError
from ..contract.result import replacing
from .memory import TOO_LARGE, check_memory

HINT = "Export it again from the program that made it."
# What a view of the buffer is for.
VERTICES, INDICES = 34962, 34963
TRIANGLES = 4

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_CODES = {kind.strip("<"): code for code, kind in _COMPONENTS.items()}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
# Extensions that can be required of us: they are read, or change nothing of what is read.
_KNOWN = {"KHR_gaussian_splatting", "KHR_materials_unlit", "KHR_materials_variants", "KHR_mesh_quantization"}
# Memory of JSON as Python's objects, for a byte of text: a list of empty lists takes most.
_JSON_GROWTH = 32
# Each takes some microseconds, whatever it holds.
_MAX_NODES, _MAX_PRIMITIVES = 200_000, 20_000


class Damaged(Exception):
    """Raised where a file does not hold what glTF asks for, with what is wrong or nothing; :func:`opened` names the file."""


@dataclass(eq=False)
class Glb:
    """A file in memory: its document, and the chunk of bytes that accessors and images lie in."""

    file: Path
    document: dict[str, Any]
    body: memoryview
    _taken: int = 0  # memory of the numbers that were read

    def primitives(self) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """The primitives that the file's scene shows, each with its transform to the world [4, 4]."""
        nodes = self.document.get("nodes", [])
        scenes = self.document.get("scenes")
        roots = scenes[index(self.document.get("scene", 0))]["nodes"] if scenes else range(len(nodes))
        waiting = [(index(root), np.eye(4)) for root in roots]
        seen: set[int] = set()
        primitives = 0
        while waiting:
            number, parent = waiting.pop()
            if number in seen:  # a tree visits each node once; a circle would never end
                raise Damaged(f"node {number} is part of the scene twice")
            seen.add(number)
            if len(seen) > _MAX_NODES:
                raise UserError(f"has more than {_MAX_NODES} nodes, which is not read.", "Join its objects in the program that made it.")
            node = nodes[number]
            world = parent @ _matrix(node)
            waiting += [(index(child), world) for child in node.get("children", [])]
            if "mesh" in node:
                for primitive in self.document["meshes"][index(node["mesh"])]["primitives"]:
                    primitives += 1
                    if primitives > _MAX_PRIMITIVES:
                        said = f"shows more than {_MAX_PRIMITIVES} primitives, which is not read."
                        raise UserError(said, "Join its objects in the program that made it.")
                    yield primitive, world

    def numbers(self, accessor: int, *widths: int) -> np.ndarray:
        """The numbers of an accessor, [N, width] float64, normalized ones as shares.

        Args:
            accessor: its index.
            widths: what the width may be.

        Raises:
            UserError: they are stored in a way that is not read; a sentence without the file's name.
        """
        values, normalized = self._values(accessor, *widths)
        numbers = values.astype(np.float64)
        if normalized:
            np.divide(numbers, np.iinfo(values.dtype).max, out=numbers)
            np.maximum(numbers, -1.0, out=numbers)
        return numbers

    def corners(self, accessor: int) -> np.ndarray:
        """The indices of vertices that an accessor lists, [N] int64."""
        values, _ = self._values(accessor, 1)
        if values.dtype.kind != "u":
            raise Damaged(f"accessor {accessor} lists indices that are not unsigned integers")
        return values[:, 0].astype(np.int64)

    def _values(self, accessor: int, *widths: int) -> tuple[np.ndarray, bool]:
        """An accessor's numbers as they lie in the body, [N, width], and whether they are normalized."""
        facts = self.document["accessors"][index(accessor)]
        if "sparse" in facts:
            raise UserError("keeps its numbers in sparse lists, which are not read.", HINT)
        start, length, stride = self._view(facts["bufferView"])
        kind = np.dtype(_COMPONENTS[facts["componentType"]])
        count, width = index(facts["count"]), _WIDTHS[facts["type"]]
        stride = stride or kind.itemsize * width
        offset = index(facts.get("byteOffset", 0))
        needed = offset + stride * (count - 1) + kind.itemsize * width if count else 0
        if width not in widths:
            raise Damaged(f"accessor {accessor} is a {facts['type']}")
        if stride < kind.itemsize * width or needed > length:
            raise Damaged(f"accessor {accessor} reaches beyond its bufferView")
        # Any number of primitives may share an accessor. Twice, for what is made of the numbers.
        self._taken += 8 * count * width
        check_memory(self.file, 2 * self._taken, len(self.body))
        values = np.ndarray((count, width), kind, self.body, start + offset if count else 0, (stride, kind.itemsize))
        return values, bool(facts.get("normalized"))

    def bytes_of(self, view: int) -> bytes:
        """What lies in a view of the buffer."""
        start, length, _ = self._view(view)
        return bytes(self.body[start : start + length])

    def _view(self, number: int) -> tuple[int, int, int]:
        """Where a view of the buffer begins in the body, its length and its stride (0: none is given)."""
        view = self.document["bufferViews"][index(number)]
        if "uri" in self.document["buffers"][index(view["buffer"])]:
            raise UserError("keeps its data in another file.", "Export it as one GLB file.")
        start, length = index(view.get("byteOffset", 0)), index(view["byteLength"])
        if start + length > len(self.body):
            raise Damaged(f"bufferView {number} reaches beyond the buffer")
        return start, length, index(view.get("byteStride", 0))


@contextlib.contextmanager
def opened(file: Path, note: Callable[[str], None] | None = None) -> Iterator[Glb]:
    """Reads a GLB. Whatever the block finds wrong in it becomes an error that names the file.

    Args:
        file: the file.
        note: takes a sentence on extensions that the file requires and that are ignored.

    Raises:
        UserError: the file is missing, is no GLB, is damaged or requires an extension that is not read; or the block's own, which begins
            with a verb.
    """
    try:
        with open(file, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            check_memory(file, size, size)
            data = stream.read()
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None
    unknown: list[str] = []
    try:
        document, body = _chunks(file, data)
        required = document.get("extensionsRequired", [])
        unknown = sorted({str(name) for name in required} - _KNOWN)
        yield Glb(file, document, body)
    except UserError as error:
        if error.code == TOO_LARGE:
            raise
        raise UserError(f"{file} {error.message}", error.hint) from None
    except (Damaged, KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, struct.error) as error:
        if unknown:
            said = f"{file} requires {', '.join(unknown)[:200]} of glTF, which is not read."
            raise UserError(said, "Export it without compression or other extensions.") from None
        if data[:4] != struct.pack("<I", _MAGIC):
            raise UserError(f"{file} is not a GLB file.", HINT) from None
        reason = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error) if isinstance(error, Damaged) else ""
        raise UserError(f"{file} is damaged: {reason[:200]}." if reason else f"{file} is damaged.", HINT) from None
    if unknown and note is not None:
        note(f"It requires {', '.join(unknown)[:200]} of glTF, which was ignored.")


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
        raise Damaged(f"{str(value)[:40]!r} stands where an index or a size belongs")
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


def _chunks(file: Path, data: bytes) -> tuple[dict[str, Any], memoryview]:
    """The document and the binary chunk of a GLB."""
    magic, version, size = struct.unpack_from("<III", data)
    if magic != _MAGIC or version != 2:
        raise Damaged(f"it is of version {version}, and version 2 is read")
    if size > len(data):
        raise Damaged("it is cut short")
    start, text, body = 12, None, memoryview(b"")
    view = memoryview(data)
    while start + 8 <= size:
        length, kind = struct.unpack_from("<II", data, start)
        start += 8
        if start + length > size:
            raise Damaged("a chunk reaches beyond the file")
        if kind == _JSON and text is None:
            text = view[start : start + length]
        elif kind == _BIN and not len(body):
            body = view[start : start + length]
        start += length
    if text is None:
        raise Damaged("it has no JSON")
    check_memory(file, _JSON_GROWTH * len(text), size)
    document = json.loads(bytes(text))
    if not isinstance(document, dict):
        raise Damaged
    return document, body


def _matrix(node: dict[str, Any]) -> np.ndarray:
    """A node's own transform, [4, 4]."""
    if not node.keys() & {"matrix", "rotation", "scale", "translation"}:
        return np.eye(4)
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
        raise Damaged("a node's transform is not finite")
    return matrix
