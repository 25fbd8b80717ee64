# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage: byte flips, truncation, huge counts, NaN, deep nesting, and files of another kind. All by a seeded generator."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

_NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_WORDS = [
    *(b"nan", b"-inf", b"1e400", b"-1", b"0", b"-0.0", b"1.5", b"4294967296", b"1000000000000000000", b"9" * 5000, b"1e-320", b""),
    *(b"null", b"true", b'"text"', b"[]", b"{}", b"\xff\xfe", b"\x00", b"../../etc/passwd", b"[" * 60_000, b'{"a":' * 60_000),
]
_PATTERNS = [
    *(struct.pack("<I", value) for value in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x10000000)),
    *(struct.pack("<Q", value) for value in (1 << 40, (1 << 63) - 1, (1 << 64) - 1)),
    *(struct.pack(kind, value) for kind in ("<f", ">f", "<d") for value in (float("nan"), float("inf"), -float("inf"), 1e38)),
    *(b"\xff" * 12, b"\x00" * 12, b"\xef\xbb\xbf"),
]
_VALUES = [
    *(None, True, -1, 0, 1.5, 1e308, 10**400, float("nan"), float("-inf"), "", "text", "\ud800"),
    *([], {}, [[]], [None], [1, 2, 3], {"a": {}}),
]


def mutate(data: bytes, others: list[bytes], rng: random.Random) -> tuple[str, bytes]:
    """Damages a file once or a few times.

    Args:
        data: the file.
        others: other files, one of which may take its place.
        rng: decides.

    Returns:
        What was done, and the damaged file.
    """
    if rng.random() < 0.03:
        return rng.choice([("empty", b""), ("noise", rng.randbytes(rng.randrange(3000))), ("another", rng.choice(others))])
    inner = _inside(data, rng)
    if inner is not None:
        return inner
    names = []
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        name, change = rng.choice(list(_CHANGES.items()))
        names.append(name)
        data = change(data, rng) if data else data
    return "+".join(names), data


def _inside(data: bytes, rng: random.Random) -> tuple[str, bytes] | None:
    """Damages what is packed in a file, so that it is reached; None half of the time, and where nothing is packed."""
    if rng.random() < 0.5:
        return None
    if data[:2] == b"\x1f\x8b":
        return "gzip:", gzip.compress(_several(gzip.decompress(data), rng))
    if data[:4] == b"PK\x03\x04":
        return "zip:", _zipped(data, rng)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png:", _png(data, rng)
    if data[:4] == b"glTF":
        length = struct.unpack_from("<I", data, 12)[0]
        text = _json(data[20 : 20 + length], rng)
        text += b" " * (-len(text) % 4)
        rest = data[20 + length :]
        return "gltf:", struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest
    if data[8:10] == b'{"' and struct.unpack_from("<Q", data)[0] < len(data):
        return _safetensors(data, struct.unpack_from("<Q", data)[0], rng)
    if data[:1] == b"{":
        return "json:", _json(data, rng)
    return None


def _safetensors(data: bytes, length: int, rng: random.Random) -> tuple[str, bytes]:
    """Damages the header, or what its reader does not check: the texts in it, and the tensors."""
    text, tensors = data[8 : 8 + length], data[8 + length :]
    part = rng.choice(["header", "texts", "texts", "tensors"])
    if part == "tensors":
        for _ in range(rng.choice([1, 3, 20])):
            tensors = rng.choice([_flip, _bit, _pattern])(tensors, rng)[: len(tensors)]
    elif part == "texts":
        header = json.loads(text)
        texts = json.loads(_json(json.dumps(header.get("__metadata__", {})).encode(), rng))
        # Its values are texts.
        header["__metadata__"] = {name: value for name, value in texts.items() if isinstance(value, str)} if isinstance(texts, dict) else {}
        text = json.dumps(header).encode("utf-8", "surrogatepass")
    else:
        text = _json(text, rng)
    return f"safetensors {part}:", struct.pack("<Q", len(text)) + text + tensors


