# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md: its picture shows the source as it is, and a job and a step in Blender are added as it says."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

JOB = '''
from pathlib import Path
from ..formats.capture import read_capture


def count_views(capture: Path) -> int:
    return len(read_capture(capture).frames)
'''
COMMAND = '''
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from .options import Positional, option


@dataclass(frozen=True)
class CountViews:
    """Count the views of a capture."""

    capture: Annotated[str, Positional, option("Folder of the capture.", "CAPTURE")]

    def run(self) -> int:
        from ..jobs.count_views import count_views

        print(count_views(Path(self.capture)), "views")
        return 0
'''
OPERATOR = '''
import bpy


class RECONSTRUCT_OT_hello(bpy.types.Operator):
    """Greet"""

    bl_idname, bl_label = "reconstruct.hello", "Hello"

    def execute(self, context):
        self.report({"INFO"}, "Hello")
        return {"FINISHED"}


CLASSES = (RECONSTRUCT_OT_hello,)
'''
PANEL = '''
import bpy

from .base import Step


class RECONSTRUCT_PT_hello(Step, bpy.types.Panel):
    """Greet"""

    bl_label = "5  Greet"

    def draw(self, context):
        self.layout.operator("reconstruct.hello")


CLASSES = (RECONSTRUCT_PT_hello,)
'''
IN_BLENDER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("reconstruct", sys.argv[1], submodule_search_locations=[sys.argv[2]])
module = importlib.util.module_from_spec(spec); sys.modules["reconstruct"] = module; spec.loader.exec_module(module)
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
module.register()
print(bpy.ops.reconstruct.hello(), bpy.types.RECONSTRUCT_PT_hello.bl_label)
module.unregister()
"""


@pytest.fixture
def program(tmp_path):
    """A copy of the program."""
    folder = tmp_path / "program"
    for name in ("engine", "addon"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    shutil.copy(ROOT / "__init__.py", folder)
    return folder


def add(file, text):
    """Adds lines at the end of a file, or writes it."""
    file.write_text((file.read_text(encoding="utf-8") if file.exists() else "") + text, encoding="utf-8")


def run(folder, *command):
    done = subprocess.run([sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_picture_is_up_to_date():
    code = "from scripts.architecture import PICTURE, draw; print(draw() == PICTURE.read_text(encoding='utf-8'))"
    assert run(ROOT, "-c", code).strip() == "True", "Draw it again: python -m scripts.architecture"


def test_a_job_is_added(program, tmp_path):
    (tmp_path / "capture").mkdir()
    frame = '{"file_path": "a.png", "transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}'
    (tmp_path / "capture" / "transforms.json").write_text(f'{{"fl_x": 50, "w": 8, "h": 8, "frames": [{frame}]}}')
    code = "import sys; from PIL import Image; Image.new('RGB', (8, 8)).save(sys.argv[1])"
    run(tmp_path, "-c", code, tmp_path / "capture" / "a.png")
    add(program / "engine" / "jobs" / "count_views.py", JOB)
    add(program / "engine" / "cli" / "count_views.py", COMMAND)
    add(program / "engine" / "cli" / "__init__.py", '\nfrom .count_views import CountViews; COMMANDS["count-views"] = CountViews\n')
    assert "1 views" in run(program, "-m", "engine", "count-views", tmp_path / "capture")
    assert "Count the views" in run(program, "-m", "engine", "--help")


def test_a_step_in_blender_is_added(program):
    pytest.importorskip("bpy")
    for name, text in (("operators", OPERATOR), ("ui", PANEL)):
        add(program / "addon" / name / "hello.py", text)
        add(program / "addon" / name / "__init__.py", "\nfrom . import hello; _CLASSES += hello.CLASSES\n")
    assert "FINISHED" in (said := run(program, "-c", IN_BLENDER, program / "__init__.py", program)) and "5  Greet" in said
