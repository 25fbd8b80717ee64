# SPDX-License-Identifier: GPL-3.0-or-later
"""The set-up script's words where a machine lacks something."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def dev():
    spec = importlib.util.spec_from_file_location("dev", ROOT / "scripts" / "dev.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_another_python_is_refused_in_one_sentence(dev, monkeypatch, capsys):
    monkeypatch.setattr(dev.sys, "version_info", (3, 12, 1))
    assert dev.main(["setup"]) == 1
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0 and "3.12" in said and "3.11" in said


def test_a_python_without_venv_is_refused_in_one_sentence(dev, monkeypatch, capsys, tmp_path):
    def lacking(*_, **__):
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr("venv.EnvBuilder.create", lacking)
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    monkeypatch.setattr(dev.sys, "version_info", (*dev.PYTHONS[0], 0))
    assert dev.main(["setup"]) == 1
    assert "venv" in capsys.readouterr().err
    assert not (tmp_path / ".venv").exists()


def test_an_environment_of_the_user_is_kept_and_one_that_was_interrupted_is_made_again(dev, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    monkeypatch.setattr(dev.sys, "version_info", (*dev.PYTHONS[0], 0))
    monkeypatch.setattr(dev, "_run", lambda *_, **__: None)
    monkeypatch.setattr(dev.subprocess, "call", lambda *_, **__: 0)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("the user's")
    assert dev.main(["setup"]) == 1
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0 and ".venv is there already" in said
    assert [item.read_text() for item in (tmp_path / ".venv").iterdir()] == ["the user's"]

    (tmp_path / ".venv" / "pyvenv.cfg").unlink()

    class Killed(BaseException):
        pass

    def killed(self, home):
        (home / "pyvenv.cfg").write_text("half")
        raise Killed

    monkeypatch.setattr("venv.EnvBuilder.create", killed)
    with pytest.raises(Killed):
        dev.main(["setup"])
    monkeypatch.setattr("venv.EnvBuilder.create", lambda self, home: (home / "pyvenv.cfg").write_text("whole"))
    monkeypatch.setattr(dev, "_install", lambda python, packages: None)
    assert dev.main(["setup"]) == 0 and (tmp_path / ".venv" / "pyvenv.cfg").read_text() == "whole"


def test_a_second_demo_keeps_the_first(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("demo", ROOT / "scripts" / "demo" / "demo.py")
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    monkeypatch.setattr(demo.subprocess, "call", lambda *_, **__: 1)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "furnished.blend").write_text("worked on")
    assert demo.main(tmp_path / "demo") == 1
    assert [item.name for item in (tmp_path / "demo").iterdir()] == ["furnished.blend"] and (tmp_path / "demo_2" / "job.toml").is_file()


def test_without_a_word_it_says_what_there_is():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "dev.py"], capture_output=True, text=True)
    assert done.returncode == 0 and all(word in done.stdout for word in ("demo", "test", "lint", "package", "bench"))


def test_a_profile_has_its_own_torch_and_all_else_that_the_engine_needs(dev, monkeypatch, tmp_path):
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    monkeypatch.setattr(dev.sys, "version_info", (*dev.PYTHONS[0], 0))
    installed = []
    monkeypatch.setattr(dev, "_make_environment", lambda home: home.mkdir())
    monkeypatch.setattr(dev, "_install", lambda python, packages: installed.extend(packages))
    monkeypatch.setattr(dev, "_run", lambda *_, **__: None)
    monkeypatch.setattr(dev.subprocess, "call", lambda *_, **__: 0)
    assert dev.main(["setup", "ipex"]) == 0
    assert [name for name in installed if name.startswith("torch=")] == ["torch==2.8.0"]
    assert {name.split("=")[0].split(">")[0] for name in installed} >= {"neural-compressor-pt", "numba", "tyro", "pytest"}
    assert any(name.startswith("intel-extension-for-pytorch") for name in installed) and (tmp_path / ".venv-ipex").is_dir()


def test_an_unknown_profile_is_refused_in_one_sentence(dev, capsys):
    assert dev.main(["setup", "gpu"]) == 1
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0 and "gpu" in said and "ipex" in said


@pytest.mark.parametrize("command", ["package", "lint"])
def test_building_the_extension_and_linting_compile_no_kernels(dev, monkeypatch, tmp_path, command):
    """Kernels take minutes, and neither needs them."""
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    for name in dev.PACKED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes() if name == "blender_manifest.toml" else b"")
    monkeypatch.setattr(dev, "environment", lambda *_: Path(sys.executable))
    monkeypatch.setattr(dev, "_extension_tool", lambda _: Path("blender_ext.py"))
    ran = []
    monkeypatch.setattr(dev, "_run", lambda command, **_: ran.append(command))
    monkeypatch.setattr(dev.subprocess, "call", lambda command, **_: ran.append(command) or 0)
    assert dev.main([command]) == 0
    assert ran and not [words for words in ran if "doctor" in words]


@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="no Blender module")
def test_the_extension_tool_is_where_the_blender_module_says(dev):
    tool = dev._extension_tool(Path(sys.executable))
    done = subprocess.run([sys.executable, tool, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "build" in done.stdout and "validate" in done.stdout


def test_a_blender_module_without_the_tool_is_named(dev, monkeypatch, tmp_path):
    answer = subprocess.CompletedProcess([], 0, f"noise\n{tmp_path}\n", "")
    monkeypatch.setattr(dev.subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(dev.Stop, match=re.escape(str(tmp_path))):
        dev._extension_tool(Path(sys.executable))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_linked_environment_of_other_packages_is_named_and_stays(dev, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / dev.MARK).write_text("other packages")
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / ".venv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(dev.Stop, match="is a link"):
        dev._make_environment(tmp_path / "checkout" / ".venv")
    assert (tmp_path / "elsewhere" / dev.MARK).read_text() == "other packages"
