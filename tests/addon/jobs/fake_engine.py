# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands for the engine: writes the events of a training and does nothing else. FAKE_ENGINE says how it behaves."""

import json
import os
import struct
import sys
import time
import zlib
from pathlib import Path

BEHAVIOUR = os.environ.get("FAKE_ENGINE", "good")


def tell(file: Path, event: str, **values) -> None:
    with open(file, "a", encoding="utf-8", newline="\n") as stream:
        stream.write(json.dumps({"event": event, "time": time.time(), **values}) + "\n")


def picture(file: Path, shade: int) -> None:
    width, height = 160, 120
    rows = b"".join(b"\0" + bytes(v for x in range(width) for v in (shade, x % 256, y * 2)) for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def result(out: Path, status: str) -> None:
    values = {"schema": "1.0", "status": status, "method": "splat", "capture": "capture", "metrics": {"psnr": 28.5, "ssim": 0.91}}
    (out / "result.json").write_text(json.dumps(values), encoding="utf-8")


def count(step: int) -> dict[str, int]:
    """A field has no number of gaussians."""
    return {} if BEHAVIOUR == "field" else {"count": 1000 * step}


def waits_for_cancel(out: Path) -> bool:
    """Works for a moment, or for long where it is to be slow; whether it was asked to end, which it has said then."""
    delay = float(os.environ.get("FAKE_DELAY", "0.02"))
    for _ in range(round(120 / delay) if BEHAVIOUR in ("slow", "waits") else 1):
        if BEHAVIOUR == "waits" and (out / "go").exists():
            break
        if (out / "cancel").exists():
            tell(out / "events.jsonl", "done", seconds=0.0, cancelled=True)
            return True
        time.sleep(delay)
    return False


def voxels(arguments: list[str]) -> int:
    """Recognizes an L of blocks in every picture: sure of its lower half, less so of the upper one."""
    import numpy as np

    out, images = Path(arguments[arguments.index("--out") + 1]), arguments[1 : arguments.index("--out")]
    print("command:", *arguments, flush=True)
    tell(out / "events.jsonl", "started", schema="1.0", method="r2n2", device="cpu", capture=images[0], pid=os.getpid())
    for step in range(len(images)):
        tell(out / "events.jsonl", "progress", stage="cut", step=step, steps=len(images) + 1, seconds=0.0)
    if waits_for_cancel(out):
        return 0
    if BEHAVIOUR == "fail":
        words = {"message": f"The background of {images[0]} is not plain.", "hint": "Cut the object out first, or give a --mask."}
        tell(out / "events.jsonl", "failed", code="bad_input", **words)
        return 1
    probabilities = np.full((32, 32, 32), 0.02, np.float16)
    probabilities[6:26, 10:20, 4:10] = 0.9
    probabilities[6:10, 10:20, 10:24] = 0.6
    np.savez_compressed(out / "voxels.npz", probabilities=probabilities, bands=np.array([(255, 0, 0), (0, 0, 255)], np.uint8))
    if BEHAVIOUR == "garbage":
        (out / "voxels.npz").write_bytes((out / "voxels.npz").read_bytes()[:300])
    flags = dict(zip(arguments, arguments[1:], strict=False))
    settings = {name: float(flags[f"--{name}"]) for name in ("threshold", "smoothness", "length") if f"--{name}" in flags}
    settings |= {"dimension": flags["--dimension"]} if "--dimension" in flags else {}
    values = {"schema": "1.0", "status": "done", "method": "r2n2", "capture": images[0], "settings": {"images": images, **settings}}
    (out / "result.json").write_text(json.dumps({**values, "artifacts": [{"kind": "voxels", "path": "voxels.npz"}]}), encoding="utf-8")
    tell(out / "events.jsonl", "done", seconds=0.1, cancelled=False)
    return 0


def proxy(arguments: list[str]) -> int:
    """Makes nothing of a result, but says so as the engine would."""
    out = Path(arguments[1])
    print("command:", *arguments, flush=True)
    tell(out / "events.jsonl", "started", schema="1.0", task="proxy", method="splat", device="cpu", capture="capture", pid=os.getpid())
    tell(out / "events.jsonl", "progress", stage="bake", step=1, steps=2, seconds=0.1)
    if waits_for_cancel(out):
        return 0
    if BEHAVIOUR == "fail":
        tell(out / "events.jsonl", "failed", code="bad_input", message="The capture is not there any more.", hint="Put it back there.")
        return 1
    (out / "proxy.glb").write_bytes(b"a proxy, for all that is known")
    tell(out / "events.jsonl", "done", seconds=0.2, cancelled=False)
    return 0


def main(arguments: list[str]) -> int:
    if arguments[0] == "doctor":
        methods = {"splat": {"device": "cpu", "reason": "There is no GPU."}}
        print(json.dumps({"engine": "0.1.0", "processor": "Fake", "threads": 2, "devices": ["cpu"], "methods": methods}))
        return 0
    if arguments[0] == "voxels":
        return voxels(arguments)
    if arguments[0] == "proxy":
        return proxy(arguments)
    out = Path(arguments[arguments.index("--resume" if "--resume" in arguments else "--out") + 1])
    (out / "previews").mkdir(parents=True, exist_ok=True)
    print("command:", *arguments, flush=True)
    if BEHAVIOUR == "die_at_once":
        print("no room left in this test", flush=True)
        return 7
    events = out / "events.jsonl"
    schema = "9.0" if BEHAVIOUR == "future" else "1.0"
    tell(events, "started", schema=schema, method="splat", device="cpu", capture="capture", pid=os.getpid())
    result(out, "running")
    tell(events, "note", message="A step takes no time.")
    delay = float(os.environ.get("FAKE_DELAY", "0.02"))
    # Slow means longer than any test, yet one that a failing test forgets ends by itself.
    steps = round(120 / delay) if BEHAVIOUR in ("slow", "stubborn") else 20
    for step in range(1, steps + 1):
        times = {"seconds": step * delay, "eta_seconds": (steps - step) * delay}
        tell(events, "progress", stage="train", step=step, steps=steps, loss=1 / step, psnr=20 + step / 10, **count(step), **times)
        if step % 10 == 5:
            picture(out / "previews" / f"{step:06}.png", step * 10 % 256)
            tell(events, "preview", path=f"previews/{step:06}.png", step=step)
        if BEHAVIOUR == "die" and step == 3:
            print("the fake engine dies here", flush=True)
            os._exit(9)
        if BEHAVIOUR == "fail" and step == 3:
            tell(events, "failed", code="disk_full", message="The disk is full.", hint="Free some space, then resume.")
            return 1
        if BEHAVIOUR == "garbage" and step == 3:
            with open(events, "ab") as stream:
                stream.write(b'\xff\xfe{"event": \n[1, 2]\n{"event": "unheard-of"}\n{"event": "progress", "step": "x", "loss": NaN}\n\n')
        if (out / "cancel").exists() and BEHAVIOUR != "stubborn":
            tell(events, "done", seconds=step * delay, cancelled=True)
            result(out, "cancelled")
            return 0
        time.sleep(delay)
    tell(events, "warning", message="This is a fake.")
    tell(events, "metric", name="psnr", value=28.5)
    result(out, "done")
    tell(events, "done", seconds=steps * delay, cancelled=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
