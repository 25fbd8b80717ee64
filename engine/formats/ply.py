# SPDX-License-Identifier: GPL-3.0-or-later
"""PLY: the vertices of any PLY file as columns, its triangles, and a writer. Counts are checked against the file's size before memory is
allocated for them.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..contract.errors import UserError
from ..contract.result import replacing
from .memory import check_memory

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8",
}  # fmt: skip
_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float", "f8": "double"}
_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}  # of the module struct
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_BOM = b"\xef\xbb\xbf"
_MAX_HEADER = 1 << 16
# Bytes that are read and converted at once; no line of text is longer.
_BLOCK = 1 << 20
# Lists are skipped one by one, which takes about a second per million.
_MAX_SKIPPED_LISTS = 3_000_000
_HINT = "Export it again from the program that made it."


@dataclass(frozen=True)
class Vertices:
    """An element of a PLY, usually its vertices: ``columns`` by property name, each [N] in the file's own type; the header's comments."""

    columns: dict[str, np.ndarray]
    comments: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def stack(self, names: Sequence[str], dtype: type = np.float32) -> np.ndarray:
        """Several columns side by side, [N, len(names)]; what is beyond the range of ``dtype`` becomes infinite."""
        out = np.empty((len(self), len(names)), dtype=dtype)
        with np.errstate(over="ignore"):
            for index, name in enumerate(names):
                out[:, index] = self.columns[name]
        return out


@dataclass(frozen=True)
class Header:
    """What a PLY says of itself: names of its vertices' properties, none where it has no vertices; comments; counts of its elements."""

    properties: tuple[str, ...]
    comments: tuple[str, ...]
    counts: dict[str, int]


@dataclass
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str]]  # name, NumPy type
    has_lists: bool = False


def read_vertices(file: Path) -> Vertices:
    """Reads the vertices of a PLY file: ascii, little or big endian; other elements are skipped.

    Raises:
        UserError: the file is missing, is not a PLY, is damaged, or has vertices with lists.
    """
    vertices = read_element(file, "vertex")
    if vertices is None:
        raise UserError(f"{file} has no element vertex.", "Choose a PLY that holds points or splats.")
    return vertices


def read_header(file: Path) -> Header:
    """Reads a PLY's header alone.

    Raises:
        UserError: the file is missing or is not a PLY.
    """
    with _opened(file) as (_, _, elements, comments, _):
        properties = tuple(name for element in elements if element.name == "vertex" for name, _ in element.properties)
        return Header(properties, comments, {element.name: element.count for element in elements})


def read_element(file: Path, name: str) -> Vertices | None:
    """Reads an element of a PLY file as :func:`read_vertices` reads its vertices; None where the file has none of that name."""
    with _opened(file) as (stream, order, elements, comments, start):
        chosen = next((index for index, element in enumerate(elements) if element.name == name), None)
        if chosen is None:
            return None
        element = elements[chosen]
        if element.has_lists or not element.properties:
            raise UserError(f"{file}: its element {name} has lists or no properties, and needs numbers.", _HINT)
        read = _read_binary if order else _read_ascii
        return Vertices(read(_Body(file, stream, start, order), elements[:chosen], element), comments)


