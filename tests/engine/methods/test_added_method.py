# SPDX-License-Identifier: GPL-3.0-or-later
"""A new method is one file and one line: a copy of the program gets one, which then trains, renders, resumes, cancels and is listed."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A copy of the program with method toy."""
    folder = tmp_path_factory.mktemp("program")
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for name in ("engine", "addon"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("__init__.py", "blender_manifest.toml"):
        shutil.copy(ROOT / name, folder)
    shutil.copy(Path(__file__).parent / "toy.py", folder / "engine" / "contract" / "methods")
    registry = folder / "engine" / "contract" / "methods" / "__init__.py"
    registry.write_text(registry.read_text() + "\nfrom . import toy; METHODS[toy.SPEC.name] = toy.SPEC\n")
    return folder


def run(program, *arguments, code=0):
    command = [sys.executable, "-m", "engine", *map(str, arguments)]
    done = subprocess.run(command, cwd=program, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_trains_resumes_is_scored_and_rendered(program, small_capture, tmp_path):
    out = tmp_path / "result"
    assert "40 steps" in run(program, "train", small_capture, "--out", out, "--preset", "toy-fast", "--steps", 40)
    result = json.loads((out / "result.json").read_text())
    assert result["method"] == "toy" and result["settings"]["toy"] == {"rate": 0.5} and result["metrics"]["psnr"] > 8
    assert "60 steps" in run(program, "train", "--resume", out, "--steps", 60)
    assert "PSNR" in run(program, "eval", out)
    assert "2 images" in run(program, "render", out, "--out", tmp_path / "images")


def test_it_is_cancelled(program, small_capture, tmp_path):
    out = tmp_path / "result"
    command = [sys.executable, "-m", "engine", "train", str(small_capture), "--out", str(out), "--method", "toy", "--steps", "1000000"]
    with subprocess.Popen(command, cwd=program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while not (out / "result.json").exists():
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.05)
        (out / "cancel").touch()
        assert "cancelled" in process.communicate(timeout=60)[0]
    assert (out / "toy.json").is_file() and json.loads((out / "result.json").read_text())["status"] == "cancelled"


def test_help_and_doctor_list_it(program):
    assert "--toy.rate" in run(program, "train", "--help")
    assert "Method toy" in run(program, "doctor")


def test_job_files_know_it(program, tmp_path):
    code = "import sys, pathlib; from engine.contract.job import read_job as r; print(r(pathlib.Path(sys.argv[1])).train.settings.toy.rate)"
    (tmp_path / "job.toml").write_text('schema = "1.0"\n[train]\ncapture = "c"\nmethod = "toy"\n[train.toy]\nrate = 0.25\n')
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "job.toml")], cwd=program, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "0.25", done.stderr


def test_the_panel_offers_it(program):
    pytest.importorskip("bpy")
    code = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("reconstruct", sys.argv[1], submodule_search_locations=[sys.argv[2]])
module = importlib.util.module_from_spec(spec); sys.modules["reconstruct"] = module; spec.loader.exec_module(module)
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
module.register()
settings = bpy.context.scene.reconstruct.train.settings
settings.method = "toy"
item = settings.bl_rna.properties["method"].enum_items["toy"]
print(item.name, item.description, round(settings.toy.rate, 3))
"""
    command = [sys.executable, "-c", code, str(program / "__init__.py"), str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ)
    assert "Toy For tests: one color everywhere 0.1" in done.stdout, done.stdout + done.stderr
