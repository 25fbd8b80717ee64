# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the architecture shows the source as it is."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_picture_is_up_to_date():
    code = "from scripts.architecture import PICTURE, draw; print(draw() == PICTURE.read_text(encoding='utf-8'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "True", "Draw it again: python -m scripts.architecture" + done.stderr
