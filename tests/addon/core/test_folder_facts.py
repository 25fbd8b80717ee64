# SPDX-License-Identifier: GPL-3.0-or-later
"""Panels and buttons read the files in the scene's folders only when these changed."""

import json
import os
import sys

import bpy
import pytest
from reconstruct.addon.core import folder_facts
from reconstruct.engine.contract.result import Result, write_result

root = sys.modules["reconstruct"]


@pytest.fixture
def reads(monkeypatch):
    """Counts how often JSON is parsed."""
    counted = []
    loads = json.loads
    monkeypatch.setattr(folder_facts.json, "loads", lambda *arguments: counted.append(1) or loads(*arguments))
    return counted


def test_a_poll_parses_the_cameras_of_a_capture_once(tmp_path, reads):
    root.register()
    bpy.context.scene.reconstruct.capture.out = str(tmp_path)
    file = tmp_path / "transforms.json"
    file.write_text(json.dumps({"source": "blender", "frames": [{}] * 5}))
    assert all(bpy.ops.reconstruct.train.poll() for _ in range(5)) and folder_facts.view_count(tmp_path) == 5
    assert len(reads) == 1
    found = file.stat()
    file.write_text(json.dumps({"source": "other", "frames": [{}] * 55}))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert not folder_facts.is_own_capture(tmp_path) and folder_facts.view_count(tmp_path) == 55, "also within the resolution of the clock"
    root.unregister()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"frames": 5}', '{"frames": [], "source": []}', "[" * 50_000])
def test_a_file_that_is_no_capture_is_none(tmp_path, text):
    (tmp_path / "transforms.json").write_text(text)
    assert not folder_facts.is_own_capture(tmp_path) and folder_facts.view_count(tmp_path) == 0


def test_why_a_result_cannot_be_read(tmp_path):
    assert folder_facts.result_in(tmp_path) is None and folder_facts.result_error(tmp_path) is None
    write_result(tmp_path, Result("done", "splat", "capture"))
    assert folder_facts.result_in(tmp_path).method == "splat" and folder_facts.result_error(tmp_path) is None
    for text, said in (("{", "result.json is damaged. Train again"), ('{"schema": "9.0"}', "another release of Reconstruct (version 9.0")):
        (tmp_path / "result.json").write_text(text)
        assert folder_facts.result_in(tmp_path) is None and said in str(folder_facts.result_error(tmp_path))
