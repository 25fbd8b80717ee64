# SPDX-License-Identifier: GPL-3.0-or-later
"""A little data that several tests learn from."""

import shutil

import pytest

from engine.contract.voxels import MakeDataSettings
from engine.voxels.make_data import make_data


@pytest.fixture(scope="session")
def little_data(tmp_path_factory):
    """Eight pieces of furniture to learn from, three views each, and the same ones for looking on and for testing."""
    home = tmp_path_factory.mktemp("voxels")
    make_data(None, home / "made", MakeDataSettings(furniture=1, views=3), lambda *_: None, print)
    for piece in sorted((home / "made").glob("*/*/*")):
        for split in ("train", "val", "test"):
            shutil.copytree(piece, home / "data" / split / piece.parent.name / piece.name)
    return home / "data"
