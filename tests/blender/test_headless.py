# SPDX-License-Identifier: GPL-3.0-or-later
"""A full Blender without a window: the zip is installed as a user would, and job files run by script and by command."""

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.blender

ROOT = Path(__file__).resolve().parents[2]
JOB = 'scene = "cube.blend"\n[capture]\nrig = "orbit"\norbit_object = "Cube"\nviews = 2\nwidth = 16\nheight = 16\nsamples = 1\n'


def run(*command):
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return answer.returncode, (answer.stdout.rstrip().splitlines() or [""])[-1], answer.stdout + answer.stderr


@pytest.fixture
def folder(blender, tmp_path):
    """Holds a job file and its scene."""
    save = f"import bpy; bpy.ops.wm.save_as_mainfile(filepath={str(tmp_path / 'cube.blend')!r})"
    assert run(blender, "-b", "--factory-startup", "--python-expr", save)[0] == 0
    (tmp_path / "job.toml").write_text(JOB, encoding="utf-8")
    return tmp_path


def test_the_script(blender, folder):
    script = [blender, "-b", "--factory-startup", "-P", ROOT / "scripts" / "batch.py", "--"]
    code, last, said = run(*script, folder / "job.toml")
    assert code == 0, said
    assert last.startswith("reconstruct: done")
    assert len(json.loads((folder / "capture" / "transforms.json").read_text())["frames"]) == 2
    code, last, said = run(*script, folder / "job.toml")
    assert code == 2 and "already holds a capture" in last, said
    code, last, said = run(*script, folder / "no.toml")
    assert code == 2 and last.startswith("reconstruct: refused"), said


def test_the_command_of_the_installed_extension(blender, built, folder, monkeypatch):
    monkeypatch.setenv("BLENDER_USER_RESOURCES", str(folder / "user"))
    code, _, said = run(blender, "--command", "extension", "install-file", "-r", "user_default", "-e", built)
    assert code == 0, said
    code, last, said = run(blender, "--command", "reconstruct", folder / "job.toml")
    assert code == 0, said
    assert last.startswith("reconstruct: done")
    code, last, said = run(blender, "--command", "reconstruct")
    assert code == 2 and last.startswith("reconstruct: refused"), said
