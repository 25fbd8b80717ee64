# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole small capture, read back as the engine reads it; and everything that can be wrong."""

import errno
import json
import os
from dataclasses import replace as replace_settings
from pathlib import Path

import bpy
import numpy as np
import pytest
from reconstruct.addon.blender.capture import export, passes
from reconstruct.addon.blender.capture.export import export_capture
from reconstruct.addon.jobs.stages import capture_here
from reconstruct.engine.cameras import Camera, project
from reconstruct.engine.contract import events
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.settings import CaptureSettings
from reconstruct.engine.formats.capture import read_capture
from reconstruct.engine.formats.points import read_points

SMALL = CaptureSettings(rig="both", orbit_object="Sofa", views=4, orbit_share=0.5, width=64, height=48, samples=2, seed_points=2000)


@pytest.fixture
def card(add_camera, add_mesh):
    add_mesh("Card", [(-8, 4, -8), (8, 4, -8), (8, 4, 8), (-8, 4, 8)], [(0, 1, 2, 3)], (0.5, 0.5, 0.5))
    return add_camera("Front"), add_camera("Side", turn=(1.5, 0.0, 0.5))


FAST = CaptureSettings(rig="scene", width=16, height=16, samples=1, seed_points=50)


def test_a_capture_of_the_demo_room_is_read_back_whole(demo, tmp_path):
    told = []
    folder = export_capture(demo, tmp_path / "capture", SMALL, progress=lambda step, steps: told.append((step, steps)))
    capture = read_capture(folder)
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert capture.source == "blender" and capture.scale == "metric" and not capture.warnings
    assert len(capture.frames) == 4
    assert sorted(path.name for path in folder.iterdir()) == ["albedo", "depth", "images", "points.ply", "transforms.json"]
    assert json.loads((folder / "transforms.json").read_text())["color_management"]["view_transform"] == "Standard"
    cloud = read_points(capture.points)
    assert 1500 < len(cloud) <= 2000
    assert np.ptp(cloud.colors.astype(int), axis=0).min() > 50
    low, high = np.array([-3.3, -3.3, -0.05]), np.array([3.3, 3.3, 3.3])
    assert ((cloud.positions > low) & (cloud.positions < high)).all()
    agreeing = np.zeros(len(cloud), bool)
    for frame in capture.frames:
        depth = np.load(frame.depth, allow_pickle=False)
        assert depth.shape == (48, 64) and depth.dtype == np.float32 and (depth > 0).mean() > 0.99
        assert passes.read_pixels(frame.image).shape == passes.read_pixels(frame.albedo).shape == (48, 64, 4)
        camera = Camera(frame.w, frame.h, frame.fl_x, frame.fl_y, frame.cx, frame.cy, np.array(frame.transform_matrix))
        pixels, z = project(camera, cloud.positions)
        column, row = np.floor(pixels).astype(int).T
        inside = (z > 0) & (column >= 0) & (column < 64) & (row >= 0) & (row < 48)
        agreeing[inside] |= np.abs(depth[row[inside], column[inside]] - z[inside]) < 1e-3 * z[inside] + 1e-4
    # Every seed point lies on a surface that some view saw just there.
    assert agreeing.all()
    assert len(bpy.data.scenes) == 1 and not [thing for thing in bpy.data.objects if thing.type == "CAMERA"]


