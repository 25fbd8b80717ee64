# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python runs the engine, with which arguments and variables."""

import os
from pathlib import Path

import pytest
from reconstruct.addon.core import engine_command
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.settings import ProxySettings, TrainSettings
from reconstruct.engine.contract.voxels import VoxelSettings


@pytest.mark.skipif(os.name == "nt", reason="the fake environment is laid out as on POSIX")
def test_which_python(monkeypatch, tmp_path):
    def environment(name):
        python = tmp_path / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()
        return python

    monkeypatch.delenv("RECONSTRUCT_PYTHON", raising=False)
    monkeypatch.setattr(engine_command, "environment_folder", lambda: tmp_path / "own")
    monkeypatch.setattr(engine_command, "NEEDED", ("no_such_module_here",))
    monkeypatch.setattr(engine_command, "ROOT", tmp_path / "nowhere")
    with pytest.raises(UserError, match="No Python for the engine"):
        engine_command.interpreter()
    own, chosen, named = environment("own"), environment("chosen"), environment("named")
    assert engine_command.interpreter() == own
    assert engine_command.interpreter(str(tmp_path / "chosen")) == chosen
    with pytest.raises(UserError, match="The preference Engine Python names"):
        engine_command.interpreter(str(tmp_path / "gone"))
    monkeypatch.setenv("RECONSTRUCT_PYTHON", str(named))
    assert engine_command.interpreter(str(chosen)) == named


def test_environment_is_cleaned():
    names = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "ONEAPI_ROOT", "MKLROOT", "TBBROOT")
    dirty = dict.fromkeys(names, "x")
    kept = {"PATH": "a", "HOME": "b", "CUDA_VISIBLE_DEVICES": "0", "LANG": "C"}
    clean = engine_command.clean_environment({**dirty, **kept})
    assert not set(dirty) & set(clean)
    assert kept.items() <= clean.items()


def test_the_engine_imports_from_the_extension_and_from_no_working_folder():
    variables = engine_command.engine_environment()
    assert variables["PYTHONPATH"] == str(engine_command.ROOT) and variables["PYTHONSAFEPATH"] == "1"


def test_flags_are_what_differs_from_the_defaults():
    python, out = Path("python"), Path("out")
    head = ["python", "-m", "engine"]
    plain = engine_command.train_command(python, Path("views"), out, TrainSettings())
    assert plain == [*head, "train", "views", "--out", "out"]
    settings = TrainSettings(steps=200, minutes=None)
    command = engine_command.train_command(python, Path("views"), out, settings, overwrite=True)
    assert command[-1] == "--overwrite" and command[command.index("--steps") + 1] == "200"
    assert engine_command.resume_command(python, out, settings) == [*head, "train", "--resume", "out", "--steps", "200"]
    assert engine_command.proxy_command(python, out, ProxySettings()) == [*head, "proxy", "out"]
    command = engine_command.voxels_command(python, [Path("a.png")], out, VoxelSettings(), masks=[Path("m.png")])
    assert command == [*head, "voxels", "a.png", "--out", "out", "--mask", "m.png"]
