# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that claim, or unpack to, far more than they hold, and files that are small and take long."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np


def bombs() -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Reader (a name of targets.READERS), file, and what makes its content. Captures of corpus.py receive the file."""
    for order in ("ascii", "binary_little_endian"):
        for count in (10**9, 10**18, 10**30):
            head = f"ply\nformat {order} 1.0\nelement vertex {count}\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
            yield "points", "count.ply", lambda head=head: head.encode() + bytes(64)
            yield "splats", "count.ply", lambda head=head: head.encode() + bytes(64)
    for kind, code in (("uchar", "B"), ("float", "f"), ("double", "d")):
        for value in (0, 255, float("nan"), float("inf"), 1e300):
            if kind == "uchar" and not 0 <= value < 256 or kind == "float" and value == 1e300:
                continue
            head = f"ply\nformat binary_little_endian 1.0\nelement face 8000000\nproperty list {kind} double i\nelement vertex 1\n"
            head += "property float x\nproperty float y\nproperty float z\nend_header\n"
            counts = struct.pack("<" + code, int(value) if kind == "uchar" else value)
            yield "points", "lists.ply", lambda head=head, counts=counts: head.encode() + counts * (8_000_000 // len(counts))
    text = b"ply\nformat ascii 1.0\nelement vertex 5000000\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    yield "points", "blank.ply", lambda: text + b"\n" * 40_000_000
    yield "points", "line.ply", lambda: text + b"1 " * 20_000_000
    for count, filled in ((20_000_000, 1.0), (200_000_000, 1.0), (4_000_000_000, 0.0), (20_000_000, 0.5)):
        yield "splats", "full.spz", lambda count=count, filled=filled: _zeros(_spz(3, count), int(20 * count * filled))
    yield "splats", "tail.spz", lambda: _zeros(_spz(3, 1) + bytes(20), 3 << 30)
    yield "splats", "members.spz", lambda: gzip.compress(_spz(3, 1) + bytes(20)) * 200_000
    yield "splats", "many.spz", lambda: _spz4(300_000_000)
    yield "splats", "swollen.spz", lambda: _spz4(10, 1 << 30)
    yield "splats", "a.splat", lambda: bytes(32 * 1_000_000 + 1)
    for edit in (_nodes, _shared, _lists, _nested, _strings):
        yield "splats", "a.glb", lambda edit=edit: _glb(edit())
        yield "mesh", "a.glb", lambda edit=edit: _glb(edit())
    for shape in ("1000000000, 1000000000", "100000, 100000", "(" * 3000, "-1, -1, -1", "9" * 5000):
        yield "voxels", "voxels.npz", lambda shape=shape: _npz(_npy(shape))
        yield "capture", "poses_bounds.npy", lambda shape=shape: _npy(shape)
        yield "capture", "depth/0.npy", lambda shape=shape: _npy(shape)
    yield "voxels", "voxels.npz", lambda: _npz(_npy("1024, 1024, 1024") + bytes(1 << 30))
    noise = np.random.default_rng(0).integers(0, 2, 128**3, np.uint8).tobytes()
    yield "voxels", "noise.npz", lambda: _npz(_npy("128, 128, 128", "|b1") + noise)
    yield "voxels", "listed.npz", _directory
    yield "binvox", "a.binvox", lambda: b"#binvox 1\ndim 1024 1024 1024\ndata\n" + b"\x01\xff" * (1024**3 // 255) + b"\x01\x04"
    yield "binvox", "a.binvox", lambda: b"#binvox 1\ndim 1024 1024 1024\ndata\n" + b"\x01\x00" * 30_000_000
    yield "binvox", "a.binvox", lambda: b"#binvox 1\ndim " + b"9" * 3000 + b" 1 1\ndata\n\1\1"
    for side in (30_000, 2**31 - 1):
        yield "capture", "images/0.png", lambda side=side: _png(side)
        yield "capture", "masks/0.png", lambda side=side: _png(side, 0)
    yield "capture", "transforms.json", lambda: _frames(100_000)
    yield "path", "transforms.json", lambda: _frames(100_000)
    for name in ("transforms.json", "transforms_train.json"):
        yield "capture", name, lambda: b"[" * 5_000_000
        yield "capture", name, lambda: b'{"frames": [' + b"{}," * 3_000_000 + b"{}]}"
    for name in ("cameras", "images", "points3D"):
        for count in (10**6, 2**63 - 1, 2**64 - 1):
            yield "capture", f"sparse/0/{name}.bin", lambda count=count: struct.pack("<Q", count) + bytes(500)
    yield "points", "points3D.bin", lambda: struct.pack("<Q", 2**62) + bytes(500)
    yield "points", "points3D.txt", lambda: b"1 2 3 4 5 6 7 8\n" * 2_000_000
    for value in (b"1" * 5000, b"[" * 50_000, b"{a=" * 50_000, b'"' + b"x" * 50_000_000 + b'"'):
        yield "job", "job.toml", lambda value=value: b"scene = " + value
        yield "result", "result.json", lambda value=value: b'{"status": ' + value
    yield "events", "events.jsonl", lambda: b'{"event": "progress", "step": ' + b"1" * 5000 + b"}\n"
    yield "events", "events.jsonl", lambda: b"[" * 50_000_000
    yield "events", "events.jsonl", lambda: b'{"event": "progress"}\n' * 1_000_000


def _spz(version: int, count: int) -> bytes:
    return struct.pack("<IIIBBBB", 0x5053474E, version, count, 0, 12, 0, 5)


def _zeros(head: bytes, count: int) -> bytes:
    """A gzip stream of a head and zeros, without having them all in memory."""
    packer = zlib.compressobj(6, wbits=31)
    parts, block = [packer.compress(head)], bytes(1 << 24)
    for _ in range(count // len(block)):
        parts.append(packer.compress(block))
    return b"".join([*parts, packer.compress(bytes(count % len(block))), packer.flush()])


def _spz4(count: int, unpacked: int = 0) -> bytes:
    """SPZ 4 whose streams hold what its header says, or ``unpacked`` bytes each."""
    import zstandard

    streams = []
    for width in (9, 1, 3, 3, 4):
        packer = zstandard.ZstdCompressor(3).compressobj()
        block, left, parts = bytes(1 << 24), unpacked or width * count, []
        while left:
            parts.append(packer.compress(block[:left]))
            left -= min(left, len(block))
        streams.append(b"".join([*parts, packer.flush()]))
    table = b"".join(struct.pack("<QQ", len(stream), width * count) for stream, width in zip(streams, (9, 1, 3, 3, 4), strict=True))
    return _spz(4, count) + struct.pack("<I12x", 32) + table + b"".join(streams)


def _glb(document: bytes) -> bytes:
    document += b" " * (-len(document) % 4)
    body = bytes(3_000_000)
    head = struct.pack("<4sIIII", b"glTF", 2, 28 + len(document) + len(body), len(document), 0x4E4F534A)
    return head + document + struct.pack("<II", len(body), 0x004E4942) + body


_EXTENSION = "KHR_gaussian_splatting"
_PRIMITIVE = {
    "attributes": {"POSITION": 0, **{f"{_EXTENSION}:{name}": 0 for name in ("SCALE", "SH_DEGREE_0_COEF_0")}},
    "extensions": {_EXTENSION: {}},
    "indices": 1,
}
_DOCUMENT = {
    "asset": {"version": "2.0"},
    "nodes": [{"mesh": 0}],
    "meshes": [{"primitives": [_PRIMITIVE]}],
    "accessors": [
        {"bufferView": 0, "componentType": 5121, "count": 1_000_000, "type": "VEC3"},
        {"bufferView": 0, "componentType": 5121, "count": 3_000_000, "type": "SCALAR"},
    ],
    "bufferViews": [{"buffer": 0, "byteLength": 3_000_000}],
    "buffers": [{"byteLength": 3_000_000}],
}


def _nodes() -> bytes:
    return json.dumps({**_DOCUMENT, "nodes": [{"mesh": 0, "scale": [1, 1, 1]}] * 1_000_000}).encode()


def _shared() -> bytes:
    small = [{**_DOCUMENT["accessors"][0], "count": 3}, _DOCUMENT["accessors"][1]]
    return json.dumps({**_DOCUMENT, "accessors": small, "meshes": [{"primitives": [_PRIMITIVE] * 100_000}]}).encode()


def _lists() -> bytes:
    return b'{"nodes": [' + b"[]," * 10_000_000 + b"[]]}"


def _nested() -> bytes:
    return b'{"nodes": ' + b"[" * 5_000_000


def _strings() -> bytes:
    return b'{"meshes": 1, "extensionsRequired": ["' + b"x" * 50_000_000 + b'"]}'


def _npy(shape: str, kind: str = "<f2") -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}".encode()
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(head)) + head


def _npz(array: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("probabilities.npy", array)
    return stream.getvalue()


def _directory() -> bytes:
    """An archive that lists very many files."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return entry * 4_000_000 + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(entry) * 4_000_000, 0, 0)


def _png(side: int, color: int = 2, bits: int = 8) -> bytes:
    """A PNG of a few kilobytes that claims a square of any side."""
    lines = b""
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, bits, color, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(3_000_000), 9)),
        (b"IEND", b""),
    ):
        lines += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + lines


def _frames(count: int) -> bytes:
    """A capture of very many frames, all of the same pictures."""
    pose = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 3], [0, 0, 0, 1]]
    frames = [{"file_path": f"images/{index % 9}.png", "transform_matrix": pose} for index in range(count)]
    return json.dumps({"w": 24, "h": 16, "fl_x": 20, "fl_y": 20, "cx": 12, "cy": 8, "frames": frames}).encode()
