# SPDX-License-Identifier: GPL-3.0-or-later
"""A full Blender, found by the variable BLENDER or on the PATH, with the built zip installed for a user of its own.

A window needs a screen. RECONSTRUCT_BLENDER_WINDOW may name a helper that brings one: it is called with ``start BLENDER-ARGUMENTS`` and
returns once the window is up, and with ``stop``.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def blender():
    """The program of a full Blender."""
    found = os.environ.get("BLENDER") or shutil.which("blender")
    if not found:
        pytest.skip("no full Blender: the variable BLENDER names none, and none is on the PATH")
    return found


@pytest.fixture(scope="session")
def built(blender, tmp_path_factory):
    """The zip, built by that Blender."""
    folder = tmp_path_factory.mktemp("built")
    command = [blender, "--command", "extension", "build", "--source-dir", ROOT, "--output-dir", folder]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return next(folder.glob("*.zip"))


@pytest.fixture
def user(built, tmp_path, monkeypatch):
    """The folder of a new Blender user who has installed the zip."""
    folder = tmp_path / "user"
    extension = folder / "extensions" / "user_default" / "reconstruct"
    extension.mkdir(parents=True)
    zipfile.ZipFile(built).extractall(extension)
    monkeypatch.setenv("BLENDER_USER_RESOURCES", str(folder))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    # The data folder of jobs.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return folder


@pytest.fixture
def window(blender, tmp_path, monkeypatch):
    """A function that opens a Blender window with arguments; the window is gone after the test."""
    helper = os.environ.get("RECONSTRUCT_BLENDER_WINDOW")
    if not helper and sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        pytest.skip("no screen for a Blender window: neither DISPLAY nor RECONSTRUCT_BLENDER_WINDOW is set")
    children = []

    def start(*arguments):
        if helper:
            subprocess.run([helper, "start", *arguments], check=True, timeout=120)
        else:
            children.append(subprocess.Popen([blender, *arguments]))

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield start
    if helper:
        subprocess.run([helper, "stop"], timeout=60)
    for child in children:
        child.kill()
        child.wait()
