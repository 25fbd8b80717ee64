# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole road on the demo room: capture, train, import into a second room, picture, comparison.

Its argument is the folder for what it makes; where there is one already, another number follows its name."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

JOB = """\
schema = "1.0"
scene = "room.blend"

[capture]
out = "capture"
rig = "both"
orbit_object = "Sofa"
views = 50
width = 400
height = 300
samples = 3

[train]
out = "result"
method = "splat"
blend = "linear"
minutes = 3.2
splat = { max_gaussians = 60000 }

[import]
new_scene = true

[place]
room = true
room_size = [8.0, 8.0, 3.4]

[render]
out = "picture.png"
width = 480
height = 360
samples = 2

[save]
out = "furnished.blend"
"""


def main(out: Path) -> int:
    """Walks the road. Returns the exit code."""
    first, number = out, 1
    while out.exists():
        # The files of an earlier demo may have been worked on.
        number += 1
        out = first.with_name(f"{first.name}_{number}")
    out.mkdir(parents=True)
    (out / "job.toml").write_text(JOB, encoding="utf-8")
    steps = (
        ("Building the demo room", [sys.executable, HERE / "room.py", out / "room.blend"]),
        ("Capturing, training, importing, placing", [sys.executable, ROOT / "scripts" / "batch.py", out / "job.toml"]),
        ("Rendering held-out views with the engine", [sys.executable, "-m", "engine", "render", out / "result", "--out", out / "engine"]),
        ("Rendering held-out views of the import with Blender", [sys.executable, HERE / "compare.py", out]),
    )
    for title, command in steps:
        print(f"\n{title}", flush=True)
        begin = time.monotonic()
        code = subprocess.call(list(map(str, command)), cwd=ROOT)
        if code != 0:
            print(f"The demo stopped: {title.lower()} ended with code {code}.", file=sys.stderr)
            return 1
        print(f"{time.monotonic() - begin:.0f} s", flush=True)
    _tell(out)
    return 0


def _tell(out: Path) -> None:
    result = json.loads((out / "result" / "result.json").read_text(encoding="utf-8"))
    blender = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    metrics = result["metrics"]
    lines = (
        ("the captured room", "room.blend"),
        ("its views, depth and cameras", "capture"),
        ("the splats", "result/splats.ply"),
        ("the second room with the splats", "furnished.blend"),
        ("its picture", "picture.png"),
        ("a held-out view: original, engine, Blender", "comparison.png"),
    )
    print(f"\nHeld-out views in the engine: {metrics['psnr']:.2f} dB PSNR, {metrics['ssim']:.4f} SSIM; {metrics['count']:.0f} gaussians")
    print(f"Held-out views in Blender:    {blender['psnr']:.2f} dB PSNR")
    print(f"\nIn {out}:")
    for what, where in lines:
        print(f"  {where:20} {what}")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
