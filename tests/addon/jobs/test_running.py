# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs hung on Blender: what the panels see, one job at a time, and the operators that start them."""

import json
import os
import sys
import time

import bpy
import pytest
from reconstruct.addon.jobs import process, running
from reconstruct.engine.contract.errors import UserError

root = sys.modules["reconstruct"]


@pytest.fixture
def shown(tmp_path, fake_engine):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root.register()
    settings = bpy.context.scene.reconstruct
    settings.capture.out, settings.train.out = str(tmp_path / "capture"), str(tmp_path / "result")
    settings.train.capture = str(tmp_path)
    yield bpy.context.window_manager.reconstruct
    job = running.current()
    root.unregister()
    if job is not None:
        job.kill()


def start(tmp_path):
    return process.start_engine([sys.executable, "-m", "engine", "train", "c", "--out", str(tmp_path / "result")], tmp_path / "result")


def tick_until(holds, seconds=20.0):
    """Does what Blender's timers would do; they do not fire without a window."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        running._tick()
        time.sleep(0.02)


def test_the_panels_see_the_job(shown, tmp_path):
    ended = []
    running.follow(start(tmp_path), "train", ended.append)
    assert (shown.kind, shown.status) == ("train", "running")
    tick_until(lambda: shown.step > 0)
    assert shown.steps == 20 and shown.loss > 0 and shown.psnr > 20 and shown.count >= 1000
    tick_until(lambda: shown.status != "running")
    assert shown.status == "done"
    assert shown.preview.endswith("000015.png")
    assert shown.warning == "This is a fake." and shown.note == "A step takes no time."
    assert [state.status for state in ended] == ["done"]
    assert running.current() is None


def test_a_field_is_not_said_to_have_gaussians(shown, tmp_path, fake_engine):
    fake_engine("field")
    running.follow(start(tmp_path), "train")
    tick_until(lambda: shown.step > 0)
    assert shown.count == -1 and shown.psnr > 20
    assert not running.current().state.in_words().gaussians


def test_a_tick_takes_no_time(shown, tmp_path):
    running.follow(start(tmp_path), "train")
    longest = 0.0
    while shown.status == "running":
        begin = time.perf_counter()
        running._tick()
        longest = max(longest, time.perf_counter() - begin)
        time.sleep(0.02)
    assert longest < 0.05, f"{longest * 1000:.1f} ms"


def test_one_job_at_a_time(shown, tmp_path, fake_engine):
    fake_engine("slow")
    running.follow(start(tmp_path), "train")
    second = start(tmp_path / "second")
    with pytest.raises(UserError, match="already runs"):
        running.follow(second, "train")
    second.kill()
    assert not bpy.ops.reconstruct.train.poll()
    assert not bpy.ops.reconstruct.capture.poll()


def test_cancel_and_stop_now(shown, tmp_path, fake_engine):
    fake_engine("stubborn")
    running.follow(start(tmp_path), "train")
    tick_until(lambda: shown.step > 0)
    bpy.ops.reconstruct.cancel()
    assert shown.cancelling and (tmp_path / "result" / "cancel").exists()
    assert running.current() is not None
    bpy.ops.reconstruct.cancel()
    tick_until(lambda: shown.status != "running")
    assert (shown.status, shown.message, shown.hint) == ("stopped", "", "")


def test_a_job_left_running_is_found_by_the_next_blender(shown, tmp_path, fake_engine):
    fake_engine("slow")
    job = start(tmp_path)
    while process.attach(tmp_path / "result") is None:
        time.sleep(0.05)
    # Closing Blender ends the add-on, not the job.
    root.unregister()
    assert job.is_alive()
    root.register()
    settings = bpy.context.scene.reconstruct
    settings.train.out = str(tmp_path / "result")
    running.find_running(bpy.context.scene)
    found = bpy.context.window_manager.reconstruct
    assert (found.kind, found.status) == ("train", "running")
    bpy.ops.reconstruct.cancel()
    tick_until(lambda: found.status != "running")
    assert found.status == "cancelled"


def test_a_job_is_shown_again_after_another_file_was_opened(shown, tmp_path, fake_engine):
    fake_engine("slow")
    running.follow(start(tmp_path), "train")
    tick_until(lambda: shown.step > 0)
    bpy.ops.wm.read_homefile(use_empty=True)
    running.find_running(bpy.context.scene)
    found = bpy.context.window_manager.reconstruct
    assert (found.kind, found.status) == ("train", "running") and found.step > 0


def test_a_job_of_any_scene_of_the_file_is_found(shown, tmp_path, fake_engine):
    fake_engine("slow")
    job = start(tmp_path)
    while process.attach(tmp_path / "result") is None:
        time.sleep(0.05)
    bpy.context.scene.reconstruct.train.out = str(tmp_path / "other")
    bpy.data.scenes.new("Second").reconstruct.train.out = str(tmp_path / "result")
    running.find_running(bpy.context.scene)
    assert (shown.kind, shown.status) == ("train", "running")
    job.kill()


def test_the_end_of_another_files_job_is_not_shown(shown, tmp_path):
    running.follow(start(tmp_path), "train")
    tick_until(lambda: shown.status == "done")
    running.show_after_load()
    assert (shown.kind, shown.status) == ("train", "done"), "it is of this file"
    bpy.context.scene.reconstruct.train.out = str(tmp_path / "other")
    running.show_after_load()
    assert (shown.kind, shown.status, shown.folder, shown.seconds) == ("", "", "", -1)


def test_the_engine_runs_outside_of_the_extension(shown, tmp_path):
    """Windows cannot replace a folder that a process works in; and what lies in the result's folder is not imported."""

    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "shutil.py").write_text("raise ImportError('of the result')")
    (tmp_path / "fake root" / "engine" / "__main__.py").write_text("import os, shutil; print(os.getcwd())")
    process.start_engine([sys.executable, "-m", "engine"], tmp_path / "result").wait(interval=0.02)
    assert (tmp_path / "result" / "log.txt").read_text(encoding="utf-8").splitlines()[-1] == str((tmp_path / "result").resolve())


