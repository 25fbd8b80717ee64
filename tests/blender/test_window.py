# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on in a real Blender window: panels draw, jobs run, and the window stays alive meanwhile."""

import json
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.contract.result import Artifact, Result, write_result
from engine.formats.meshes import Mesh, write_mesh
from engine.formats.points import PointCloud
from engine.formats.proxies import Proxy, write_proxy
from engine.formats.splats import Splats, write_splats

pytestmark = pytest.mark.blender


@pytest.fixture
def walked(user, window, tmp_path):
    """A function that runs a script of this folder in a window, and gives what it saw."""
    return lambda script, *arguments: _walk(window, tmp_path, script, arguments)


def _walk(window, tmp_path, script, arguments):
    window("--python", str(Path(__file__).with_name(script)), "--", str(tmp_path), *arguments)
    end = time.monotonic() + 110
    while not (tmp_path / "seen.json").exists():
        assert not list(tmp_path.glob("*crash.txt")), "Blender crashed"
        assert time.monotonic() < end, "the window gave no answer"
        time.sleep(0.5)
    return json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))


def test_a_walk_through_the_panels(walked, tmp_path):
    seen = walked("inside_window.py")
    assert seen["errors"] == []
    assert seen["tab"] == "Reconstruct"
    # No object of voxels is there, whose panel that is.
    del seen["drawn"]["RECONSTRUCT_PT_voxels_object"]
    assert len(seen["drawn"]) >= 7 and all(seen["drawn"].values()), seen["drawn"]
    assert "Fake, 2 threads" in seen["engine"]
    assert seen["capture"]["status"] == "done", seen["capture"]
    assert len(list((tmp_path / "capture" / "images").glob("*.png"))) == 4
    assert not list((tmp_path / "data" / "reconstruct" / "jobs").iterdir())
    assert seen["capture_press"] < 3.0
    assert seen["train"]["status"] == "done"
    assert seen["train"]["ticks"] >= 10, "the window went on while the job ran"
    assert seen["train"]["largest_gap"] < 2.0
    assert seen["busy"]
    assert seen["cancelled"] == "cancelled"
    assert seen["failed"] == ["failed", "The disk is full.", "Free some space, then resume."]


def test_the_scene_of_a_second_window_is_captured_and_follows_the_first_save(walked, tmp_path):
    seen = walked("inside_folders.py")
    assert seen["errors"] == []
    assert str(tmp_path / "data") in seen["unsaved"]
    assert seen["capture"][0] == "done", seen["capture"]
    assert seen["views"] == ["Second_s_camera.png"] and not seen["first"]
    folder = tmp_path / "reconstruct" / "flat" / "Second 🛏" / "capture"
    assert seen["saved"] == [str(folder), True, str(folder)] and seen["can_train"]
    assert seen["second_result"] == "reconstruct/flat/Second 🛏/result_2"
    assert seen["other_file"] == ["", "", ""]


def write_chair(folder):
    """A result that holds splats about (0, 0, 0.5), and a tetrahedron as mesh and proxy."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    parts = rng.uniform(-0.6, 0.6, (40, 3)) + (0, 0, 0.5), np.log(rng.uniform(0.05, 0.3, (40, 3))), rng.normal(size=(40, 4))
    parts = (*parts, rng.uniform(-1, 3, 40), rng.normal(0, 0.8, (40, 1, 3)))
    splats = Splats(*(part.astype(np.float32) for part in parts), blend="linear", antialias=True)
    write_splats(folder / "splats.ply", splats)
    corners, sides = np.array([(0.0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]), np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)])
    write_mesh(folder / "mesh.glb", Mesh(PointCloud(corners, np.full((4, 3), 90, np.uint8)), sides))
    picture = BytesIO()
    Image.new("RGB", (16, 16), (180, 60, 40)).save(picture, "PNG")
    normals = np.tile(np.float32([0, 0, 1]), (4, 1))
    write_proxy(folder / "proxy.glb", Proxy(corners, sides, corners[:, :2].astype(np.float32), normals, picture.getvalue()))
    artifacts = tuple(Artifact(kind, f"{kind}.{end}") for kind, end in (("splats", "ply"), ("mesh", "glb"), ("proxy", "glb")))
    write_result(folder, Result("done", "splat", "capture", artifacts=artifacts))
    return folder


def test_looks_change_in_the_panel_and_splats_are_alike_in_cycles_and_eevee(walked, tmp_path):
    seen = walked("inside_looks.py", str(write_chair(tmp_path / "chair")))
    assert seen["errors"] == []
    assert seen["drawn"]["RECONSTRUCT_PT_looks"] >= 5
    assert seen["looks"] == {look: look for look in ("box", "points", "mesh", "proxy", "splats")}
    assert seen["all"] == ["box", "splats"]
    cycles, eevee = seen["means"]
    assert cycles > 0.05 and abs(eevee - cycles) < 0.05 * cycles
    # EEVEE draws transparency by chance, so that pictures hold some noise.
    assert seen["difference"] < 0.03


def test_voxels_of_a_picture_come_in_and_can_be_undone(walked, tmp_path):
    seen = walked("inside_voxels.py")
    assert seen["errors"] == []
    assert seen["running"] == "running" and seen["press"] < 2.0, "the window does not wait"
    assert seen["status"][0] == "done", seen["status"]
    assert seen["active"] == "chair" and all(seen["drawn"].values()), seen["drawn"]
    before, after, undone = seen["faces"]
    assert before == undone != after and seen["change"] < 0.5
    assert seen["left"] == []
