# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats on real captures, from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.contract.result import read_result
from engine.formats.splats import read_splats

ROOT = Path(__file__).parents[3]


def train(capture, out, *more):
    command = [sys.executable, "-m", "engine", "train", str(capture), "--out", str(out), *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return read_result(out), done.stderr


@pytest.mark.parametrize(("name", "warned"), [("lego400", False), ("fox", True), ("fox_colmap", False)])
def test_captures_as_they_are(shared_data, tmp_path, name, warned):
    """Each kind of capture trains as it was published; the one with missing pictures says so."""
    result, _ = train(shared_data(name), tmp_path / "result", "--steps", "3")
    assert result.status == "done" and result.blend == "srgb" and result.scale == "unknown"
    events = [json.loads(line) for line in (tmp_path / "result" / "events.jsonl").read_text().splitlines()]
    assert any(event["event"] == "warning" and "17" in event["message"] for event in events) == warned
    splats = read_splats(tmp_path / "result" / "splats.ply")
    splats.check(name)
    if name == "fox_colmap":
        assert len(splats) == 11_711, "one gaussian for each of the solver's points"


@pytest.mark.slow
def test_lego_in_five_minutes(shared_data, tmp_path):
    """31 dB on its test views in five minutes on two cores."""
    result, _ = train(shared_data("lego400"), tmp_path / "result", "--minutes", "5")
    assert result.metrics["psnr"] >= 31.0, result.metrics