def read_triangles(file: Path) -> np.ndarray | None:
    """Reads the faces of a binary PLY, [M, 3] int64 indices of vertices; None where it has none.

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
            raise UserError(f"{file}: its element face is not a binary list vertex_indices of plain triangles.", _HINT)
        count, kind = listed[0][0], face.properties[0][1]
        if kind[0] == "f":
            raise UserError(f"{file} is damaged: the vertex_indices of its element face are not integers.", _HINT)
        row = _Element("face", face.count, [("sides", count), *((corner, kind) for corner in "abc")])
        columns = _read_binary(_Body(file, stream, start, order), elements[:chosen], row)
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
    count = len(next(iter(columns.values())))
    if any(len(column) != count for column in columns.values()):
        raise ValueError("columns of different lengths")
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {comment}" for comment in comments), f"element vertex {count}"]
    lines += [f"property {_NAMES[np.dtype(column.dtype).str[1:]]} {name}" for name, column in columns.items()]
    if triangles is not None:
        lines += [f"element face {len(triangles)}", "property list uchar int vertex_indices"]
    with replacing(file) as temporary:
        with open(temporary, "wb") as stream:
            stream.write(("\n".join([*lines, "end_header"]) + "\n").encode("utf-8"))
            _write_rows(stream, columns)
            if triangles is not None:
                corners = {corner: triangles[:, index].astype(np.int32) for index, corner in enumerate("abc")}
                _write_rows(stream, {"sides": np.full(len(triangles), 3, np.uint8), **corners})


def _write_rows(stream: BinaryIO, columns: Mapping[str, np.ndarray]) -> None:
    """Writes columns row by row, little endian."""
    dtype = np.dtype([(name, np.dtype(column.dtype).newbyteorder("<")) for name, column in columns.items()])
    count, block = len(next(iter(columns.values()))), max(1, _BLOCK // dtype.itemsize)
    for start in range(0, count, block):
        rows = np.empty(min(block, count - start), dtype=dtype)
        for name, column in columns.items():
            rows[name] = column[start : start + block]
        stream.write(rows.tobytes())


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
    first = len(_BOM) if head.startswith(_BOM) else 0
    if head[first : first + 3] != b"ply" or head[first + 3 : first + 4] not in (b"\n", b"\r"):
        raise UserError(f"{file} is not a PLY file: its first line is not ply.", "Choose another file, or export it again.")
    end = head.find(b"\nend_header")
    stop = head.find(b"\n", end + 1)
    if end < 0 or stop < 0 or head[end + 11 : stop].strip():
        raise UserError(f"{file} is cut short or damaged: its header has no line end_header.", _HINT)
    order: str | None = None
    elements: list[_Element] = []
    comments: list[str] = []
    for number, line in enumerate(head[first:end].decode("utf-8", errors="replace").splitlines()[1:], 2):
        word, _, rest = line.strip().partition(" ")
        try:
            if word == "comment":
                comments.append(rest.strip())
            elif word == "format":
                order = _ORDERS[rest.split()[0]]
            elif word in ("element", "property"):
                _declare(elements, word, rest.split())
            elif word not in ("obj_info", ""):
                raise ValueError
        except (ValueError, KeyError, IndexError):
            raise UserError(f"{file} has a damaged header: line {number} is {line.strip()[:80]!r}.", _HINT) from None
    if order is None:
        raise UserError(f"{file} has a damaged header: it has no line that begins with format.", _HINT)
    return order, elements, tuple(comments), stop + 1


def _declare(elements: list[_Element], word: str, words: list[str]) -> None:
    """Adds an element, or a property to the last one, as a line of the header declares it.

    Raises:
        ValueError, KeyError, IndexError: the line is damaged.
    """
    if word == "element":
        elements.append(_Element(words[0], int(words[1]), []))
        if elements[-1].count < 0:
            raise ValueError
    elif words[0] == "list":
        elements[-1].has_lists = True
        # Kept in order: elements in front of the vertices are walked through.
        elements[-1].properties.append((f"{_TYPES[words[1]]} {words[3]}", _TYPES[words[2]]))
    else:
        name, kind = words[1], _TYPES[words[0]]
        if name in (known for known, _ in elements[-1].properties):
            raise ValueError
        elements[-1].properties.append((name, kind))


@dataclass(frozen=True)
class _Body:
    """What follows a header: the stream, where it begins, and its byte order, which is "" for ascii."""

    file: Path
    stream: BinaryIO
    start: int
    order: str

    @property
    def size(self) -> int:
        return os.fstat(self.stream.fileno()).st_size

    def cut_short(self, element: _Element) -> UserError:
        return UserError(f"{self.file} is cut short: its header promises {element.count} of element {element.name}.", _HINT)


def _read_binary(body: _Body, before: list[_Element], element: _Element) -> dict[str, np.ndarray]:
    position = body.start
    for other in before:
        if other.has_lists:
            position = _skip_lists(body, position, other)
        else:
            position += other.count * sum(np.dtype(kind).itemsize for _, kind in other.properties)
    dtype = np.dtype([(name, body.order + kind) for name, kind in element.properties])
    needed = element.count * dtype.itemsize
    if position + needed > body.size:
        raise body.cut_short(element)
    # The columns, what is made of them, and the same turned.
    check_memory(body.file, 3 * needed, body.size)
    columns = {name: np.empty(element.count, kind) for name, kind in element.properties}
    body.stream.seek(position)
    block = max(1, _BLOCK // dtype.itemsize)
    for start in range(0, element.count, block):
        rows = np.empty(min(block, element.count - start), dtype)
        if body.stream.readinto(rows.view(np.uint8)) != rows.nbytes:
            raise body.cut_short(element)
        for name, column in columns.items():
            column[start : start + block] = rows[name]
    return columns


def _skip_lists(body: _Body, position: int, element: _Element) -> int:
    """The position behind an element that has lists."""
    lists = sum(" " in name for name, _ in element.properties)
    if element.count * lists > body.size - position:
        raise body.cut_short(element)
    if element.count * lists > _MAX_SKIPPED_LISTS:
        raise UserError(
            f"{body.file} has {element.count} lists of element {element.name} in front of what is read, too many to skip.",
            "Save it with its vertices first.",
        )
    fields = []
    for name, kind in element.properties:
        counter = struct.Struct(body.order + _CODES[name.split()[0]]) if " " in name else None
        fields.append((name.split()[-1], counter, np.dtype(kind).itemsize))
    stream, size = body.stream, body.size
    stream.seek(position)
    for row in range(element.count):
        for name, counter, width in fields:
            if counter is None:
                position += width
            else:
                data = stream.read(counter.size)
                if len(data) < counter.size:
                    raise body.cut_short(element)
                (length,) = counter.unpack(data)
                # Also false for a count that is not a number.
                if not 0 <= length <= size:
                    raise UserError(
                        f"{body.file} is damaged: list {name} in row {row + 1} of element {element.name} has {length:g} entries.", _HINT
                    )
                position += counter.size + int(length) * width
            stream.seek(position)
        if position > size:
            raise body.cut_short(element)
    return position


def _read_ascii(body: _Body, before: list[_Element], element: _Element) -> dict[str, np.ndarray]:
    skipped = sum(other.count for other in before)
    remaining, width = body.size - body.start, len(element.properties)
    # The shortest row is one digit and one separator a property; the last separator may be missing.
    if skipped + element.count * width * 2 > remaining + 1:
        raise body.cut_short(element)
    # The columns, what is made of them, and the same turned.
    check_memory(body.file, 3 * element.count * sum(np.dtype(kind).itemsize for _, kind in element.properties), remaining)
    columns = {name: np.empty(element.count, kind) for name, kind in element.properties}
    done = 0
    for lines in _lines(body):
        if done == element.count:
            break
        passed = min(skipped, len(lines))
        skipped -= passed
        lines = lines[passed : passed + element.count - done]
        if not lines:
            continue
        try:
            rows = np.loadtxt(lines, dtype=np.float64, comments=None, ndmin=2, usecols=range(width))
        except (ValueError, OverflowError):
            raise UserError(f"{body.file} is damaged: {_bad_row(lines, element, done)}.", _HINT) from None
        for index, (name, kind) in enumerate(element.properties):
            values = rows[:, index]
            if kind[0] != "f":
                limits = np.iinfo(kind)
                wrong = ~((values >= limits.min) & (values <= limits.max))
                if wrong.any():
                    at = int(wrong.argmax())
                    said = f"{name} is {values[at]:g} in row {done + at + 1} of element {element.name}, beyond its type"
                    raise UserError(f"{body.file} is damaged: {said}.", _HINT)
            with np.errstate(over="ignore"):
                columns[name][done : done + len(lines)] = values
        done += len(lines)
    if done < element.count:
        raise body.cut_short(element)
    return columns


def _lines(body: _Body) -> Iterator[list[str]]:
    """The lines of a body that are not blank, many at once."""
    body.stream.seek(body.start)
    rest = body.stream.read(len(_BOM))
    rest = b"" if rest == _BOM else rest
    while block := body.stream.read(_BLOCK):
        text, newline, rest = (rest + block).rpartition(b"\n")
        if len(rest) > _BLOCK:
            raise UserError(f"{body.file} is damaged: it has a line of more than {_BLOCK} characters.", _HINT)
        if newline:
            yield [line for line in text.decode("latin-1").splitlines() if line.strip()]
    yield [line for line in rest.decode("latin-1").splitlines() if line.strip()]


def _bad_row(lines: list[str], element: _Element, done: int) -> str:
    """Why rows of text cannot be read; ``done`` rows were read in front of them."""
    for number, line in enumerate(lines, done + 1):
        words = line.split()
        if len(words) < len(element.properties):
            return f"row {number} of element {element.name} has {len(words)} values, and needs {len(element.properties)}"
        for word, (name, _) in zip(words, element.properties, strict=False):
            try:
                float(word)
            except ValueError:
                return f"{name} in row {number} of element {element.name} is {word[:40]!r}, which is not a number"
    return f"a value of element {element.name} is not a number"
