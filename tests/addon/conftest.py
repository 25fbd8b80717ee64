# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads the checkout as one package named ``reconstruct``, whatever its folder is called, as Blender would under its own name."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load_root() -> None:
    spec = importlib.util.spec_from_file_location("reconstruct", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["reconstruct"] = module
    spec.loader.exec_module(module)


if "reconstruct" not in sys.modules:
    _load_root()


@pytest.fixture(autouse=True)
def data_home(tmp_path_factory, monkeypatch):
    """The user's data folder, which tests do not share with the user."""
    from reconstruct.addon.core.data_folder import data_folder

    folder = tmp_path_factory.mktemp("data")
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))
    if sys.platform == "darwin":
        monkeypatch.setenv("HOME", str(folder))
    return data_folder()


@pytest.fixture
def fake_engine(tmp_path, monkeypatch):
    """Has ``python -m engine`` run an engine that only pretends; returns a function that sets its behavior."""
    from reconstruct.addon.core import engine_command

    root = tmp_path / "fake root"
    (root / "engine").mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "jobs" / "fake_engine.py", root / "engine" / "__main__.py")
    monkeypatch.setattr(engine_command, "ROOT", root)
    monkeypatch.setenv("RECONSTRUCT_PYTHON", sys.executable)
    return lambda behavior: monkeypatch.setenv("FAKE_ENGINE", behavior)