def test_a_folder_that_is_away_for_a_moment_ends_nothing(shown, tmp_path, fake_engine, monkeypatch):
    fake_engine("slow")
    running.follow(start(tmp_path), "train")

    def away(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as broken:
        broken.setattr(process, "read_new", away)
        assert running._tick() == running.INTERVAL
    assert running.current() is not None


def test_no_result_is_written_over_a_capture(shown, tmp_path):
    capture = tmp_path / "made" / "capture"
    capture.mkdir(parents=True)
    (capture / "events.jsonl").write_text("")
    bpy.context.scene.reconstruct.train.capture = str(capture)
    other = tmp_path / "other"
    other.mkdir()
    (other / "transforms.json").write_text("{}")
    for out in (capture, capture.parent, other):
        bpy.context.scene.reconstruct.train.out = str(out)
        for mode in ("NEW", "REPLACE"):
            with pytest.raises(RuntimeError, match="holds a capture"):
                bpy.ops.reconstruct.train(mode=mode)
    bpy.context.scene.reconstruct.train.out = ""
    with pytest.raises(RuntimeError, match="No folder is chosen"):
        bpy.ops.reconstruct.train()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "9.0"}', '{"schema": "1.0", "status": 5}'])
def test_a_result_that_cannot_be_read_can_be_replaced_or_left(shown, tmp_path, text):
    assert bpy.ops.reconstruct.train() == {"FINISHED"}
    file = tmp_path / "result" / "result.json"
    file.write_text(text)
    (tmp_path / "result" / "notes.txt").write_text("the user's")
    with pytest.raises(RuntimeError, match="already holds a result"):
        bpy.ops.reconstruct.train()
    assert bpy.ops.reconstruct.new_folder(step="train") == {"FINISHED"}
    assert bpy.context.scene.reconstruct.train.out == f"{tmp_path / 'result'}_2"
    assert bpy.ops.reconstruct.train() == {"FINISHED"} and (tmp_path / "result_2" / "result.json").is_file() and file.read_text() == text
    bpy.context.scene.reconstruct.train.out = str(tmp_path / "result")
    assert bpy.ops.reconstruct.train(mode="REPLACE") == {"FINISHED"}
    assert json.loads(file.read_text())["status"] == "done" and (tmp_path / "result" / "notes.txt").read_text() == "the user's"


