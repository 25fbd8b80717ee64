# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test starts from an empty scene."""

import pytest


@pytest.fixture(autouse=True)
def empty_scene(scene):
    return scene
