# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the user, under the names that we use, are the same after importing, placing and making assets."""

import hashlib
import sys

import bpy
import numpy as np
import pytest
from reconstruct.addon.results import assets
from reconstruct.engine.contract.result import Artifact, Result, write_result
from reconstruct.engine.formats.points import write_points

root = sys.modules["reconstruct"]
NAMES = ("scene.blend", "preview.blend", "preview.png", "job.toml", "log.txt", "events.jsonl", "cancel", "blender_assets.cats.txt")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    monkeypatch.setattr(assets, "_render", lambda file, picture, name: _write_picture(picture))
    root.register()
    for place in (tmp_path, tmp_path / "reconstruct", tmp_path / "reconstruct" / "voxels" / "chair"):
        place.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            (place / name).write_bytes(f"{place} {name}".encode())
    result = tmp_path / "result"
    result.mkdir()
    write_points(result / "points.ply", np.random.default_rng(0).uniform(size=(500, 3)).astype(np.float32), None)
    write_result(result, Result("done", "ngp", "capture", artifacts=(Artifact("points", "points.ply"),), scale="unknown"))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "room.blend"))
    yield tmp_path
    root.unregister()


def _write_picture(picture):
    image = bpy.data.images.new("picture", assets._SIZE, assets._SIZE)
    image.filepath_raw, image.file_format = str(picture), "PNG"
    image.save()
    bpy.data.images.remove(image)


def hashes(folder):
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_nothing_of_the_user_differs(folder):
    from reconstruct.addon.operators.voxels import _free

    before = hashes(folder)
    chosen = bpy.context.scene.reconstruct
    chosen.import_.result, chosen.import_.asset = str(folder / "result"), True
    chosen.place.room, chosen.place.known_length = True, 2.0
    operators = bpy.ops.reconstruct
    for button, values in (
        (operators.import_result, {}),
        (operators.place, {}),
        (operators.set_length, {"length": 1.0}),
        (operators.show_as, {"viewport": "box", "render": "points"}),
        (operators.make_asset, {}),
        (operators.import_file, {"filepath": str(folder / "result" / "points.ply")}),
    ):
        assert button(**values) == {"FINISHED"}, button
        assert hashes(folder) == before, button
    assert _free(folder / "reconstruct" / "voxels", "chair").name == "chair_2"
    bpy.ops.wm.save_mainfile()
    after = hashes(folder)
    # The file that was saved, and the backup that Blender makes of it.
    assert {file.name for file in after if after[file] != before.get(file)} <= {"room.blend", "room.blend1"}
