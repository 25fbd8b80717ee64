# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture by a background Blender: what it is given, what it leaves, and what it cannot know."""

import json
import os
import random
import signal
import time
from pathlib import Path

import bpy
import pytest
from reconstruct.addon.core import private_folders
from reconstruct.addon.jobs import process, stages
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.job import read_job
from reconstruct.engine.contract.settings import CaptureSettings

FAST = CaptureSettings(rig="scene", width=16, height=16, samples=1, seed_points=20)


@pytest.fixture
def scene(tmp_path):
    """The second scene of a file whose name has characters that JSON writes as surrogate pairs, and that opens with the first scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.data.scenes.new("Küche 🍳 𠮷")
    bpy.ops.mesh.primitive_cube_add()
    scene.collection.objects.link(bpy.context.object)
    for number in range(3):
        camera = bpy.data.objects.new(f"Kamera {number}", bpy.data.cameras.new("Lens"))
        camera.location = (0, 0, 5 + number)
        scene.collection.objects.link(camera)
    (tmp_path / "Häuser 🏠").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "Häuser 🏠" / "scene.blend"))
    return scene


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(folder):
    """Files of the user, under names that we use and others."""
    for name in ("job.toml", "room.blend", "furnished.blend", "owner.json", "photo.png", "splats.ply", "result/result.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"the user's {name}")


def names_of_views(folder):
    return [Path(frame["file_path"]).stem for frame in json.loads((folder / "transforms.json").read_text(encoding="utf-8"))["frames"]]


def test_the_given_scene_is_captured_into_the_files_own_folder(scene, data_home):
    folder = Path(bpy.data.filepath).parent
    put(folder)
    before = files(folder)
    state = stages.start_capture(scene, folder, FAST).wait()
    assert state.status == "done", (state.message, state.hint)
    assert names_of_views(folder) == ["Kamera_0", "Kamera_1", "Kamera_2"]
    after = files(folder)
    assert {name: after.get(name) for name in before} == before
    assert list((data_home / "jobs").iterdir()) == []


def test_a_copy_that_cannot_be_saved_leaves_the_capture_and_nothing_else(scene, tmp_path, data_home, monkeypatch):
    folder = tmp_path / "capture"
    assert stages.capture_here(scene, folder, FAST)
    before = files(folder)

    for empty in (data_home / "jobs", data_home):
        empty.rmdir()
    data_home.write_text("a file, where no folder can be made")
    with pytest.raises(UserError, match="cannot be written"):
        stages.start_capture(scene, folder, FAST, replace=True)
    assert files(folder) == before
    data_home.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(stages, "_background_blender", lambda: [str(tmp_path / "no blender")])
        with pytest.raises(UserError, match="cannot be started"):
            stages.start_capture(scene, folder, FAST, replace=True)
    assert list((data_home / "jobs").iterdir()) == []
    with pytest.raises(UserError, match="already holds a capture"):
        stages.capture_here(scene, folder, FAST)


def test_the_job_names_the_scene_and_every_setting(scene, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(stages.process, "start", lambda command, folder, **options: started.append(command) or process.JobProcess(folder))
    stages.start_capture(scene, tmp_path / "out 🛏", FAST, replace=True)
    *_, file, flag = started[0]
    job = read_job(Path(file))
    assert flag == stages.PRIVATE and private_folders.is_private(job.folder)
    assert (job.scene_name, job.capture.out, job.capture.overwrite) == (scene.name, str(tmp_path / "out 🛏"), True)
    assert (job.capture.rig, job.capture.width, job.capture.samples) == ("scene", 16, 1)
    assert job.path(job.scene).is_file()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_capture_killed_at_any_moment_can_be_made_again(scene, data_home):
    """kill -9 at random moments of the background Blender, from its start to its end."""
    folder = Path(bpy.data.filepath).parent
    put(folder)
    mine = files(folder)
    begin = time.monotonic()
    assert stages.start_capture(scene, folder, FAST).wait().status == "done"
    whole = time.monotonic() - begin
    rng, killed = random.Random(0), 0
    for _ in range(20):
        job = stages.start_capture(scene, folder, FAST, replace=True)
        time.sleep(rng.uniform(0, whole))
        if job.is_alive():
            os.kill(job.pid, signal.SIGKILL)
            killed += 1
        job.wait()
        after = files(folder)
        assert {name: after.get(name) for name in mine} == mine
    assert killed > 5
    state = stages.start_capture(scene, folder, FAST, replace=True).wait()
    assert state.status == "done", (state.message, state.hint)
    assert len(names_of_views(folder)) == 3
    private_folders.sweep()
    assert list((data_home / "jobs").iterdir()) == []
    after = files(folder)
    assert {name: after.get(name) for name in mine} == mine


@pytest.mark.parametrize("there", [None, "nothing", "log.txt"])
def test_a_refused_capture_leaves_a_folder_as_it_was(scene, tmp_path, there):
    """Where a program follows, which has opened a log there, it leaves the events."""
    for camera in [thing for thing in scene.objects if thing.type == "CAMERA"]:
        bpy.data.objects.remove(camera)
    folder = tmp_path / "new" / "capture"
    if there:
        folder.mkdir(parents=True)
    if there == "log.txt":
        (folder / there).touch()
    with pytest.raises(UserError, match="no camera"):
        stages.capture_here(scene, folder, FAST)
    if there is None:
        assert not folder.parent.exists()
    else:
        assert {path.name for path in folder.iterdir()} == ({"log.txt", "events.jsonl"} if there == "log.txt" else set())
