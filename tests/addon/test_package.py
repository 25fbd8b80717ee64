# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip that people install: it is built, holds what it should, and works under its installed name."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import bpy
import pytest

ROOT = Path(__file__).resolve().parents[2]


def tool(*arguments):
    scripts = Path(bpy.utils.system_resource("SCRIPTS"))
    command = [sys.executable, scripts / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    answer = tool("build", "--source-dir", ROOT, "--output-dir", folder)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return next(folder.glob("*.zip"))


def test_is_valid(built):
    for what in (ROOT, built):
        answer = tool("validate", what)
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_holds_what_is_needed_and_nothing_else(built):
    names = set(zipfile.ZipFile(built).namelist())
    tops = {name.split("/")[0] for name in names}
    assert {"addon", "engine", "scripts", "__init__.py", "blender_manifest.toml"} <= tops
    assert tops <= {"addon", "engine", "scripts", "__init__.py", "blender_manifest.toml", "README.md", "LICENSE"}
    assert {name for name in names if name.startswith("scripts/")} == {"scripts/batch.py"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    sources = {str(file.relative_to(ROOT)).replace(os.sep, "/") for top in ("addon", "engine") for file in (ROOT / top).rglob("*.py")}
    assert sources <= names


def test_packaging_keeps_the_files_of_the_user(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("dev", ROOT / "scripts" / "dev.py")
    dev = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("addon", "engine", "scripts"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    for name in ("__init__.py", "blender_manifest.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    for name in ("scene.blend", "job.toml", "out/demo/furnished.blend", "dist/mine.zip", "dist/room.blend", "photos/1.jpg"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("the user's")
    before = {file: file.read_bytes() for file in checkout.rglob("*") if file.is_file()}
    monkeypatch.setattr(dev, "ROOT", checkout)
    monkeypatch.setattr(dev, "environment", lambda *_: Path(sys.executable))
    for _ in range(2):
        assert dev.main(["package"]) == 0
        after = {file: file.read_bytes() for file in checkout.rglob("*") if file.is_file()}
        assert before.items() <= after.items() and len(after) == len(before) + 1
    made = list(after.keys() - before.keys())
    assert [file.parent for file in made] == [checkout / "dist"]
    packed = {name.split("/")[0] for name in zipfile.ZipFile(made[0]).namelist()}
    assert packed == {"addon", "engine", "scripts", "__init__.py", "blender_manifest.toml", "README.md", "LICENSE"}


INSTALLED = """
import os, sys, bpy, addon_utils
name = "bl_ext.user_default.reconstruct"
assert addon_utils.enable(name, default_set=True) is not None, "not enabled"
assert name in bpy.context.preferences.addons
assert bpy.context.scene.reconstruct.capture.views == 50
assert bpy.context.preferences.addons[name].preferences.engine_python == ""
bpy.context.preferences.addons[name].preferences.engine_python = "/some/python"
engine_python = sys.modules[name + ".addon.blender.preferences"].engine_python
assert engine_python() == "/some/python"
assert bpy.ops.reconstruct.capture.poll()
assert sys.modules[name + ".engine.contract"]
assert not [other for other in sys.modules if other.split(".")[0] in ("engine", "addon", "reconstruct")]
assert addon_utils.disable(name, default_set=True) is None
assert not hasattr(bpy.context.scene, "reconstruct")
print("INSTALLED AND WORKING", flush=True)
os._exit(0)  # The wheel can hang at its own exit.
"""


def test_works_installed(built, tmp_path):
    folder = tmp_path / "user" / "extensions" / "user_default" / "reconstruct"
    folder.mkdir(parents=True)
    zipfile.ZipFile(built).extractall(folder)
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user"), "PYTHONDONTWRITEBYTECODE": "1"}
    answer = subprocess.run([sys.executable, "-c", INSTALLED], capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert "INSTALLED AND WORKING" in answer.stdout, answer.stdout + answer.stderr
