# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of a picture from its header, without reading the picture."""

from __future__ import annotations

import struct
from pathlib import Path

from ..contract.errors import UserError

_PNG = b"\x89PNG\r\n\x1a\n"


def picture_size(file: Path) -> tuple[int, int]:
    """Width and height of a PNG or JPEG as stored, whatever its EXIF orientation.

    Raises:
        UserError: the file cannot be read, or is neither.
    """
    try:
        with open(file, "rb") as stream:
            head = stream.read(26)
            if head[:8] == _PNG and head[12:16] == b"IHDR" and len(head) >= 24:
                return struct.unpack(">II", head[16:24])
            if head[:2] == b"\xff\xd8":
                stream.seek(2)
                while True:
                    marker = stream.read(4)
                    if len(marker) < 4 or marker[0] != 0xFF:
                        break
                    kind, length = marker[1], struct.unpack(">H", marker[2:])[0]
                    if kind == 0xFF:  # fill byte
                        stream.seek(-3, 1)
                        continue
                    # The start-of-frame markers, among which DHT, JPG and DAC are not.
                    if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
                        frame = stream.read(5)
                        if len(frame) == 5:
                            height, width = struct.unpack(">HH", frame[1:])
                            return width, height
                        break
                    if length < 2:
                        break
                    stream.seek(length - 2, 1)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None
    raise UserError(f"{file} is not a whole PNG or JPEG picture.", "Save it again as PNG or JPEG.")
