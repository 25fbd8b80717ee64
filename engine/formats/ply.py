# SPDX-License-Identifier: GPL-3.0-or-later
"""PLY: the vertices of any PLY file as columns, its triangles, and a writer. Nothing is allocated before the file is known to hold it."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..contract.errors import UserError
from ..contract.result import replacing

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8",
}  # fmt: skip
_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float", "f8": "double"}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_MAX_HEADER = 1 << 16
_HINT = "Export it again from the program that made it."


@dataclass(frozen=True)
class Vertices:
    """An element of a PLY, usually its vertices: ``columns`` by property name, each [N] in the file's own type; the header's comments."""

    columns: dict[str, np.ndarray]
    comments: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def stack(self, names: Sequence[str], dtype: type = np.float32) -> np.ndarray:
        """Several columns side by side, [N, len(names)]."""
        out = np.empty((len(self), len(names)), dtype=dtype)
        for index, name in enumerate(names):
            out[:, index] = self.columns[name]
        return out


@dataclass
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str]]  # name, NumPy type
    has_lists: bool = False


def read_vertices(file: Path) -> Vertices:
    """Reads the vertices of a PLY file: ascii, little or big endian; other elements are passed over.

    Raises:
        UserError: the file is missing, is not a PLY, is cut short, or has vertices of a kind that nobody writes.
    """
    vertices = read_element(file, "vertex")
    if vertices is None:
        raise UserError(f"{file} has no vertices.", "Choose a PLY that holds points or splats.")
    return vertices


def read_element(file: Path, name: str) -> Vertices | None:
    """Reads an element of a PLY file as :func:`read_vertices` reads its vertices; None where the file has none of that name."""
    with _opened(file) as (stream, order, elements, comments, start):
        chosen = next((index for index, element in enumerate(elements) if element.name == name), None)
        if chosen is None:
            return None
        element = elements[chosen]
        if element.has_lists or not element.properties:
            raise UserError(f"{file}: its element {name} is not made of plain numbers.", _HINT)
        stream.seek(start)
        remaining = os.fstat(stream.fileno()).st_size - start
        if order:
            return Vertices(_read_binary(stream, order, elements[:chosen], element, remaining, file), comments)
        return Vertices(_read_ascii(stream, elements[:chosen], element, remaining, file), comments)


def read_triangles(file: Path) -> np.ndarray | None:
    """Reads the faces of a binary PLY, [M, 3] int64 numbers of vertices; None where it has none.

    Raises:
        UserError: the file is missing, is not a PLY, is cut short, is ascii, or has other faces than triangles.
    """
    with _opened(file) as (stream, order, elements, _, start):
        chosen = next((index for index, element in enumerate(elements) if element.name == "face"), None)
        if chosen is None:
            return None
        face = elements[chosen]
        listed = [name.split() for name, _ in face.properties]
        if not order or len(listed) != 1 or len(listed[0]) != 2 or listed[0][1] not in ("vertex_indices", "vertex_index"):
            raise UserError(f"{file}: its faces are not plain triangles in binary.", _HINT)
        count, kind = listed[0][0], face.properties[0][1]
        if kind[0] == "f":
            raise UserError(f"{file} is damaged.", _HINT)
        stream.seek(start)
        remaining = os.fstat(stream.fileno()).st_size - start
        row = _Element("face", face.count, [("sides", count), *((corner, kind) for corner in "abc")])
        columns = _read_binary(stream, order, elements[:chosen], row, remaining, file)
        if (columns["sides"] != 3).any():
            raise UserError(f"{file} has faces of more than three corners.", "Make triangles of them in the program that made it.")
        return np.stack([columns[corner] for corner in "abc"], axis=1).astype(np.int64)


def write_vertices(
    file: Path, columns: Mapping[str, np.ndarray], comments: Sequence[str] = (), triangles: np.ndarray | None = None
) -> None:
    """Writes a little-endian PLY of vertices, whole or not at all.

    Args:
        file: the file.
        columns: [N] each, in the order of the file's properties; their types become the properties' types.
        comments: lines of the header, without line ends.
        triangles: [M, 3] numbers of vertices, where the vertices make a surface.
    """
    dtype = np.dtype([(name, np.dtype(column.dtype).newbyteorder("<")) for name, column in columns.items()])
    count = len(next(iter(columns.values())))
    rows = np.empty(count, dtype=dtype)
    for name, column in columns.items():
        rows[name] = column
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {comment}" for comment in comments), f"element vertex {count}"]
    lines += [f"property {_NAMES[np.dtype(column.dtype).str[1:]]} {name}" for name, column in columns.items()]
    faces = b""
    if triangles is not None:
        lines += [f"element face {len(triangles)}", "property list uchar int vertex_indices"]
        made = np.empty(len(triangles), dtype=[("sides", "u1"), ("corners", "<i4", 3)])
        made["sides"], made["corners"] = 3, triangles
        faces = made.tobytes()
    with replacing(file) as temporary:
        with open(temporary, "wb") as stream:
            stream.write(("\n".join([*lines, "end_header"]) + "\n").encode("utf-8"))
            stream.write(rows.tobytes())
            stream.write(faces)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[BinaryIO, str, list[_Element], tuple[str, ...], int]]:
    """A PLY's stream, and what its header says: byte order, elements, comments, and where they begin."""
    try:
        with open(file, "rb") as stream:
            yield stream, *_read_header(stream, file)
    except FileNotFoundError:
        raise UserError(f"There is no file {file}.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None


def _read_header(stream: BinaryIO, file: Path) -> tuple[str, list[_Element], tuple[str, ...], int]:
    head = stream.read(_MAX_HEADER)
    if head[:3] != b"ply" or head[3:4] not in (b"\n", b"\r"):
        raise UserError(f"{file} is not a PLY file.", "Choose a .ply file.")
    end = head.find(b"\nend_header")
    stop = head.find(b"\n", end + 1)
    if end < 0 or stop < 0 or head[end + 11 : stop].strip():
        raise UserError(f"{file} is cut short or damaged: its header has no end.", _HINT)
    order: str | None = None
    elements: list[_Element] = []
    comments: list[str] = []
    try:
        for line in head[:end].decode("utf-8", errors="replace").splitlines()[1:]:
            word, _, rest = line.strip().partition(" ")
            words = rest.split()
            if word == "comment":
                comments.append(rest.strip())
            elif word == "format":
                order = _ORDERS[words[0]]
            elif word == "element":
                count = int(words[1])
                if count < 0:
                    raise ValueError
                elements.append(_Element(words[0], count, []))
            elif word == "property" and words[0] == "list":
                elements[-1].has_lists = True
                # Kept in order: elements before the vertices are walked through.
                elements[-1].properties.append((f"{_TYPES[words[1]]} {words[3]}", _TYPES[words[2]]))
            elif word == "property":
                name, kind = words[1], _TYPES[words[0]]
                if name in (known for known, _ in elements[-1].properties):
                    raise ValueError
                elements[-1].properties.append((name, kind))
            elif word not in ("obj_info", ""):
                raise ValueError
    except (ValueError, KeyError, IndexError):
        raise UserError(f"{file} has a damaged header.", _HINT) from None
    if order is None:
        raise UserError(f"{file} has a damaged header.", _HINT)
    return order, elements, tuple(comments), stop + 1


def _cut_short(file: Path) -> UserError:
    return UserError(f"{file} is cut short: it holds less than its header says.", _HINT)


def _read_binary(
    stream: BinaryIO, order: str, before: list[_Element], element: _Element, remaining: int, file: Path
) -> dict[str, np.ndarray]:
    for other in before:
        remaining -= _skip_lists(stream, order, other, file) if other.has_lists else _skip_rows(stream, other)
    dtype = np.dtype([(name, order + kind) for name, kind in element.properties])
    if element.count * dtype.itemsize > remaining:
        raise _cut_short(file)
    rows = np.frombuffer(stream.read(element.count * dtype.itemsize), dtype=dtype)
    if len(rows) != element.count:
        raise _cut_short(file)
    return {name: rows[name].astype(kind) for name, kind in element.properties}


def _skip_rows(stream: BinaryIO, element: _Element) -> int:
    size = element.count * sum(np.dtype(kind).itemsize for _, kind in element.properties)
    # A size past any file's end stays a plain number: it only makes what remains negative.
    if size < 1 << 62:
        stream.seek(size, os.SEEK_CUR)
    return size


def _skip_lists(stream: BinaryIO, order: str, element: _Element, file: Path) -> int:
    start = stream.tell()
    for _ in range(element.count):
        for name, kind in element.properties:
            length = 1
            if " " in name:
                counter = np.dtype(order + name.split()[0])
                data = stream.read(counter.itemsize)
                if len(data) < counter.itemsize:
                    raise _cut_short(file)
                length = int(np.frombuffer(data, dtype=counter)[0])
            if length < 0 or length > 1 << 32:
                raise UserError(f"{file} is damaged.", _HINT)
            stream.seek(length * np.dtype(kind).itemsize, os.SEEK_CUR)
        if stream.tell() > os.fstat(stream.fileno()).st_size:
            raise _cut_short(file)
    return stream.tell() - start


def _read_ascii(stream: BinaryIO, before: list[_Element], element: _Element, remaining: int, file: Path) -> dict[str, np.ndarray]:
    for other in before:
        if other.count > remaining:
            raise _cut_short(file)
        for _ in range(other.count):
            stream.readline()
    # The shortest row is one digit and one separator a property; the last separator may be missing.
    if element.count * len(element.properties) * 2 > remaining + 1:
        raise _cut_short(file)
    if element.count == 0:
        return {name: np.empty(0, dtype=kind) for name, kind in element.properties}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are no rows, which is refused below
            rows = np.loadtxt(stream, dtype=np.float64, comments=None, max_rows=element.count, ndmin=2, encoding="ascii")
    except (ValueError, UnicodeDecodeError, OverflowError):
        raise UserError(f"{file} is damaged: what should be numbers is something else.", _HINT) from None
    if rows.shape[0] != element.count or rows.shape[1] < len(element.properties):
        raise _cut_short(file)
    columns = {}
    for index, (name, kind) in enumerate(element.properties):
        values = rows[:, index]
        if kind[0] != "f":
            limits = np.iinfo(kind)
            if not ((values >= limits.min) & (values <= limits.max)).all():
                raise UserError(f"{file} is damaged: {name} is out of range.", _HINT)
        with np.errstate(over="ignore"):
            columns[name] = values.astype(kind)
    return columns
