# SPDX-License-Identifier: GPL-3.0-or-later
"""A result: a folder whose ``result.json`` lists what is whole in it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from .alive import writer_runs
from .errors import UserError, is_full_disk
from .parsing import escaped, parse_json
from .paths import resolved
from .schema import SCHEMA, bounded, check_version, from_mapping

Status = Literal["running", "cancelled", "failed", "done"]

RESULT = "result.json"
EVENTS = "events.jsonl"
LOG = "log.txt"
CANCEL = "cancel"
CHECKPOINT = "checkpoint.safetensors"
PREVIEWS = "previews"
# What other viewers open: colors that composite in sRGB, whatever the training composited in.
SPLATS = "splats.ply"
# The trained colors of a result whose blend is linear: what Blender and the engine itself read.
SPLATS_LINEAR = "splats_linear.ply"
FIELD = "field.safetensors"
POINTS = "points.ply"
MESH = "mesh.glb"
PROXY = "proxy.glb"
METRICS = "metrics.json"
WEIGHTS = "weights.safetensors"
VOXELS = "voxels.npz"
BINVOX = "voxels.binvox"
BLOCKS = "blocks.glb"
SMOOTH = "smooth.glb"


@dataclass(frozen=True)
class Artifact:
    """A finished file: ``kind`` is splats, points, mesh, metrics, …; ``path`` is relative to the result's folder."""

    kind: str
    path: str


@dataclass(frozen=True)
class Result:
    """What result.json holds. ``bounds`` is (low, high) of what the capture's depth shows, without depth of the solid part of what was
    trained, in world meters, or in the capture's own unit where ``scale`` is unknown.
    ``background`` is what scores and pictures put behind it. ``up`` is the direction that is up in the capture's world. ``dimensions``
    (width, depth, height as it stands) are known once there is a proxy. ``near`` is the distance of the near plane that splats were
    trained with, in the unit of ``bounds``. ``pid`` is the process that trained last and ``pid_started`` its start (seconds since the
    epoch, 0 = unknown), because ids are reused. ``files`` are the names in the folder that this program may have written: everything
    else is the user's.
    """

    status: Status
    method: str
    capture: str
    settings: dict[str, Any] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    blend: Literal["linear", "srgb"] = "linear"
    antialias: bool = False
    background: Literal["black", "white"] = "black"
    scale: Literal["metric", "unknown"] = "metric"
    bounds: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    up: tuple[float, float, float] | None = None
    dimensions: tuple[float, float, float] | None = None
    near: float = bounded(0, default=0.02)  # of results that do not say
    step: int = bounded(0, default=0)
    pid: int = 0
    pid_started: float = 0.0
    files: tuple[str, ...] = ()

    def artifact(self, kind: str) -> str | None:
        """The relative path of the artifact of a kind, None where there is none."""
        return next((item.path for item in self.artifacts if item.kind == kind), None)

    def with_artifact(self, kind: str, path: str) -> Result:
        """A copy that lists one more artifact (or lists it anew)."""
        kept = tuple(item for item in self.artifacts if item.kind != kind)
        return replace(self, artifacts=(*kept, Artifact(kind, path)))


def write_result(folder: Path, result: Result) -> None:
    """Writes result.json whole or not at all."""
    values = {"schema": SCHEMA, **{name: getattr(result, name) for name in result.__dataclass_fields__}}
    values["artifacts"] = [vars(item) for item in result.artifacts]
    with replacing(folder / RESULT) as temporary:
        text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        temporary.write_text(escaped(text), encoding="utf-8")


def read_result(folder: Path) -> Result:
    """Reads result.json.

    Raises:
        UserError: there is none (code ``no_result``), it is damaged (``damaged``), of another major version (``version``), or names a path
            outside its folder.
    """
    file = folder / RESULT
    hint = "Train again, or choose another result."
    nothing = UserError(f"{folder} holds no result: {RESULT} is missing.", "Choose the folder that a training wrote.", "no_result")
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise nothing from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is damaged: it is not UTF-8 text from byte {error.start} on.", hint, "damaged") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.", hint, "damaged") from None
    try:
        values = parse_json(text, str(file))
    except UserError:
        # What a parser says of it helps nobody in a panel.
        raise UserError(f"{file} is damaged.", hint, "damaged") from None
    if not isinstance(values, dict):
        raise UserError(f"{file} is not a result.", hint, "damaged")
    check_version(values.pop("schema", None), str(file))
    try:
        result = from_mapping(Result, values, ignore_unknown=True)
    except UserError as error:
        raise UserError(f"{file} is damaged: {error.message}", hint, "damaged") from None
    for item in result.artifacts:
        inside(folder, item.path, str(file))
    return result


def inside(folder: Path, relative: str, named_by: str) -> Path:
    """The absolute path of a file that ``named_by`` names; every path read from a file has to stay in its folder.

    Raises:
        UserError: the path leaves the folder, or cannot be used.
    """
    base = resolved(folder)
    try:
        path = resolved(base / relative.replace("\\", "/"))
    except UserError as error:
        raise UserError(f"{named_by} names a file that cannot be used. {error.message}", error.hint) from None
    if path != base and base not in path.parents:
        raise UserError(
            f"{named_by} names {relative!r}, which lies outside its folder.", "Move the file inside and name it by a relative path."
        )
    return path


def _replace(temporary: Path, file: Path) -> None:
    """os.replace, patient on Windows: there it fails while a scanner or a reader has the file open, which is over in a moment."""
    for wait in (0.05, 0.1, 0.2, 0.5, 1.0):
        try:
            os.replace(temporary, file)
            return
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(wait)
    os.replace(temporary, file)


def _flush(path: Path, flags: int) -> None:
    """Has the system write a file or a folder to the disk."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have no such call.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Gives a temporary path beside ``file`` and puts it in its place when the block ends well, so that no reader ever sees half a file,
    also where the machine lost power: its content is on the disk before its name is. What processes left that were killed while they
    wrote the same file is removed.

    Raises:
        UserError: the disk is full.
    """
    _remove_parts(file)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        yield temporary
        # Windows flushes only what is open for writing.
        _flush(temporary, os.O_RDWR | getattr(os, "O_BINARY", 0))
        _replace(temporary, file)
        # Windows opens no folder, and a folder may be for writing only.
        with contextlib.suppress(OSError):
            _flush(file.parent, os.O_RDONLY)
    except OSError as error:
        if is_full_disk(error):
            raise UserError(f"The disk is full: {file} could not be written.", "Free some space, then try again.", "disk_full") from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _remove_parts(file: Path) -> None:
    """Removes temporary files of :func:`replacing` whose process is gone."""
    before, after = f".{file.name}.", ".part"
    with contextlib.suppress(OSError), os.scandir(file.parent) as items:
        for item in items:
            pid = item.name[len(before) : -len(after)]
            if item.name.startswith(before) and item.name.endswith(after) and pid.isascii() and pid.isdigit():
                if item.is_file(follow_symlinks=False) and not writer_runs(Path(item.path), int(pid), 0.0):
                    os.unlink(item.path)
