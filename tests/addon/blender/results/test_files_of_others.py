# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of splats that other programs wrote, as they meet an importer without the engine."""

import os
from pathlib import Path

import numpy as np
import pytest
from reconstruct.addon.blender.results.importing import import_file
from reconstruct.addon.blender.results.looks import looks_of, shown_as
from reconstruct.addon.blender.results.parts import PART, POINTS, values_of
from reconstruct.addon.blender.tagging import tagged
from reconstruct.engine.contract.settings import ImportSettings

ROOT = Path(__file__).resolve().parents[4]
FILES = {
    "inria_ply/pc_short.ply": 1,
    "playcanvas/biker.compressed.ply": 10_000,
    "playcanvas/biker.spz": 10_000,
    "splat_transform_fixtures/minimal.splat": 4,
    "splat_transform_fixtures/minimal-v2.spz": 4,
    "splat_transform_fixtures/minimal-v3.spz": 4,
    "splat_transform_fixtures/minimal-raw.spz": 4,
}


@pytest.mark.parametrize("name", FILES)
def test_they_come_in_as_splats(scene, name):
    root = Path(os.environ.get("RECONSTRUCT_DATA") or ROOT.parent / "shared" / "data")
    file = root / "splats" / name
    if not file.is_file():
        pytest.skip(f"no real data splats/{name} at {root}; RECONSTRUCT_DATA may name its folder")
    (made,) = import_file(scene, file, ImportSettings(max_splats=20_000))
    points = values_of(made.data, PART) == POINTS
    assert looks_of(made) == ["box", "points", "splats"] and shown_as(made, "Render") == "splats"
    assert points.sum() >= FILES[name] and tagged(made)["scale"] == "unknown"
    for attribute in ("position", "scale", "rotation", "opacity", "base_color", "radius"):
        assert np.isfinite(values_of(made.data, attribute)).all()
    np.testing.assert_allclose(np.linalg.norm(values_of(made.data, "rotation")[points], axis=1), 1, atol=1e-5)
    assert (values_of(made.data, "base_color") >= 0).all()
