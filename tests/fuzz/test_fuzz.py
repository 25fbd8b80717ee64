# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged files of every kind are read, or refused in a sentence, in time and within their memory. See run.py.

The processes that read are forked from one that has run nothing else, so this is a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system forks no processes")


def fuzz(module: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", f"tests.fuzz.{module}", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


def test_a_hundred_damaged_files():
    fuzz("run", "--count", "100", "--seed", "1")


def test_twenty_damaged_files_by_the_command_line():
    fuzz("run", "--count", "20", "--seed", "1", "--commands", "--only", "convert")


@pytest.mark.slow
def test_two_thousand_damaged_files_and_the_bombs():
    fuzz("run", "--count", "2000", "--seed", "2", "--bombs")


@pytest.mark.slow
def test_the_command_line_on_damaged_captures_results_and_checkpoints():
    fuzz("run", "--count", "300", "--seed", "3", "--commands")


@pytest.mark.slow
def test_blender_on_damaged_files_and_results():
    pytest.importorskip("bpy")
    fuzz("blender", "--count", "500", "--bombs")
