# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the user, under the names that we use, are the same after every button."""

import hashlib
import sys
import time

import bpy
import numpy as np
import pytest
from reconstruct.addon import operators
from reconstruct.addon.blender.results import assets
from reconstruct.addon.jobs import process, running
from reconstruct.engine.contract.result import Artifact, Result, write_result
from reconstruct.engine.formats.points import write_points

root = sys.modules["reconstruct"]
# In every folder that a button may write to.
NAMES = (
    *("scene.blend", "preview.blend", "preview.png", "picture.png", "job.toml", "log.txt", "events.jsonl", "cancel", "lock", "owner.json"),
    *("blender_assets.cats.txt", "transforms.json", "unfinished", "result.json", "points.ply", "splats.ply", "proxy.glb", "voxels.npz"),
    *("camera_path.json", "images/Camera.png", "depth/Camera.npy", "albedo/Camera.png", "previews/0000001.png", "checkpoint.safetensors"),
)
# Beside what a job writes into the same folder.
OTHERS = ("scene.blend", "job.toml", "notes.txt", "photos/1.jpg", "furnished.blend")


@pytest.fixture
def folder(tmp_path, fake_engine, monkeypatch):
    """A saved scene with a camera, a result, and pictures."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    monkeypatch.setattr(assets, "_render", lambda file, picture, name: _write_picture(picture, assets._SIZE))
    root.register()
    result = tmp_path / "result"
    result.mkdir()
    write_points(result / "points.ply", np.random.default_rng(0).uniform(size=(500, 3)).astype(np.float32), None)
    write_result(result, Result("done", "ngp", "capture", artifacts=(Artifact("points", "points.ply"),), scale="unknown"))
    _write_picture(tmp_path / "chair.png", 4)
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.object.camera_add(location=(0, 0, 6))
    bpy.context.scene.camera = bpy.context.object
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "room.blend"))
    chosen = bpy.context.scene.reconstruct
    chosen.capture.rig, chosen.capture.samples, chosen.capture.width, chosen.capture.height = "scene", 1, 16, 16
    chosen.import_.result, chosen.import_.asset = str(result), True
    chosen.place.room, chosen.place.known_length = True, 2.0
    yield tmp_path
    job = running.current()
    root.unregister()
    if job is not None:
        job.kill()


def _write_picture(picture, size):
    image = bpy.data.images.new("picture", size, size)
    image.filepath_raw, image.file_format = str(picture), "PNG"
    image.save()
    bpy.data.images.remove(image)


def hashes(folder):
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*")) if file.is_file()}


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"{folder} {name}".encode())


def _cancel(folder):
    """A job has to run."""
    result = folder / "running"
    job = process.start_engine([sys.executable, "-m", "engine", "train", "c", "--out", str(result)], result)
    while process.attach(result) is None:
        time.sleep(0.02)
    running.follow(job, "train")
    done = bpy.ops.reconstruct.cancel()
    job.wait()
    running._tick()
    return done


def buttons(folder):
    """What presses each button, in an order in which each finds what it needs; and whether it writes files."""
    ours, scene = bpy.ops.reconstruct, bpy.context.scene

    def of_image():
        scene.reconstruct.voxels.image = bpy.data.images.new("stool", 4, 4)
        return ours.voxels_of_image()

    def select():
        for item in bpy.context.selected_objects:
            item.select_set(False)
        item = bpy.data.objects["result"]
        item.select_set(True)
        bpy.context.view_layer.objects.active = item

    def placed():
        select()
        return ours.place()

    return {
        "check_engine": (ours.check_engine, False),
        "capture": (ours.capture, True),
        "train": (ours.train, True),
        "import_result": (ours.import_result, False),
        "make_proxy": (ours.make_proxy, True),
        "import_file": (lambda: ours.import_file(filepath=str(folder / "result" / "points.ply")), False),
        "export_camera_path": (lambda: ours.export_camera_path(filepath=str(folder / "paths" / "camera_path.json"), last=2), True),
        "place": (placed, False),
        "set_length": (lambda: ours.set_length(length=1.0), False),
        "show_as": (lambda: ours.show_as(viewport="box", render="points"), False),
        "make_asset": (ours.make_asset, True),
        "voxels": (lambda: ours.voxels(directory=str(folder), files=[{"name": "chair.png"}]), True),
        "voxels_of_image": (of_image, True),
        "cancel": (lambda: _cancel(folder), True),
        "new_folder": (lambda: ours.new_folder(step="train"), False),
        "open_folder": (lambda: ours.open_folder(folder=str(folder / "nothing")), False),
        "add_cameras": (lambda: setattr(scene.reconstruct.capture, "rig", "room") or ours.add_cameras(), False),
    }


def press(folder):
    """Presses every button, and checks the files that are there. Returns what was refused."""
    before, refused = hashes(folder), {}
    table = buttons(folder)
    assert {f"reconstruct.{name}" for name in table} == {button.bl_idname for button in operators._CLASSES}, "a button is missing here"
    for name, (button, writes) in table.items():
        there = hashes(folder)
        try:
            assert button() == {"FINISHED"}, name
        except RuntimeError as error:
            refused[name] = str(error)
        after = hashes(folder)
        assert before.items() <= after.items(), name
        assert writes or after == there, name
    return refused


def test_files_beside_ours_are_kept(folder, fake_engine):
    chosen = bpy.context.scene.reconstruct
    fill(folder, ("blender_assets.cats.txt", *OTHERS))
    fill(folder / "result", OTHERS)
    fill(folder / "captured", OTHERS)
    fill(folder / "reconstruct", NAMES)
    fill(folder / "made" / "chair", NAMES)
    fill(folder / "made", ("chair_2.png", "stool.png", "stool_mask.png"))
    chosen.capture.out, chosen.train.out, chosen.voxels.out = (str(folder / name) for name in ("captured", "trained", "made"))
    assert set(press(folder)) == {"open_folder"}, "there is none"
    assert (folder / "captured" / "transforms.json").is_file() and (folder / "result" / "proxy.glb").is_file()
    assert (folder / "trained" / "result.json").is_file() and (folder / "paths" / "camera_path.json").is_file()
    assert (folder / "made" / "chair_3" / "voxels.npz").is_file() and (folder / "made" / "stool_2.png").is_file()
    before = hashes(folder)
    bpy.ops.wm.save_mainfile()
    after = hashes(folder)
    # The file that was saved, and the backup that Blender makes of it.
    assert {file.name for file in after if after[file] != before.get(file)} <= {"room.blend", "room.blend1"}


def test_files_under_our_names_are_kept(folder):
    chosen = bpy.context.scene.reconstruct
    for place in ("", "captured", "trained", "made", "made/chair", "made/stool", "paths", "reconstruct"):
        fill(folder / place, NAMES)
    fill(folder / "result", set(NAMES) - {"result.json", "points.ply"})
    chosen.capture.out, chosen.train.out, chosen.voxels.out = (str(folder / name) for name in ("captured", "trained", "made"))
    chosen.train.capture = str(folder)
    refused = press(folder)
    assert set(refused) == {"capture", "train", "make_proxy", "export_camera_path", "open_folder"}, refused
