# SPDX-License-Identifier: GPL-3.0-or-later
"""SPZ, Niantic's small file of splats: https://github.com/nianticlabs/spz. Axes: x right, y up, z back.

Versions 2 and 3 are one gzip stream, version 4 is a table of ZSTD streams; inside are the same numbers of 8 and 24 bits.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...contract.errors import UserError
from ...contract.result import replacing
from ..memory import check_memory
from .gaussians import Note, Splats, in_blocks, logits, opacities, splat_bytes, unit_quats
from .transform import moved

VERSIONS = (2, 3)  # that are written
_MAGIC = 0x5053474E
_HEADER = struct.Struct("<IIIBBBB")
_ANTIALIASED, _EXTENDED = 1, 2
_COLOR = 0.15  # of a base color's coefficient; less than the harmonic's 0.28, so that colors beyond 0 and 1 are held too
_COEFFICIENTS = (0, 3, 8, 15, 24)
_BUCKETS = (8,) * 3 + (16,) * 12  # steps of a harmonic's byte: 5 bits in band 1, 4 bits above
_MAX_BITS = 24
# No gzip stream grows more, so what claims to is cut short. Real splats grow up to 9 times: positions hardly pack, zero harmonics vanish.
_MAX_GROWTH, _PLAUSIBLE_GROWTH = 1032, 16
# Extensions: their types, and the most bytes that are read of them.
_ORBIT, _AXES = 0xADBE0002, 0xADBE0003
_MAX_EXTENSIONS = 1 << 20
_BLOCK = 1 << 20
_HINT = "Export it again from the program that made it."
NO_ZSTANDARD = "no_zstandard"


@dataclass(frozen=True)
class _Header:
    version: int
    count: int
    degree: int
    fraction_bits: int
    flags: int
    streams: int

    def widths(self) -> tuple[int, ...]:
        """Bytes of a splat's position, opacity, color, scales, rotation and harmonics."""
        return 9, 1, 3, 3, 3 if self.version == 2 else 4, 3 * _COEFFICIENTS[self.degree]

    def sizes(self) -> list[int]:
        """Bytes of all splats' positions, opacities, colors, scales, rotations and harmonics."""
        return [self.count * width for width in self.widths()]


