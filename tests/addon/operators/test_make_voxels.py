# SPDX-License-Identifier: GPL-3.0-or-later
"""From pictures to an object on the floor: files and pictures of Blender, what is refused, and what a window waits for."""

import sys
import time

import bpy
import numpy as np
import pytest
from reconstruct.addon import batch
from reconstruct.addon.blender.results.voxel_objects import is_voxels
from reconstruct.addon.jobs import running
from reconstruct.addon.operators import make_voxels

root = sys.modules["reconstruct"]


@pytest.fixture
def chosen(tmp_path, fake_engine):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root.register()
    chosen = bpy.context.scene.reconstruct.voxels
    chosen.out = str(tmp_path / "made")
    for name in ("chair.png", "side.png"):
        (tmp_path / name).write_bytes(b"a picture, for all that the fake engine knows")
    yield chosen
    job = running.current()
    root.unregister()
    if job is not None:
        job.kill()


def press(folder, *names):
    return bpy.ops.reconstruct.voxels(directory=str(folder), files=[{"name": name} for name in names])


def command(folder):
    return (folder / "log.txt").read_text(encoding="utf-8").splitlines()[-1]


def test_pictures_become_an_object_under_the_cursor(chosen, tmp_path):
    bpy.context.scene.cursor.location = (1, 2, 3)
    chosen.settings.dimension, chosen.settings.length, chosen.settings.threshold = "height", 0.9, 0.5
    assert press(tmp_path, "chair.png", "side.png") == {"FINISHED"}
    item = bpy.context.object
    assert is_voxels(item) and item.name == "chair" and item.select_get()
    assert tuple(item.location) == (1, 2, 0)
    assert item.dimensions[2] == pytest.approx(0.9, abs=1e-4)
    assert item.reconstruct.voxels.threshold == pytest.approx(0.5)
    said = command(tmp_path / "made" / "chair")
    assert f"voxels {tmp_path / 'chair.png'} {tmp_path / 'side.png'} --out" in said
    assert "--dimension height --length 0.9" in said and "--weights" not in said and "--overwrite" not in said
    assert press(tmp_path, "chair.png") == {"FINISHED"}
    assert (tmp_path / "made" / "chair_2" / "voxels.npz").is_file(), "no result is written over"


def test_lengths_reach_the_engine_in_meters(chosen, tmp_path):
    bpy.context.scene.unit_settings.scale_length = 0.01
    chosen.settings.length = 80.0
    press(tmp_path, "chair.png")
    assert "--length 0.8" in command(tmp_path / "made" / "chair")
    assert max(bpy.context.object.dimensions) == pytest.approx(80, abs=1e-2)


def test_numbers_of_pictures_are_refused_in_words(chosen, tmp_path):
    with pytest.raises(RuntimeError, match="No picture is chosen"):
        bpy.ops.reconstruct.voxels()
    with pytest.raises(RuntimeError, match="30 pictures are more"):
        press(tmp_path, *[f"{number}.png" for number in range(30)])
    with pytest.raises(RuntimeError, match="There is no picture .*none.png"):
        press(tmp_path, "none.png")
    chosen.out = ""
    with pytest.raises(RuntimeError, match="No folder is chosen"):
        press(tmp_path, "chair.png")


def test_what_the_engine_refuses_reaches_the_user(chosen, tmp_path, fake_engine):
    fake_engine("fail")
    with pytest.raises(RuntimeError, match="chair.png is not plain. Cut the object out first"):
        press(tmp_path, "chair.png")
    fake_engine("good")
    press(tmp_path, "chair.png")
    assert (tmp_path / "made" / "chair" / "voxels.npz").is_file(), "the place of what failed is taken again"


def test_the_place_of_a_job_that_was_killed_is_taken_again(chosen, tmp_path, fake_engine):
    fake_engine("fail")
    with pytest.raises(RuntimeError):
        press(tmp_path, "chair.png")
    (tmp_path / "made" / "chair" / "lock").touch()
    fake_engine("good")
    press(tmp_path, "chair.png")
    assert [item.name for item in (tmp_path / "made").iterdir()] == ["chair"]


def test_a_damaged_result_is_refused(chosen, tmp_path, fake_engine):
    fake_engine("garbage")
    with pytest.raises(RuntimeError, match="voxels.npz is damaged"):
        press(tmp_path, "chair.png")
    assert not bpy.data.objects


