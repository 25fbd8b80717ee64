# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's data folder is where the system wants it."""

import sys
from pathlib import Path

import pytest
from reconstruct.addon.core.data_folder import data_folder


@pytest.mark.parametrize(
    "system, folder",
    [("linux", "share/reconstruct"), ("win32", "local/reconstruct"), ("darwin", "Library/Application Support/reconstruct")],
)
def test_each_system_has_its_place(system, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert data_folder() == tmp_path / folder


def test_systems_that_name_no_folder_have_a_usual_one(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for system, folder in (("linux", ".local/share"), ("win32", "AppData/Local")):
        monkeypatch.setattr(sys, "platform", system)
        assert data_folder() == tmp_path / folder / "reconstruct"