def _several(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice([1, 1, 3])):
        data = rng.choice(list(_CHANGES.values()))(data, rng) if data else data
    return data


def _json(text: bytes, rng: random.Random) -> bytes:
    """Replaces or removes values somewhere in a document, also of documents that are its texts."""
    try:
        document = json.loads(text)
    except ValueError:
        return _several(text, rng)
    for _ in range(rng.choice([1, 1, 2])):
        path = _path(document, rng)
        if path is None:
            continue
        place, key = path
        value = place[key]
        if isinstance(value, str) and value[:1] == "{" and rng.random() < 0.8:
            place[key] = _json(value.encode(), rng).decode("utf-8", "replace")
        elif rng.random() < 0.2:
            del place[key]
        elif rng.random() < 0.1:
            place[key] = [value]
        else:
            place[key] = rng.choice(_VALUES)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _path(document: Any, rng: random.Random) -> tuple[Any, Any] | None:
    """A dictionary or list somewhere in a document, and a key of it; None where it holds nothing."""
    found = None
    place = document
    while isinstance(place, (dict, list)) and place:
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        found, place = (place, key), place[key]
        if rng.random() < 0.2:
            break
    return found


def _zipped(data: bytes, rng: random.Random) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", rng.choice([0, 8])) as new:
        for name in old.namelist():
            content = old.read(name)
            if rng.random() < 0.6:
                # The header of an array is a text in its first bytes.
                content = _several(content[:128], rng) + content[128:] if rng.random() < 0.7 else _several(content, rng)
            new.writestr(name, content)
    return stream.getvalue()


def _png(data: bytes, rng: random.Random) -> bytes:
    """Damages a chunk, with the checksum that belongs to it."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + length]])
        at += 12 + length
    chosen = rng.choice(chunks)
    if chosen[0] == b"IHDR" and rng.random() < 0.7:
        width, height = (rng.choice([0, 1, 24, 100, 30_000, 2**31 - 1]) for _ in range(2))
        chosen[1] = struct.pack(">II", width, height) + chosen[1][8:]
    elif chosen[0] == b"IDAT" and rng.random() < 0.5:
        chosen[1] = zlib.compress(_several(zlib.decompress(chosen[1]), rng))
    elif chosen[1]:
        chosen[1] = _several(chosen[1], rng)
    else:
        chunks.insert(1, [rng.choice([b"tEXt", b"iCCP", b"eXIf", b"gAMA"]), rng.randbytes(20)])
    lines = (struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks)
    return data[:8] + b"".join(lines)


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 2, 8, 40])):
        changed[_place(data, rng)] = rng.randrange(256)
    return bytes(changed)


def _bit(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice([1, 4, 100]) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at, length = _place(data, rng), rng.choice([1, 4, 50])
    return data[:at] + data[at : at + length] * rng.choice([2, 3, 2000]) + data[at + length :]


def _pattern(data: bytes, rng: random.Random) -> bytes:
    at, pattern = _place(data, rng), rng.choice(_PATTERNS)
    return data[:at] + pattern + data[at + len(pattern) :]


def _number(data: bytes, rng: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data[:200_000]))
    if not found:
        return _pattern(data, rng)
    chosen = rng.choice(found)
    return data[: chosen.start()] + rng.choice(_WORDS) + data[chosen.end() :]


def _swap_lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], rng.choice([lines[first], b"", lines[first] * 2])
    return b"\n".join(lines)


def _place(data: bytes, rng: random.Random) -> int:
    """Somewhere in the file, more often near its beginning, where headers are."""
    return rng.randrange(min(len(data), rng.choice([32, 300, len(data)])))


_CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flip": _flip,
    "bit": _bit,
    "cut": _cut,
    "remove": _remove,
    "repeat": _repeat,
    "pattern": _pattern,
    "number": _number,
    "number more": _number,
    "lines": _swap_lines,
}
