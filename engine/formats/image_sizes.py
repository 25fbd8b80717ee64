# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of an image from its header, without reading the image."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from ..contract.errors import UserError

# Of a JPEG; cameras write a few dozen.
_MAX_SEGMENTS = 100_000
_PNG = b"\x89PNG\r\n\x1a\n"


def picture_size(file: Path) -> tuple[int, int]:
    """Width and height of a PNG, JPEG, TIFF, WebP or BMP as stored, whatever its EXIF orientation.

    Raises:
        UserError: the file cannot be read, or is none of these.
    """
    try:
        with open(file, "rb") as stream:
            size = size_in(stream)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None
    if size is None or min(size) < 1:
        raise UserError(f"{file} is cut short, or is no PNG, JPEG, TIFF, WebP or BMP image.", "Save it again as PNG or JPEG.")
    return size


def same_shape(size: tuple[int, int], width: int, height: int) -> bool:
    """Whether an image's size (width, height) has the proportions of another, within a pixel."""
    return abs(size[0] * height / width - size[1]) <= 1 or abs(size[1] * width / height - size[0]) <= 1


def size_in(stream: BinaryIO) -> tuple[int, int] | None:
    """Width and height of the image that a stream holds from its beginning; None if it holds none that is known."""
    head = stream.read(30)
    try:
        if head[:8] == _PNG and head[12:16] == b"IHDR":
            return struct.unpack_from(">II", head, 16)
        if head[:2] == b"\xff\xd8":
            return _jpeg(stream)
        if head[:4] in (b"II*\0", b"MM\0*"):
            return _tiff(stream, "<" if head[:2] == b"II" else ">", head)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return _webp(head)
        if head[:2] == b"BM" and struct.unpack_from("<I", head, 14)[0] >= 40:
            width, height = struct.unpack_from("<ii", head, 18)
            return width, abs(height)
    except struct.error:
        pass
    return None


def _jpeg(stream: BinaryIO) -> tuple[int, int] | None:
    stream.seek(2)
    for _ in range(_MAX_SEGMENTS):
        marker = stream.read(4)
        if len(marker) < 4 or marker[0] != 0xFF:
            return None
        kind, length = marker[1], struct.unpack(">H", marker[2:])[0]
        if kind == 0xFF:  # fill byte
            stream.seek(-3, 1)
            continue
        # The start-of-frame markers, among which DHT, JPG and DAC are not.
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", stream.read(5)[1:])
            return width, height
        if length < 2:
            return None
        stream.seek(length - 2, 1)
    return None


def _tiff(stream: BinaryIO, order: str, head: bytes) -> tuple[int, int] | None:
    stream.seek(struct.unpack_from(order + "I", head, 4)[0])
    (count,) = struct.unpack(order + "H", stream.read(2))
    sides = {}
    for _ in range(count):
        entry = stream.read(12)
        tag, kind = struct.unpack_from(order + "HH", entry)
        if tag in (256, 257):  # ImageWidth, ImageLength: SHORT or LONG
            (sides[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), entry, 8)
    return (sides[256], sides[257]) if len(sides) == 2 else None


def _webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
