# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on in a real Blender window: panels draw, jobs run, and the window stays alive meanwhile."""

import json
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.blender

INSIDE = Path(__file__).with_name("inside_window.py")


@pytest.fixture
def seen(user, window, tmp_path):
    window("--python", str(INSIDE), "--", str(tmp_path))
    end = time.monotonic() + 110
    while not (tmp_path / "seen.json").exists():
        assert not list(tmp_path.glob("*crash.txt")), "Blender crashed"
        assert time.monotonic() < end, "the window gave no answer"
        time.sleep(0.5)
    return json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))


def test_a_walk_through_the_panels(seen, tmp_path):
    assert seen["errors"] == []
    assert seen["tab"] == "Reconstruct"
    assert len(seen["drawn"]) >= 7 and all(seen["drawn"].values()), seen["drawn"]
    assert "Fake, 2 threads" in seen["engine"]
    assert seen["capture"]["status"] == "done", seen["capture"]
    assert len(list((tmp_path / "capture" / "images").glob("*.png"))) == 4
    assert not (tmp_path / "capture" / "scene.blend").exists()
    assert seen["capture_press"] < 3.0
    assert seen["train"]["status"] == "done"
    assert seen["train"]["ticks"] >= 10, "the window went on while the job ran"
    assert seen["train"]["largest_gap"] < 2.0
    assert seen["busy"]
    assert seen["cancelled"] == "cancelled"
    assert seen["failed"] == ["failed", "The disk is full.", "Free some space, then resume."]
