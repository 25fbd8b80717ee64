# SPDX-License-Identifier: GPL-3.0-or-later
"""Events: one JSON object a line, appended by the engine to ``events.jsonl`` and followed by whoever waits for it.

A follower keeps a byte offset into the file. A line is only taken when its newline is there, so a half-written one is read next time.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from .parsing import escaped
from .schema import SCHEMA

Kind = Literal["started", "progress", "preview", "metric", "artifact", "note", "warning", "failed", "done"]
KINDS = get_args(Kind)
# The stages of jobs, as people read them.
STAGES = {
    "start": "Starting",
    "compile": "Compiling kernels, the first time only",
    "load": "Loading views",
    "train": "Training",
    "write": "Writing the result",
    "evaluate": "Scoring held-out views",
    "capture": "Rendering views",
    "render": "Rendering",
    "depth": "Rendering depth",
    "fuse": "Fusing depth",
    "extract": "Extracting the surface",
    "simplify": "Simplifying the surface",
    "unwrap": "Unwrapping",
    "bake": "Baking textures",
    "cut": "Cutting out the object",
    "recognize": "Recognizing the shape",
}


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    ``values`` by kind:
        started: schema, method, device, capture, pid, pid_started (seconds since the epoch)
        progress: stage (see STAGES), step, steps, seconds, eta_seconds, loss, psnr, count
        preview: path, step
        metric: name, value
        artifact: kind, path
        note, warning: message
        failed: code, message, hint
        done: seconds, cancelled
    Numbers that are not known yet are left out.
    """

    kind: Kind
    values: dict[str, Any] = field(default_factory=dict)
    time: float = 0.0

    def line(self) -> str:
        """The event as a line of JSON, newline included. Not-finite numbers are left out: JSON has none."""
        values = {k: v for k, v in self.values.items() if v is not None and not (isinstance(v, float) and not math.isfinite(v))}
        line = json.dumps({"event": self.kind, "time": round(self.time or time.time(), 3), **values}, ensure_ascii=False) + "\n"
        return escaped(line)


def parse(line: str) -> Event | None:
    """Reads a line; None where it is not an event (a foreign or damaged line is no reason to stop following)."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or values.get("event") not in KINDS:
        return None
    kind = values.pop("event")
    when = values.pop("time", 0.0)
    return Event(kind, values, when if isinstance(when, (int, float)) else 0.0)


def started(**values: Any) -> Event:
    """The first event of a run; it says which contract the rest follow."""
    return Event("started", {"schema": SCHEMA, **values})


def append(file: Path, event: Event) -> None:
    """Appends an event. One write call a line, so that a reader never sees two lines mixed."""
    with open(file, "ab+") as stream:
        # A line that a crash cut short must not swallow this one.
        if stream.tell() and stream.seek(-1, 2) >= 0 and stream.read(1) != b"\n":
            stream.write(b"\n")
        stream.write(event.line().encode("utf-8"))


def read_new(file: Path, offset: int = 0) -> tuple[list[Event], int]:
    """The events written since ``offset``.

    Args:
        file: events.jsonl; it may not exist yet.
        offset: bytes already read.

    Returns:
        The events and the new offset.
    """
    try:
        with open(file, "rb") as stream:
            stream.seek(offset)
            data = stream.read()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    # Not splitlines: it also splits at line separators that a message may hold.
    lines = data[:end].decode("utf-8", errors="replace").split("\n")
    return [event for line in lines if (event := parse(line)) is not None], offset + end
