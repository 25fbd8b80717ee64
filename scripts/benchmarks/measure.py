# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the engine and takes its figures. The engine is a program here, as it is for its users: nothing of it is imported."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from .plan import FIELDS, FIXTURES, RUNS, SIZES

ROOT = Path(__file__).resolve().parents[2]
Records = dict[str, dict[str, Any]]


def measure(part: str, figures: dict[str, Records]) -> None:
    """Measures a part of the plan anew, into ``figures`` (kind, then name), each record with where it comes from."""
    measured = provenance()
    if part in ("fixtures", "fields"):
        rows = bench(*(FIXTURES if part == "fixtures" else FIELDS))[0]
        kind = part
    elif part == "scaling":
        rows = {}
        for name in SIZES:
            print(f"  {name}", flush=True)
            # A process for each size: memory is counted by process.
            row, peak = bench(name)
            rows[name] = {**row[name], "peak_bytes": peak}
        kind = "scaling"
    else:
        rows = {part: train(part)}
        kind = "runs"
    figures.setdefault(kind, {}).update({name: {"measured": measured, **row} for name, row in rows.items()})


def bench(*names: str) -> tuple[Records, int]:
    """Times fixtures in one process. Returns a record for each, and the process's peak of bytes."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        peak = run_engine("bench", "--json", *names, output=output)
        output.seek(0)
        facts = json.load(output)
    most = facts["peak_vector_operations_per_second"]
    return {name: {**row, "peak_vector_operations_per_second": most} for name, row in facts["fixtures"].items()}, peak


def train(name: str) -> dict[str, Any]:
    """Trains a run of the plan into out/benchmarks. Returns its record."""
    plan = RUNS[name]
    data = Path(os.environ.get("RECONSTRUCT_DATA") or ROOT.parent / "shared" / "data")
    folder = ROOT / "out" / "benchmarks" / name
    peak = run_engine("train", str(data / plan.capture), "--out", str(folder), "--overwrite", *plan.arguments)
    # A training by the clock scores as many held-out views as it has time for; here all of them count.
    if plan.below is None:
        run_engine("eval", str(folder))
    command = " ".join(["train", plan.capture, *plan.arguments])
    return {"command": command, **read_run(folder), "peak_bytes": peak}


def read_run(folder: Path) -> dict[str, Any]:
    """The figures of a finished result, and its curve: [seconds, dB] of each preview."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if result["status"] != "done" or "psnr" not in result["metrics"]:
        sys.exit(f"benchmarks: the training in {folder} ended as {result['status']}, without a score; its figures are not taken.")
    scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    # Only progress tells the run's own clock; the others tell the time of day.
    clocks = [event["time"] - event["seconds"] for event in events if event["event"] == "progress" and event["stage"] == "train"]
    previews = [event for event in events if event["event"] == "preview"] if clocks else []
    return {
        "steps": result["step"],
        "seconds": round(result["timing"]["total"], 1),
        "train_seconds": round(result["timing"]["train"], 1),
        "step_milliseconds": round(result["timing"]["step"] * 1e3, 1),
        "gaussians": int(result["metrics"]["count"]) if "count" in result["metrics"] else None,
        "psnr": round(scores["psnr"], 2),
        "ssim": round(scores["ssim"], 4),
        "curve": [[round(event["time"] - clocks[0], 1), round(event["psnr"], 2)] for event in previews],
    }


def provenance() -> dict[str, Any]:
    """Commit, date, machine and versions."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        run_engine("doctor", "--json", output=output)
        output.seek(0)
        facts = json.load(output)
    system = f"{platform.system()} {platform.release()}"
    if hasattr(platform, "freedesktop_os_release") and platform.system() == "Linux":
        try:
            system = platform.freedesktop_os_release()["PRETTY_NAME"]
        except (OSError, KeyError):
            pass
    versions = {"engine": facts["engine"], "Python": platform.python_version()}
    return {
        # What this program writes itself is no change.
        "commit": _git("rev-parse", "--short", "HEAD") or "unknown",
        "clean": _git("status", "--porcelain", "--", ".", ":(exclude)docs/benchmarks*") == "",
        "date": datetime.date.today().isoformat(),
        "machine": {
            "processor": facts["processor"],
            "threads": facts["threads"],
            "memory_gib": round(facts["memory_gib"]),
            "system": system,
            "versions": {**versions, **{name: facts["libraries"][name] for name in ("torch", "numba", "numpy")}},
        },
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def run_engine(*arguments: str, output: IO[str] | None = None) -> int:
    """Runs a command of the engine to its end, its output into a file where one is given.

    Returns:
        The most bytes of memory that it held at once.

    Raises:
        SystemExit: it failed.
    """
    with subprocess.Popen([sys.executable, "-m", "engine", *arguments], cwd=ROOT, stdout=output) as process:
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        else:
            peak = _watch(process)
    if process.returncode != 0:
        sys.exit(f"benchmarks: engine {arguments[0]} failed; its words are above.")
    return peak


def _watch(process: subprocess.Popen) -> int:
    """Peak of bytes on Windows, which counts it itself; a virtual environment's Python there starts the real one as its child."""
    import psutil

    peak = 0
    while process.poll() is None:
        try:
            watched = psutil.Process(process.pid)
            peak = max(peak, *(item.memory_info().peak_wset for item in (watched, *watched.children(recursive=True))))
        except psutil.Error:
            pass
        time.sleep(0.5)
    return peak