@pytest.mark.parametrize(
    "name, text", [("photo.png", "the user's"), ("result.json", '{"winner": "the user"}'), ("result.json", "the user's")]
)
def test_a_folder_of_the_user_takes_no_result(shown, tmp_path, name, text):
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / name).write_text(text)
    for mode in ("NEW", "REPLACE"):
        with pytest.raises(RuntimeError, match="holds other files|already holds a result") as caught:
            bpy.ops.reconstruct.train(mode=mode)
        assert "--" not in str(caught.value)
    assert [(file.name, file.read_text()) for file in (tmp_path / "result").iterdir()] == [(name, text)]


def test_no_operator_touches_files_of_the_user(shown, tmp_path, fake_engine):
    """Folders chosen so that ours lie among files of the user, under names that we use and others."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.object.camera_add(location=(0, 0, 6))
    home = tmp_path / "home"
    home.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(home / "scene.blend"))
    names = [
        "room.blend",
        "job.toml",
        "photo.png",
        "owner.json",
        "splats.ply",
        "result.blend",
        "reconstruct/result/result.json",
        "out/1.jpg",
    ]
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(f"the user's {name}")

    def user_files():
        return {name: (home / name).read_bytes() for name in [*names, "scene.blend"]}

    before = user_files()
    settings = bpy.context.scene.reconstruct
    settings.capture.out, settings.capture.rig, settings.capture.samples = "//", "scene", 1
    settings.capture.width = settings.capture.height = 16
    calls = [lambda replace=replace: bpy.ops.reconstruct.capture(replace=replace) for replace in (False, True)]
    calls += [lambda mode=mode: bpy.ops.reconstruct.train(mode=mode) for mode in ("NEW", "RESUME", "REPLACE")]
    calls += [bpy.ops.reconstruct.make_proxy, bpy.ops.reconstruct.check_engine, lambda: bpy.ops.reconstruct.new_folder(step="train")]
    for call in calls:
        assert call() == {"FINISHED"}
        assert user_files() == before
    settings.train.out = "//out"
    with pytest.raises(RuntimeError, match="holds other files"):
        bpy.ops.reconstruct.train()
    fake_engine("slow")
    settings.property_unset("train")
    running.follow(start(tmp_path), "train")
    bpy.ops.reconstruct.cancel()
    bpy.ops.reconstruct.cancel()
    assert user_files() == before


def test_another_folder_of_the_default_keeps_its_names(shown, tmp_path):
    bpy.context.scene.reconstruct.property_unset("capture")
    default = bpy.context.scene.reconstruct.capture.out
    bpy.ops.reconstruct.new_folder(step="capture")
    assert bpy.context.scene.reconstruct.capture.out == f"{default}_2"


def test_continue_adds_its_steps_to_those_done(shown, tmp_path):
    assert bpy.ops.reconstruct.train() == {"FINISHED"}
    file = tmp_path / "result" / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"step": 500}))
    bpy.context.scene.reconstruct.train.settings.budget = "steps"
    assert bpy.ops.reconstruct.train(mode="RESUME") == {"FINISHED"}
    assert "--steps 2500" in (tmp_path / "result" / "log.txt").read_text(encoding="utf-8")


def test_an_import_that_fails_leaves_no_scene(shown, tmp_path):
    assert bpy.ops.reconstruct.train() == {"FINISHED"}
    bpy.context.scene.reconstruct.import_.new_scene = True
    with pytest.raises(RuntimeError, match="holds no splats, mesh or points"):
        bpy.ops.reconstruct.import_result()
    assert len(bpy.data.scenes) == 1


def test_the_panels_of_a_new_scene_show_its_result(shown, tmp_path):
    from reconstruct.addon.blender.scene_folders import result_folder

    folder = tmp_path / "chair"
    folder.mkdir()
    (folder / "points.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n0 0 0\n1 1 1\n"
    )
    values = {"schema": "1.0", "status": "done", "method": "ngp", "capture": "c", "artifacts": [{"kind": "points", "path": "points.ply"}]}
    (folder / "result.json").write_text(json.dumps(values))
    bpy.context.scene.reconstruct.import_.result, bpy.context.scene.reconstruct.import_.new_scene = str(folder), True
    assert bpy.ops.reconstruct.import_result() == {"FINISHED"}
    assert result_folder(bpy.data.scenes["Reconstruct"]) == folder


def test_training_from_a_script_waits_for_the_end(shown, tmp_path):
    assert bpy.ops.reconstruct.train() == {"FINISHED"}
    assert process.attach(tmp_path / "result") is None
    assert (tmp_path / "result" / "result.json").is_file()
    with pytest.raises(RuntimeError, match="already holds a result"):
        bpy.ops.reconstruct.train()
    bpy.context.scene.reconstruct.train.settings.budget = "steps"
    assert bpy.ops.reconstruct.train(mode="RESUME") == {"FINISHED"}
    assert bpy.ops.reconstruct.train(mode="REPLACE") == {"FINISHED"}
    commands = [line for line in (tmp_path / "result" / "log.txt").read_text(encoding="utf-8").splitlines() if line.startswith("command:")]
    assert "--minutes 3.0" in commands[0]
    assert "--resume" in commands[1] and "--steps 2000" in commands[1] and "--minutes" not in commands[1]
    assert "--overwrite" in commands[2]


def test_a_failed_training_is_reported(shown, fake_engine):
    fake_engine("fail")
    with pytest.raises(RuntimeError, match=r"The disk is full\. Free some space"):
        bpy.ops.reconstruct.train()


def test_what_a_run_without_a_result_left_is_no_obstacle(shown, tmp_path, fake_engine):
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "events.jsonl").write_text("")
    assert bpy.ops.reconstruct.train() == {"FINISHED"}


def test_check_engine(shown, tmp_path, monkeypatch):
    assert bpy.ops.reconstruct.check_engine() == {"FINISHED"}
    assert shown.engine_ok and "Fake, 2 threads" in shown.engine
    monkeypatch.setenv("RECONSTRUCT_PYTHON", str(tmp_path / "nothing"))
    with pytest.raises(RuntimeError, match="not there"):
        bpy.ops.reconstruct.check_engine()
    assert not shown.engine_ok and "RECONSTRUCT_PYTHON" in shown.engine


def test_a_python_without_the_engine_is_one_sentence(shown, tmp_path):
    (tmp_path / "fake root" / "engine" / "__main__.py").write_text("raise ImportError('No module named torch')")
    with pytest.raises(RuntimeError, match="does not run in .*No module named torch"):
        bpy.ops.reconstruct.check_engine()


def test_capture_replaces_only_its_own(shown, tmp_path):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.object.camera_add(location=(0, 0, 6))
    settings = bpy.context.scene.reconstruct.capture
    settings.out, settings.rig, settings.samples = str(tmp_path / "capture"), "scene", 1
    settings.width = settings.height = 16
    assert bpy.ops.reconstruct.capture() == {"FINISHED"}
    with pytest.raises(RuntimeError, match="already holds a capture"):
        bpy.ops.reconstruct.capture()
    assert bpy.ops.reconstruct.capture(replace=True) == {"FINISHED"}
    if os.name != "nt" and os.getuid() != 0:
        (tmp_path / "capture").chmod(0o555)
        with pytest.raises(RuntimeError, match="Permission denied"):
            bpy.ops.reconstruct.capture(replace=True)
        (tmp_path / "capture").chmod(0o755)
    (tmp_path / "capture" / "transforms.json").write_text('{"frames": []}')
    with pytest.raises(RuntimeError, match="already holds a capture"):
        bpy.ops.reconstruct.capture(replace=True)