def test_a_second_capture_into_the_folder_is_refused(scene, card, tmp_path):
    folder = export_capture(scene, tmp_path / "capture", FAST)
    assert [frame.name for frame in read_capture(folder).frames]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(UserError, match="already holds a capture"):
        export_capture(scene, folder, FAST)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_capture_is_replaced_only_once_the_new_one_begins(scene, card, tmp_path):
    folder = export_capture(scene, tmp_path / "capture", FAST)
    before = contents(folder)
    card[0].data.type = "ORTHO"
    with pytest.raises(UserError, match="Front"):
        export_capture(scene, folder, FAST, replace=True)
    assert contents(folder) == before
    card[0].data.type, card[0].name = "PERSP", "Other"
    export_capture(scene, folder, FAST, replace=True)
    assert sorted(path.stem for path in (folder / "images").iterdir()) == ["Other", "Side"]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(folder, *names):
    """Files of the user, under names that a capture might write or remove."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"mine: {name}".encode())


def test_files_of_the_user_stay_when_a_capture_is_replaced(scene, card, tmp_path):
    folder = export_capture(scene, tmp_path / "capture", FAST)
    put(folder, "images/mine.png", "images/Front.jpg", "depth/notes.txt", "albedo/more/mine.png", "scene.blend", "job.toml", "room.blend")
    mine = {name: data for name, data in contents(folder).items() if data.startswith(b"mine")}
    card[0].name = "Other"
    export_capture(scene, folder, FAST, replace=True)
    after = contents(folder)
    assert {name: after.get(name) for name in mine} == mine
    assert "images/Other.png" in after and "images/Front.png" not in after


@pytest.mark.parametrize("taken", ["images/Front.png", "unfinished", "points.ply", "depth/Side.npy"])
def test_a_file_of_the_user_under_a_needed_name_is_refused(scene, card, tmp_path, taken):
    put(tmp_path, taken)
    for replace in (False, True):
        with pytest.raises(UserError, match=taken.split("/")[0]):
            export_capture(scene, tmp_path, FAST, replace=replace)
    assert list(contents(tmp_path)) == [taken]


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("replace", [False, True])
def test_a_second_try_succeeds_wherever_the_first_was_killed(scene, card, tmp_path, monkeypatch, replace):
    """Each step on the disk is the last one once: nothing after it happens, neither in handlers of errors."""
    calls, last = 0, 0

    def dying(work):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls > last:
                raise Killed
            return work(*arguments, **options)

        return call

    def shoot(self, pose, lens, seed, picture, albedo):
        for file in (picture, albedo):
            file.write_bytes(b"")
        return frame, np.ones((16, 16), np.float32)

    frame = Camera(16, 16, 10.0, 10.0, 8.0, 8.0, np.eye(4))
    fast = replace_settings(FAST, seed_points=0)
    for number in range(200):
        folder = tmp_path / f"{number}"
        with monkeypatch.context() as patch:
            patch.setattr(passes.Studio, "shoot", shoot)
            if replace:
                export_capture(scene, folder, fast)
            put(folder, "images/mine.png", "scene.blend") if replace else put(folder, "scene.blend", "job.toml")
            mine = {name: data for name, data in contents(folder).items() if data.startswith(b"mine")}
            calls, last = 0, number
            for name in ("unlink", "mkdir", "write_text", "write_bytes", "rmdir"):
                patch.setattr(Path, name, dying(getattr(Path, name)))
            patch.setattr(os, "replace", dying(os.replace))
            patch.setattr(export.np, "save", dying(np.save))
            try:
                export_capture(scene, folder, fast, replace=replace)
                finished = True
            except Killed:
                finished = False
        with monkeypatch.context() as patch:
            patch.setattr(passes.Studio, "shoot", shoot)
            complete = (folder / "transforms.json").exists()
            assert not finished or complete
            if complete and not replace:
                with pytest.raises(UserError, match="already holds a capture"):
                    export_capture(scene, folder, fast)
            else:
                export_capture(scene, folder, fast, replace=replace)
        after = contents(folder)
        assert {name: after.get(name) for name in mine} == mine
        assert len(read_capture(folder).frames) == 2
        if finished:
            break
    assert finished and number > 8


def test_somebodys_pictures_are_not_touched(scene, card, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.png").write_bytes(b"mine")
    with pytest.raises(UserError, match="images"):
        export_capture(scene, tmp_path, FAST)
    assert [path.name for path in tmp_path.rglob("*")] == ["images", "mine.png"]


def test_a_cancelled_capture_has_no_transforms_and_can_be_made_again(scene, card, tmp_path):
    asked = iter([False, True])
    export_capture(scene, tmp_path, FAST, cancelled=lambda: next(asked))
    assert len(list((tmp_path / "images").iterdir())) == 1
    with pytest.raises(UserError):
        read_capture(tmp_path)
    export_capture(scene, tmp_path, FAST)
    assert len(read_capture(tmp_path).frames) == 2


def interrupt(scene, folder, settings, after=1):
    """Cancels a capture after some views."""
    left = iter([False] * after)
    export_capture(scene, folder, settings, cancelled=lambda: next(left, True))
    assert len(list((folder / "images").glob("*.png"))) == after and not (folder / "transforms.json").exists()


@pytest.fixture
def rendered(monkeypatch):
    """Names of the views that are rendered."""
    names, shoot = [], passes.Studio.shoot

    def count(self, pose, lens, seed, picture, albedo=None):
        names.append(picture.stem)
        return shoot(self, pose, lens, seed, picture, albedo)

    monkeypatch.setattr(passes.Studio, "shoot", count)
    return names


def test_an_interrupted_capture_is_continued(scene, card, add_camera, tmp_path, rendered):
    add_camera("Low", location=(0.0, 0.0, -1.0))
    whole = contents(export_capture(scene, tmp_path / "whole", FAST))
    folder = tmp_path / "capture"
    put(folder, "scene.blend", "job.toml")
    interrupt(scene, folder, FAST, 2)
    put(folder, "images/mine.png", "depth/mine.npy", "mine.txt")
    # What a killed process leaves.
    (folder / "images" / ".Side.png.123.part").write_bytes(b"half")
    with open(folder / "unfinished", "a", encoding="utf-8") as stream:
        stream.write('{"begin": ["images/Side.png", "depth/Side.npy", "albedo/Side.png"]}\n{"end": {"images/Si')
    del rendered[:]
    steps, said = [], []
    export_capture(scene, folder, FAST, progress=lambda *step: steps.append(step), report=lambda *words: said.append(words))
    assert rendered == ["Side"] and steps == [(2, 3), (3, 3)]
    assert said[0][0] == "note" and "2 views" in said[0][1]
    after = contents(folder)
    for name in whole:
        if name.endswith(".png"):  # its text holds the time that the render took
            assert np.array_equal(passes.read_pixels(folder / name), passes.read_pixels(tmp_path / "whole" / name))
        else:
            assert after[name] == whole[name]
    assert sorted(name for name in after if name not in whole) == [
        *("depth/mine.npy", "images/mine.png", "job.toml", "mine.txt", "scene.blend"),
    ]


@pytest.mark.parametrize("name", ["images/Front.png", "depth/Front.npy", "albedo/Front.png"])
@pytest.mark.parametrize("left", [None, 0, 3, 100])
def test_a_view_that_lost_a_file_is_rendered_again(scene, card, tmp_path, rendered, name, left):
    interrupt(scene, tmp_path, FAST)
    before = (tmp_path / name).read_bytes()
    if left is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(before[:left])
    # It is interrupted again, once that view is made.
    with pytest.raises(KeyboardInterrupt):
        export_capture(scene, tmp_path, FAST, progress=lambda step, steps: step and interrupt_now())
    del rendered[:]
    (tmp_path / name).write_bytes(before[:50])
    export_capture(scene, tmp_path, FAST)
    assert rendered == ["Front", "Side"]
    assert len(read_capture(tmp_path).frames) == 2 and not (tmp_path / "unfinished").exists()


def interrupt_now():
    raise KeyboardInterrupt


def repaint(scene):
    tree = bpy.data.materials["Card"].node_tree
    next(node for node in tree.nodes if node.type == "EMISSION").inputs["Strength"].default_value = 2.0


def move_camera(scene):
    bpy.data.objects["Front"].location.x += 0.1


@pytest.mark.parametrize("change", [repaint, move_camera, replace_settings])
def test_an_interrupted_capture_of_something_else_starts_over(scene, card, tmp_path, rendered, change):
    folder, settings = tmp_path / "capture", FAST
    interrupt(scene, folder, settings)
    put(folder, "images/mine.png")
    if change is replace_settings:
        settings = replace_settings(settings, exposure=1.0)
    else:
        change(scene)
    del rendered[:]
    said = []
    export_capture(scene, folder, settings, report=lambda *words: said.append(words))
    assert rendered == ["Front", "Side"] and "starts over" in said[0][1]
    assert contents(folder)["images/mine.png"].startswith(b"mine")
    assert not (folder / "unfinished").exists()


def test_files_of_an_unfinished_capture_that_the_user_changed_are_not_replaced(scene, card, tmp_path, rendered):
    interrupt(scene, tmp_path, FAST)
    for taken in ("images/Front.png", "images/Side.png"):
        kept = (tmp_path / taken).read_bytes() if (tmp_path / taken).exists() else None
        put(tmp_path, taken)
        before = contents(tmp_path)
        with pytest.raises(UserError, match=taken):
            export_capture(scene, tmp_path, FAST)
        assert contents(tmp_path) == before
        (tmp_path / taken).unlink()
        if kept:
            (tmp_path / taken).write_bytes(kept)
    del rendered[:]
    export_capture(scene, tmp_path, FAST)
    assert rendered == ["Side"]


def test_what_differs_from_the_scenes_own_renders_is_said_and_recorded(scene, card, tmp_path):
    said = []
    export_capture(scene, tmp_path / "plain", replace_settings(FAST), report=lambda *words: said.append(words))
    scene.render.engine = "CYCLES"
    scene.view_settings.view_transform = "Standard"
    said.clear()
    export_capture(scene, tmp_path / "same", FAST, report=lambda *words: said.append(words))
    assert not said
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.view_settings.view_transform, scene.view_settings.exposure = "AgX", 1.5
    scene.view_settings.look = "AgX - Punchy"
    export_capture(scene, tmp_path / "other", FAST, report=lambda *words: said.append(words))
    ((kind, message),) = said
    assert kind == "note" and "Workbench" in message and "Cycles" in message and "AgX - Punchy" in message
    table = json.loads((tmp_path / "other" / "transforms.json").read_text())
    assert table["color_management"]["view_transform"] == "Standard"
    assert table["scene_color_management"] | {"exposure": 1.5, "gamma": 1.0} == table["scene_color_management"]
    assert table["scene_color_management"]["view_transform"] == "AgX"


def test_notes_and_warnings_are_events(scene, card, tmp_path, monkeypatch):
    monkeypatch.setattr(passes.Studio, "use_clean_samples", lambda self, views: "More samples.")
    scene.render.engine = "BLENDER_WORKBENCH"
    states = []
    capture_here(scene, tmp_path, FAST, lambda state: states.append((state.note, list(state.warnings))))
    said = [(event.kind, event.values["message"]) for event in events.read_new(tmp_path / "events.jsonl")[0] if "message" in event.values]
    assert [kind for kind, _ in said] == ["note", "warning"] and said[1][1] == "More samples."
    assert states[-1] == (said[0][1], ["More samples."])


def test_a_full_disk_is_said_plainly_and_leaves_the_scene_alone(scene, card, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export.np, "save", full)
    with pytest.raises(UserError, match="disk is full") as caught:
        export_capture(scene, tmp_path, FAST)
    assert caught.value.code == "disk_full"
    assert len(bpy.data.scenes) == 1
    assert not (tmp_path / "transforms.json").exists()


def test_a_disk_that_takes_no_events_either_does_not_hide_what_happened(scene, card, tmp_path, monkeypatch):
    append = events.append

    def full(file, event):
        if event.kind != "started":
            raise OSError(errno.ENOSPC, "No space left on device")
        append(file, event)

    monkeypatch.setattr(events, "append", full)
    with pytest.raises(UserError, match="disk is full"):
        capture_here(scene, tmp_path, FAST)
    card[0].data.type = "ORTHO"
    with pytest.raises(UserError, match="Front"):
        capture_here(scene, tmp_path, FAST)
    monkeypatch.setattr(events, "append", lambda file, event: full(file, events.Event("done")))
    with pytest.raises(UserError, match="disk is full"):
        capture_here(scene, tmp_path, FAST)


def test_a_folder_that_is_a_file_is_refused(scene, card, tmp_path):
    (tmp_path / "capture").write_text("a file")
    with pytest.raises(UserError, match="capture"):
        export_capture(scene, tmp_path / "capture", FAST)


def test_what_cannot_be_captured_leaves_no_folder(scene, card, tmp_path):
    card[0].data.type = "ORTHO"
    with pytest.raises(UserError, match="Front"):
        export_capture(scene, tmp_path / "capture", FAST)
    assert not (tmp_path / "capture").exists()
