# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of a picture from its header, without reading the picture."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from ..contract.errors import UserError

_PNG = b"\x89PNG\r\n\x1a\n"


def picture_size(file: Path) -> tuple[int, int]:
    """Width and height of a PNG or JPEG as stored, whatever its EXIF orientation.

    Raises:
        UserError: the file cannot be read, or is neither.
    """
    try:
        with open(file, "rb") as stream:
            size = size_in(stream)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None
    if size is None:
        raise UserError(f"{file} is not a whole PNG or JPEG picture.", "Save it again as PNG or JPEG.")
    return size


def size_in(stream: BinaryIO) -> tuple[int, int] | None:
    """Width and height of the PNG or JPEG that a stream holds from its beginning; None where it holds neither."""
    head = stream.read(26)
    if head[:8] == _PNG and head[12:16] == b"IHDR" and len(head) >= 24:
        return struct.unpack(">II", head[16:24])
    if head[:2] != b"\xff\xd8":
        return None
    stream.seek(2)
    while True:
        marker = stream.read(4)
        if len(marker) < 4 or marker[0] != 0xFF:
            return None
        kind, length = marker[1], struct.unpack(">H", marker[2:])[0]
        if kind == 0xFF:  # fill byte
            stream.seek(-3, 1)
            continue
        # The start-of-frame markers, among which DHT, JPG and DAC are not.
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            frame = stream.read(5)
            if len(frame) < 5:
                return None
            height, width = struct.unpack(">HH", frame[1:])
            return width, height
        if length < 2:
            return None
        stream.seek(length - 2, 1)