def test_pictures_of_blender(chosen, tmp_path):
    assert not bpy.ops.reconstruct.voxels_of_image.poll()
    image = bpy.data.images.new("stool", 4, 4, alpha=True)
    image.pixels.foreach_set(np.tile(np.array([0.2, 0.4, 0.6, 1.0], np.float32), 16))
    chosen.image = image
    assert bpy.ops.reconstruct.voxels_of_image() == {"FINISHED"}
    written = tmp_path / "made" / "stool.png"
    assert written.read_bytes()[:4] == b"\x89PNG" and str(written) in command(tmp_path / "made" / "stool")
    read = bpy.data.images.load(str(written))
    np.testing.assert_allclose(read.pixels[:4], (0.2, 0.4, 0.6, 1), atol=0.01)

    chosen.image = read
    bpy.ops.reconstruct.voxels_of_image()
    assert f"voxels {written} --out" in command(tmp_path / "made" / "stool_2"), "a file is taken as it is"
    read.file_format = "JPEG"
    read.pack()
    written.unlink()
    bpy.ops.reconstruct.voxels_of_image()
    assert (tmp_path / "made" / "stool_3.png").read_bytes()[:4] == b"\x89PNG" and read.file_format == "JPEG"

    chosen.image = bpy.data.images.load(str(tmp_path / "side.png"))
    (tmp_path / "side.png").unlink()
    with pytest.raises(RuntimeError, match="side.png, is not there"):
        bpy.ops.reconstruct.voxels_of_image()
    chosen.image.source = "SEQUENCE"
    with pytest.raises(RuntimeError, match="no still picture"):
        bpy.ops.reconstruct.voxels_of_image()


def test_a_mask_goes_with_its_picture(chosen, tmp_path):
    chosen.image = bpy.data.images.load(str(tmp_path / "chair.png"))
    chosen.mask = bpy.data.images.new("outline", 4, 4)
    bpy.ops.reconstruct.voxels_of_image()
    assert f"--mask {tmp_path / 'made' / 'chair_mask.png'}" in command(tmp_path / "made" / "chair")
    with bpy.context.temp_override(edit_image=bpy.data.images.new("bench", 4, 4)):
        bpy.ops.reconstruct.voxels_of_image()
    assert "--mask" not in command(tmp_path / "made" / "bench"), "it is another picture's"
    chosen.image = bpy.data.images.load(str(tmp_path / "side.png"))
    assert chosen.mask is None


def test_a_job_that_came_first_is_not_joined_by_another(chosen, tmp_path, fake_engine, monkeypatch):
    fake_engine("slow")
    follow(tmp_path, chosen)
    # As the file browser does, which was opened before.
    monkeypatch.setattr(make_voxels.RECONSTRUCT_OT_voxels, "poll", classmethod(lambda cls, context: True))
    with pytest.raises(RuntimeError, match="already runs"):
        press(tmp_path, "side.png")
    assert not (tmp_path / "made" / "side").exists()


def test_the_picture_of_the_image_editor(chosen, tmp_path):
    chosen.image, shown = bpy.data.images.new("stool", 4, 4), bpy.data.images.new("bench", 4, 4)
    with bpy.context.temp_override(edit_image=shown):
        bpy.ops.reconstruct.voxels_of_image()
    assert bpy.context.object.name == "bench"