def read_spz(file: Path, note: Note | None = None) -> Splats:
    """Reads splats from SPZ 2, 3 or 4, packed or not. Harmonics of degree 4 are cut to 3.

    Raises:
        UserError: the file is damaged or of another version, or it needs the library zstandard and that is not there.
    """
    with open(file, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if stream.read(2) == b"\x1f\x8b":
            stream.seek(0)
            header, parts, extensions = _read_gzip(file, stream, size)
        else:
            stream.seek(0)
            header = _parse_header(file, stream.read(_HEADER.size), size)
            read = _read_streams if header.version == 4 else _read_plain
            parts, extensions = read(file, stream, size, header)
    splats = in_blocks(header.count, lambda part: _decode(header, parts, part))
    if header.degree > 3 and note is not None:
        note(f"Its harmonics of degree {header.degree} were cut to degree 3.")
    return _extended(splats, extensions, note) if header.flags & _EXTENDED else splats


def write_spz(file: Path, splats: Splats, version: int = 3) -> None:
    """Writes SPZ, whole or not at all.

    Args:
        file: the file.
        splats: the splats. Kept within the format's ranges: scales of e^-10 to e^5.9, base colors of -0.44 to 1.44,
            harmonics of -1 to 1.
        version: 2 or 3; 3 has better rotations.

    Raises:
        UserError: a splat is too far from the origin for 24 bits, or the disk is full.
    """
    reach = float(np.abs(splats.means).max(initial=0))
    bits = next((bits for bits in range(_MAX_BITS, -1, -1) if np.rint(reach * 2.0**bits) < 1 << 23), None)
    if bits is None:
        raise UserError(f"A splat is {reach:.3g} from the origin, too far to be written to {file}.", "Cut it off with --crop.")
    fixed = np.rint(splats.means.astype(np.float64) * 2.0**bits).astype("<i4")
    quats = unit_quats(splats.quats)
    parts = [
        fixed.view(np.uint8).reshape(-1, 4)[:, :3],
        _byte(opacities(splats) * 255),
        _byte((splats.sh[:, 0].astype(np.float64) * _COLOR + 0.5) * 255),
        _byte((splats.log_scales.astype(np.float64) + 10) * 16),
        _first_three(quats) if version == 2 else _smallest_three(quats),
        _harmonic_bytes(splats.sh[:, 1:]),
    ]
    header = _HEADER.pack(_MAGIC, version, len(splats), splats.degree, bits, _ANTIALIASED if splats.antialias else 0, 0)
    body = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    packer = zlib.compressobj(wbits=31)
    with replacing(file) as temporary:
        with open(temporary, "wb") as stream:
            stream.write(packer.compress(header))
            stream.write(packer.compress(body))
            stream.write(packer.flush())


def _parse_header(file: Path, data: bytes, packed: int) -> _Header:
    """Checks a header against the size of the file."""
    if len(data) < _HEADER.size:
        raise _cut_short(file)
    magic, version, count, degree, fraction_bits, flags, streams = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise UserError(f"{file} is not an SPZ file.", "Choose another file, or export it again.")
    if version not in (2, 3, 4):
        raise UserError(f"{file} is SPZ of version {version}, which is not read.", "Export it as version 2, 3 or 4.")
    if degree >= len(_COEFFICIENTS):
        raise UserError(f"{file} has a damaged header: harmonics of degree {degree}.", _HINT)
    if fraction_bits > 30:
        raise UserError(f"{file} has a damaged header: positions with {fraction_bits} bits after the point.", _HINT)
    header = _Header(version, count, degree, fraction_bits, flags, streams)
    unpacked = sum(header.sizes())
    if unpacked > _MAX_GROWTH * (packed + 1024):
        raise _cut_short(file)
    # With as much again for what is made of the splats.
    check_memory(file, unpacked + 2 * count * splat_bytes(min(degree, 3)), _PLAUSIBLE_GROWTH * packed)
    return header


def _cut_short(file: Path) -> UserError:
    return UserError(f"{file} is cut short: it holds less than its header says.", _HINT)


def _cut(file: Path, header: _Header, body: bytes | np.ndarray) -> list[np.ndarray]:
    """The parts that a body consists of."""
    if len(body) < sum(header.sizes()):
        raise _cut_short(file)
    ends = np.cumsum(header.sizes()).tolist()
    body = np.frombuffer(body, np.uint8)
    return [body[end - size : end] for end, size in zip(ends, header.sizes(), strict=True)]


def _read_plain(file: Path, stream: BinaryIO, size: int, header: _Header) -> tuple[list[np.ndarray], bytes]:
    parts = _cut(file, header, stream.read(sum(header.sizes())))
    return parts, stream.read(_MAX_EXTENSIONS)


def _read_gzip(file: Path, stream: BinaryIO, size: int) -> tuple[_Header, list[np.ndarray], bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        header = _parse_header(file, _inflate(stream, unpacker, _HEADER.size).tobytes(), size)
        if header.version == 4:
            raise UserError(f"{file} has a damaged header: version 4 in a gzip stream.", _HINT)
        parts = _cut(file, header, _inflate(stream, unpacker, sum(header.sizes())))
        # To the end, where the checksum is; extensions come in front of it.
        extensions = _inflate(stream, unpacker, _MAX_EXTENSIONS + 1)
    except zlib.error:
        raise UserError(f"{file} is damaged: it cannot be unpacked.", _HINT) from None
    if len(extensions) > _MAX_EXTENSIONS:
        raise UserError(f"{file} is damaged: it holds far more than its header says.", _HINT)
    if not unpacker.eof:
        raise _cut_short(file)
    return header, parts, extensions.tobytes()


def _inflate(stream: BinaryIO, unpacker: Any, size: int) -> np.ndarray:
    """The next bytes of a gzip stream, uint8: as many as asked for, fewer at its end."""
    out, filled = np.empty(size, np.uint8), 0
    while filled < size and not unpacker.eof:
        packed = unpacker.unconsumed_tail or stream.read(_BLOCK)
        part = unpacker.decompress(packed, min(size - filled, _BLOCK))
        if not packed and not part:
            break
        out[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
        filled += len(part)
    return out[:filled]


def _read_streams(file: Path, stream: BinaryIO, size: int, header: _Header) -> tuple[list[np.ndarray], bytes]:
    """The parts of version 4: after a header of 32 bytes and extensions a table of sizes, then the streams."""
    try:
        import zstandard
    except ImportError:
        raise UserError(
            f"{file} is SPZ of version 4, and the library zstandard that unpacks it is not there.",
            "Convert it with python -m engine convert, or export it as version 3.",
            NO_ZSTANDARD,
        ) from None
    # What holds nothing has no stream.
    sizes = [size for size in header.sizes() if size]
    if not sizes:
        return [np.empty(0, np.uint8)] * 6, b""
    head = stream.read(16)
    if len(head) < 16:
        raise _cut_short(file)
    table = struct.unpack_from("<I", head)[0]
    if header.streams != len(sizes) or table < 32:
        raise UserError(f"{file} has a damaged header: {header.streams} streams, whose table begins at byte {table}.", _HINT)
    start = table + 16 * len(sizes)
    if size < start:
        raise _cut_short(file)
    extensions = stream.read(min(table - 32, _MAX_EXTENSIONS))
    stream.seek(table)
    rows = list(struct.iter_unpack("<QQ", stream.read(16 * len(sizes))))
    parts = []
    for (packed, unpacked), expected in zip(rows, sizes, strict=True):
        if unpacked != expected or start + packed > size:
            raise _cut_short(file)
        stream.seek(start)
        try:
            # A reader takes no more memory than it is asked for, whatever the stream says of itself.
            part = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(stream.read(packed))).read(expected)
        except zstandard.ZstdError:
            raise UserError(f"{file} is damaged: it cannot be unpacked.", _HINT) from None
        if len(part) != expected:
            raise _cut_short(file)
        parts.append(np.frombuffer(part, np.uint8))
        start += packed
    return [*parts, np.empty(0, np.uint8)][:6], extensions


def _extended(splats: Splats, data: bytes, note: Note | None) -> Splats:
    """Splats as the extensions of a file say: the axes that it is stored in are used, and ``note`` takes the others."""
    while len(data) >= 8:
        kind, length = struct.unpack_from("<II", data)
        content, data = data[8 : 8 + length], data[8 + length :]
        axes = struct.unpack("<I", content)[0] if kind == _AXES and len(content) == 4 else 17
        if axes <= 16:
            splats = moved(splats, _stored_axes(axes), in_place=True) if axes else splats
        elif note is not None:
            name = {_ORBIT: "SPZ_ADOBE_safe_orbit_camera", _AXES: "SPZ_ADOBE_coordinate_system"}.get(kind, f"0x{kind:08X}")
            note(f"Its extension {name} was ignored.")
    return splats


def _stored_axes(number: int) -> np.ndarray:
    """The matrix [3, 3] from one of the 16 axes of Niantic's library (CoordinateSystem in splat-types.h) to those of SPZ. Some mirror."""
    bits = number - 1
    matrix = np.diag([1.0 if bits & 1 else -1.0, 1.0 if bits & 2 else -1.0, -1.0 if bits & 4 else 1.0])
    return np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ matrix if bits & 8 else matrix


def _decode(header: _Header, parts: list[np.ndarray], part: slice) -> Splats:
    """The splats of a part of the file."""
    widths = header.widths()
    positions, alphas, colors, scales, rotations, harmonics = (
        values[part.start * width : part.stop * width] for values, width in zip(parts, widths, strict=True)
    )
    count = part.stop - part.start
    wide = np.zeros((count * 3, 4), np.uint8)
    # In the upper three bytes, so that the shift back brings the sign along.
    wide[:, 1:] = positions.reshape(-1, 3)
    means = (wide.view("<i4").reshape(count, 3) >> 8) / 2.0**header.fraction_bits
    base = (colors.reshape(count, 1, 3) / 255 - 0.5) / _COLOR
    higher = (harmonics.reshape(count, _COEFFICIENTS[header.degree], 3) - 128.0) / 128
    return Splats(
        means=means.astype(np.float32),
        log_scales=(scales.reshape(count, 3) / 16 - 10).astype(np.float32),
        quats=_from_first_three(rotations) if header.version == 2 else _from_smallest_three(rotations),
        opacity_logits=logits(alphas / 255),
        sh=np.concatenate([base, higher[:, :15]], axis=1).astype(np.float32),
        antialias=bool(header.flags & _ANTIALIASED),
    )


def _byte(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _harmonic_bytes(sh: np.ndarray) -> np.ndarray:
    """Bytes about 128, on few levels so that they pack well. [N, K - 1, 3]."""
    buckets = np.array(_BUCKETS[: sh.shape[1]], dtype=np.int64)[:, None]
    codes = np.rint(np.clip(sh.astype(np.float64), -2, 2) * 128).astype(np.int64) + 128
    return np.clip((codes + buckets // 2) // buckets * buckets, 0, 255).astype(np.uint8)


def _first_three(quats: np.ndarray) -> np.ndarray:
    """x, y, z as bytes, with w not negative. [N, 4] wxyz -> [N, 3]."""
    return _byte(np.where(quats[:, :1] < 0, -127.5, 127.5) * quats[:, 1:] + 127.5)


def _from_first_three(codes: np.ndarray) -> np.ndarray:
    xyz = codes.reshape(-1, 3) / 127.5 - 1
    w = np.sqrt(np.maximum(0, 1 - (xyz * xyz).sum(axis=1)))
    return unit_quats(np.concatenate([w[:, None], xyz], axis=1)).astype(np.float32)


def _smallest_three(quats: np.ndarray) -> np.ndarray:
    """Which of x, y, z, w is largest in 2 bits, then the others in that order, a sign and 9 bits each. [N, 4] wxyz -> [N] uint32."""
    xyzw = quats[:, [1, 2, 3, 0]]
    largest = np.abs(xyzw).argmax(axis=1)
    xyzw = np.where(np.take_along_axis(xyzw, largest[:, None], axis=1) < 0, -xyzw, xyzw)
    sizes = np.minimum(np.rint(np.abs(xyzw) / np.sqrt(0.5) * 511), 511).astype(np.uint32)
    packed = largest.astype(np.uint32)
    for index in range(4):
        signed = ((xyzw[:, index] < 0).astype(np.uint32) << np.uint32(9)) | sizes[:, index]
        packed = np.where(largest == index, packed, (packed << np.uint32(10)) | signed)
    return packed.astype("<u4")


def _from_smallest_three(codes: np.ndarray) -> np.ndarray:
    packed = codes.view("<u4")
    largest = packed >> np.uint32(30)
    xyzw = np.zeros((len(packed), 4))
    for index in (3, 2, 1, 0):
        here = largest == index
        size = (packed & np.uint32(511)) / 511 * np.sqrt(0.5)
        xyzw[:, index] = np.where(here, 0, np.where(packed & np.uint32(512), -size, size))
        packed = np.where(here, packed, packed >> np.uint32(10))
    rest = np.sqrt(np.maximum(0, 1 - (xyzw * xyzw).sum(axis=1)))
    np.put_along_axis(xyzw, largest.astype(np.int64)[:, None], rest[:, None], axis=1)
    return unit_quats(xyzw[:, [3, 0, 1, 2]]).astype(np.float32)
