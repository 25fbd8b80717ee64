# SPDX-License-Identifier: GPL-3.0-or-later
"""Where captures and results lie: a folder for every file and scene, which follows the file when it is saved."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest
from reconstruct.addon.blender.scene_folders import (
    capture_folder,
    claim,
    home,
    moved_home,
    own_capture,
    own_result,
    result_folder,
)
from reconstruct.addon.jobs import carrying, process, running
from reconstruct.engine.contract.result import Result, read_result, write_result

root = sys.modules["reconstruct"]


@pytest.fixture
def file():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root.register()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    yield
    root.unregister()


def scene():
    return bpy.context.scene


def save(path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(path), **options)


def new_file():
    bpy.ops.wm.read_homefile(use_empty=True)


def reopen(path):
    bpy.ops.wm.open_mainfile(filepath=str(path))


def make_data(of=None):
    """A capture and a result of the scene, as its operators would leave them."""
    of = of or scene()
    claim(of)
    capture, result = own_capture(of), own_result(of)
    capture.mkdir(parents=True)
    (capture / "transforms.json").write_text(json.dumps({"source": "blender", "frames": []}))
    result.mkdir(parents=True)
    write_result(result, Result("done", "splat", str(capture)))
    return capture, result


def test_files_and_scenes_of_a_folder_have_folders_of_their_own(file, tmp_path):
    save(tmp_path / "kitchen.blend")
    living, _ = make_data()
    assert living == tmp_path / "reconstruct" / "kitchen" / "Scene" / "capture"
    other = bpy.data.scenes.new("Bedroom")
    assert own_capture(other) == tmp_path / "reconstruct" / "kitchen" / "Bedroom" / "capture"
    bpy.ops.scene.new(type="FULL_COPY")
    assert scene().name != "Scene" and own_capture(scene()) not in (living, own_capture(other)), "a copy of a scene"
    new_file()
    save(tmp_path / "livingroom.blend")
    assert own_capture(scene()) == capture_folder(scene()) == tmp_path / "reconstruct" / "livingroom" / "Scene" / "capture"
    assert not bpy.ops.reconstruct.train.poll(), "it does not offer to train on the kitchen"


def test_unsaved_files_share_nothing_and_move_beside_the_file_at_the_first_save(file, tmp_path, data_home):
    first, _ = make_data()
    assert data_home / "unsaved" in first.parents
    new_file()
    assert own_capture(scene()) != first
    capture, result = make_data()
    save(tmp_path / "kitchen.blend")
    assert own_capture(scene()) == tmp_path / "reconstruct" / "kitchen" / "Scene" / "capture"
    assert (own_capture(scene()) / "transforms.json").is_file() and not capture.exists()
    assert read_result(own_result(scene())).capture == str(own_capture(scene())), "the result names its capture where it is now"
    assert (first / "transforms.json").is_file(), "another file's"
    assert bpy.ops.reconstruct.train.poll()
    reopen(tmp_path / "kitchen.blend")
    assert (own_capture(scene()) / "transforms.json").is_file() and moved_home(scene()) == ""


def test_a_folder_that_is_chosen_before_the_first_save_moves_as_well(file, tmp_path):
    scene().reconstruct.capture.out = "//views/first"
    scene().reconstruct.train.capture = str(tmp_path / "photos")
    capture, _ = make_data()
    scene().reconstruct.import_.result = str(own_result(scene()))
    (tmp_path / "file" / "views" / "first").mkdir(parents=True)
    save(tmp_path / "file" / "kitchen.blend")
    assert scene().reconstruct.capture.out == "//views/first_2" and not capture.exists(), "what is there stays"
    assert (own_capture(scene()) / "transforms.json").is_file() and not list((tmp_path / "file" / "views" / "first").iterdir())
    assert scene().reconstruct.train.capture == str(tmp_path / "photos")
    assert result_folder(scene()) == own_result(scene()) and read_result(own_result(scene()))


def test_what_a_job_writes_is_not_moved_until_it_has_ended(file, tmp_path, fake_engine):
    fake_engine("slow")
    capture, result = make_data()
    (result / "result.json").unlink()
    result.rmdir()
    bpy.context.scene.reconstruct.train.capture = str(capture)
    job = process.start([sys.executable, Path(__file__).with_name("fake_engine.py"), "train", "c", "--out", result], result)
    running.follow(job, "train")
    save(tmp_path / "kitchen.blend")
    assert own_result(scene()) == result and capture.is_dir(), "before its first word"
    end = time.monotonic() + 20
    while not result.joinpath("result.json").is_file():
        assert time.monotonic() < end
        time.sleep(0.02)
    bpy.ops.wm.save_mainfile()
    reopen(tmp_path / "kitchen.blend")
    assert own_result(scene()) == result
    job.kill()
    running._tick()
    bpy.ops.wm.save_mainfile()
    assert own_result(scene()) == tmp_path / "reconstruct" / "kitchen" / "Scene" / "result" and not result.exists()
    assert Path(bpy.context.window_manager.reconstruct.folder) == own_result(scene())


def test_a_save_that_fails_or_writes_a_copy_changes_nothing(file, tmp_path):
    capture, _ = make_data()
    before = scene().reconstruct.home
    with pytest.raises(RuntimeError):
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "no folder" / "kitchen.blend"))
    save(tmp_path / "copy.blend", copy=True)
    assert (scene().reconstruct.home, own_capture(scene())) == (before, capture)
    assert (capture / "transforms.json").is_file() and read_result(own_result(scene())).capture == str(capture)
    save(tmp_path / "kitchen.blend")
    assert (own_capture(scene()) / "transforms.json").is_file()


def test_data_that_cannot_be_moved_stays_and_is_found(file, tmp_path, monkeypatch):
    capture, _ = make_data()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(carrying.os, "rename", full)
        patch.setattr(carrying.shutil, "copytree", full)
        save(tmp_path / "kitchen.blend")
    assert own_capture(scene()) == capture and (capture / "transforms.json").is_file()
    reopen(tmp_path / "kitchen.blend")
    assert own_capture(scene()) == capture and moved_home(scene())


def test_another_disk_is_no_obstacle(file, tmp_path, monkeypatch):
    capture, _ = make_data()
    rename = os.rename

    def across(old, new):
        if Path(old) == capture.parent:
            raise OSError(18, "Invalid cross-device link")
        rename(old, new)

    monkeypatch.setattr(carrying.os, "rename", across)
    save(tmp_path / "kitchen.blend")
    assert (own_capture(scene()) / "transforms.json").is_file() and tmp_path in own_capture(scene()).parents and not capture.exists()


def test_copying_to_another_disk_takes_no_folder_of_the_user_for_its_own(file, tmp_path, monkeypatch):
    capture, _ = make_data()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    homes = tmp_path / "reconstruct" / "kitchen"
    mine = [homes / "Scene.part" / "capture" / "transforms.json", homes / ".Scene.part" / "notes.txt"]
    left = homes / f".Scene.{gone.pid}.part" / "half"
    for made in (*mine, left):
        made.parent.mkdir(parents=True)
        made.write_text("the user's")
    rename = os.rename

    def across(old, new):
        if Path(old) == capture.parent:
            raise OSError(18, "Invalid cross-device link")
        rename(old, new)

    monkeypatch.setattr(carrying.os, "rename", across)
    save(tmp_path / "kitchen.blend")
    assert own_capture(scene()) == homes / "Scene" / "capture" and (own_capture(scene()) / "transforms.json").is_file()
    assert all(item.read_text() == "the user's" for item in mine) and not left.parent.exists()


def test_save_as_elsewhere_still_finds_the_data_and_moves_none(file, tmp_path):
    save(tmp_path / "a" / "kitchen.blend")
    capture, result = make_data()
    scene().reconstruct.train.capture = "//reconstruct/kitchen/Scene/capture"
    bpy.ops.wm.save_mainfile()
    save(tmp_path / "b" / "flat.blend")
    assert (own_capture(scene()), capture_folder(scene()), result_folder(scene())) == (capture, capture, result)
    assert scene().reconstruct.train.capture == "//../a/reconstruct/kitchen/Scene/capture" and moved_home(scene())
    reopen(tmp_path / "b" / "flat.blend")
    assert (own_capture(scene()), capture_folder(scene()), result_folder(scene())) == (capture, capture, result)
    reopen(tmp_path / "a" / "kitchen.blend")
    assert (own_capture(scene()), result_folder(scene())) == (capture, result)


def test_save_as_without_data_starts_afresh(file, tmp_path):
    save(tmp_path / "kitchen.blend")
    save(tmp_path / "flat.blend")
    assert own_capture(scene()) == tmp_path / "reconstruct" / "flat" / "Scene" / "capture"
    make_data()
    new_file()
    save(tmp_path / "flat.blend")
    assert not own_capture(scene()).exists(), "what an earlier file of that name has made is not this one's"


def test_undo_after_saving_does_not_lose_the_data(file, tmp_path):
    """Undo brings the properties back as they were before the save."""
    scene().reconstruct.train.out = "//trained"
    make_data()
    before = scene().reconstruct.home
    (tmp_path / "trained").mkdir()
    for target in (tmp_path / "kitchen.blend", tmp_path / "b" / "flat.blend"):
        save(target)
        capture, result = own_capture(scene()), own_result(scene())
        after, scene().reconstruct.home = scene().reconstruct.home, before
        assert own_capture(scene()) == capture and (capture / "transforms.json").is_file()
        bpy.ops.wm.save_mainfile()
        reopen(target)
        assert (own_capture(scene()), own_result(scene())) == (capture, result) and read_result(result)
        before = after


def test_a_renamed_scene_or_file_finds_its_data(file, tmp_path):
    save(tmp_path / "kitchen.blend")
    capture, result = make_data()
    scene().name = "Küche"
    assert (own_capture(scene()), own_result(scene())) == (capture, result)
    bpy.ops.wm.save_mainfile()
    (tmp_path / "kitchen.blend").rename(tmp_path / "flat.blend")
    reopen(tmp_path / "flat.blend")
    assert (own_capture(scene()), own_result(scene())) == (capture, result)


def test_files_of_version_0_1_keep_their_folders(file, tmp_path):
    root.unregister()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "old.blend"))
    root.register()
    old = tmp_path / "reconstruct" / "capture"
    old.mkdir(parents=True)
    (old / "transforms.json").write_text("{}")
    reopen(tmp_path / "old.blend")
    assert own_capture(scene()) == old and own_result(scene()) == tmp_path / "reconstruct" / "result"
    bpy.ops.wm.save_mainfile()
    reopen(tmp_path / "old.blend")
    assert own_capture(scene()) == old
    new_file()
    save(tmp_path / "new.blend")
    assert own_capture(scene()) == tmp_path / "reconstruct" / "new" / "Scene" / "capture"


def test_a_startup_file_gives_its_folders_to_no_file(file, tmp_path, monkeypatch):
    claim(scene())
    before = scene().reconstruct.home
    carrying._before_save("")
    assert before and scene().reconstruct.home == ""
    carrying._after_save("")
    assert scene().reconstruct.home == before


def test_scenes_whose_names_differ_by_case_have_folders_of_their_own(file, tmp_path):
    save(tmp_path / "a.b 1:2?.blend")
    one, other, odd = bpy.data.scenes.new("Room"), bpy.data.scenes.new("ROOM"), bpy.data.scenes.new("CON/../x")
    homes = [home(item) for item in (one, other, odd)]
    assert len({str(folder).casefold() for folder in homes}) == 3
    for folder in homes:
        assert folder.parent.parent == tmp_path / "reconstruct"
        folder.mkdir(parents=True)