def tick_until(holds, seconds=20.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        running._tick()
        time.sleep(0.02)


def follow(tmp_path, chosen):
    """Starts as a window does, which a test has none of."""
    from reconstruct.addon.jobs import stages
    from reconstruct.engine.contract.voxels import VoxelSettings

    out, identity = tmp_path / "made" / "chair", bpy.context.scene.session_uid
    job = stages.start_voxels([tmp_path / "chair.png"], out, VoxelSettings())
    running.follow(job, "voxels", lambda state: make_voxels._arrived(state, identity, out))
    return bpy.context.window_manager.reconstruct


def test_what_a_window_waited_for_can_be_undone(chosen, tmp_path):
    bpy.ops.ed.undo_push(message="Before")
    shown = follow(tmp_path, chosen)
    assert shown.kind == "voxels" and not bpy.ops.reconstruct.voxels.poll()
    tick_until(lambda: shown.status != "running")
    assert shown.status == "done" and is_voxels(bpy.data.objects["chair"])
    bpy.ops.ed.undo()
    assert "chair" not in bpy.data.objects
    bpy.ops.ed.redo()
    assert is_voxels(bpy.data.objects["chair"])


def test_nothing_comes_into_another_file(chosen, tmp_path):
    follow(tmp_path, chosen)
    bpy.ops.wm.read_homefile(use_empty=True)
    shown = bpy.context.window_manager.reconstruct
    tick_until(lambda: running.current() is None)
    assert not bpy.data.objects and "Import the result from" in shown.warning


@pytest.mark.parametrize("end", ["restart", "load"])
def test_a_job_left_running_is_found_after_a_restart_and_after_a_file_is_loaded(chosen, tmp_path, fake_engine, end):
    from reconstruct.addon.jobs import process, stages
    from reconstruct.engine.contract.voxels import VoxelSettings

    out, file = tmp_path / "made" / "chair", tmp_path / "room.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    fake_engine("slow")
    job = stages.start_voxels([tmp_path / "chair.png"], out, VoxelSettings())
    while process.attach(out) is None:
        time.sleep(0.02)
    if end == "restart":
        root.unregister()
        bpy.ops.wm.read_factory_settings(use_empty=True)
        root.register()
    bpy.ops.wm.open_mainfile(filepath=str(file))
    running.show_after_load()
    shown = bpy.context.window_manager.reconstruct
    assert (shown.kind, shown.status, shown.folder) == ("voxels", "running", str(out))
    assert not bpy.ops.reconstruct.voxels.poll()
    bpy.ops.reconstruct.cancel()
    tick_until(lambda: shown.status != "running")
    assert shown.status == job.wait().status == "cancelled" and not shown.warning


def test_where_voxels_are_whose_blender_was_closed(chosen, tmp_path, fake_engine):
    from reconstruct.addon.jobs import process, stages
    from reconstruct.engine.contract.voxels import VoxelSettings

    out = tmp_path / "made" / "chair"
    fake_engine("waits")
    stages.start_voxels([tmp_path / "chair.png"], out, VoxelSettings())
    while process.attach(out) is None:
        time.sleep(0.02)
    running.find_running(bpy.context.scene)
    (out / "go").touch()
    shown = bpy.context.window_manager.reconstruct
    tick_until(lambda: shown.status != "running")
    assert shown.status == "done" and f"Import the result from {out}" in shown.warning


def test_cancel(chosen, tmp_path, fake_engine):
    fake_engine("slow")
    shown = follow(tmp_path, chosen)
    tick_until(lambda: shown.stage == "cut")
    bpy.ops.reconstruct.cancel()
    tick_until(lambda: shown.status != "running")
    assert shown.status == "cancelled" and not bpy.data.objects


def test_a_damaged_result_is_shown_in_the_panel(chosen, tmp_path, fake_engine):
    fake_engine("garbage")
    shown = follow(tmp_path, chosen)
    tick_until(lambda: shown.status != "running")
    assert shown.status == "failed" and "damaged" in shown.message and shown.hint


def test_without_a_window(chosen, tmp_path, capsys):
    text = """
[voxels]
images = ["chair.png", "side.png"]
out = "kept/chair"
dimension = "width"
length = 1.2
[import]
new_scene = true
[place]
location = [1.0, 1.0, 0.0]
[save]
out = "room.blend"
"""
    (tmp_path / "job.toml").write_text(text)
    assert batch.main([str(tmp_path / "job.toml")]) == 0, capsys.readouterr().out
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "room.blend"))
    item = bpy.data.objects["chair"]
    assert is_voxels(item) and item.dimensions[0] == pytest.approx(1.2, abs=1e-4) and item.location[1] == 1
    assert batch.main([str(tmp_path / "job.toml")]) == 2 and "already holds a result" in capsys.readouterr().out
    (tmp_path / "job.toml").write_text(text.replace("out =", "overwrite = true\nout =", 1))
    assert batch.main([str(tmp_path / "job.toml")]) == 0
    assert "--overwrite" in command(tmp_path / "kept" / "chair")
    (tmp_path / "job.toml").write_text("[voxels]\n")
    assert batch.main([str(tmp_path / "job.toml")]) == 2 and "No picture is chosen" in capsys.readouterr().out
    (tmp_path / "job.toml").write_text("[voxels]\nthreshold = 2.0\n")
    assert batch.main([str(tmp_path / "job.toml")]) == 2 and "voxels.threshold" in capsys.readouterr().out
