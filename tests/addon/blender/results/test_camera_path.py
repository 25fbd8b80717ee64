# SPDX-License-Identifier: GPL-3.0-or-later
"""The animated camera as a path: every frame projects as Blender does, also seen from a result that was moved."""

import itertools
import json
import math
import sys

import bpy
import numpy as np
import pytest
from mathutils import Euler, Matrix
from reconstruct.addon.blender.results.camera_path import export_path
from reconstruct.addon.blender.tagging import tag
from reconstruct.engine.cameras import Camera, project, uprighted
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.formats.transforms import read_transforms

CUBE = np.array(list(itertools.product((-0.6, 0.6), (-0.6, 0.6), (-0.5, 0.5))))


def blender_pixels(scene, thing, points):
    """Where Blender puts world points (in the scene's unit) at the current frame."""
    depsgraph, render = scene.view_layers[0].depsgraph, scene.render
    width, height = (int(side) * render.resolution_percentage // 100 for side in (render.resolution_x, render.resolution_y))
    window = thing.evaluated_get(depsgraph).calc_matrix_camera(
        depsgraph, x=width, y=height, scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y
    )
    world = np.array(thing.evaluated_get(depsgraph).matrix_world, dtype=float)
    world[:3, :3] /= np.linalg.norm(world[:3, :3], axis=0)
    clip = np.c_[(points - world[:3, 3]) @ world[:3, :3], np.ones(len(points))] @ np.array(window, dtype=float).T
    shares = clip[:, :2] / clip[:, 3:]
    return np.stack([(shares[:, 0] + 1) / 2 * width, (1 - shares[:, 1]) / 2 * height], axis=1)


def read(file):
    found = read_transforms(file, pictures=False)
    return found, [
        Camera(frame.w, frame.h, frame.fl_x, frame.fl_y, frame.cx, frame.cy, np.array(frame.transform_matrix)) for frame in found.frames
    ]


@pytest.fixture(autouse=True)
def scene():
    """An empty scene without the camera that other results are looked at through."""
    bpy.ops.wm.read_homefile(use_empty=True)
    return bpy.context.scene


@pytest.fixture
def flying(scene, add_camera):
    """A camera whose place, turn and lens are animated, below an animated and scaled parent."""

    def make(unit=1.0):
        thing = add_camera(location=(0, -6 / unit, 1 / unit), turn=(1.4, 0.0, 0.1), sensor_fit="VERTICAL", sensor_height=21.0)
        thing.data.shift_x, thing.data.shift_y = 0.1, -0.05
        parent = bpy.data.objects.new("Rig", None)
        scene.collection.objects.link(parent)
        thing.parent, parent.scale = parent, (1.5, 1.5, 1.5)
        scene.unit_settings.scale_length = unit
        scene.camera = thing
        for frame, turn, lens, height in ((1, 0.0, 25.0, 0.0), (11, 0.9, 40.0, 0.8)):
            parent.rotation_euler = (0.0, 0.1 * turn, turn)
            thing.location.z, thing.data.lens = (1 + height) / unit, lens
            parent.keyframe_insert("rotation_euler", frame=frame)
            thing.keyframe_insert("location", frame=frame)
            thing.data.keyframe_insert("lens", frame=frame)
        scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 333, 517, 37
        scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = 1.0, 1.3
        return thing

    return make


@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_every_frame_projects_as_blender_does(scene, flying, tmp_path, unit):
    thing = flying(unit)
    unit = scene.unit_settings.scale_length
    scene.render.fps, scene.render.fps_base = 30, 1.0
    scene.frame_set(4)
    assert export_path(scene, tmp_path / "path.json", 1, 11, 5) == 3
    assert scene.frame_current == 4 and scene.camera == thing
    found, cameras = read(tmp_path / "path.json")
    assert found.source == "blender" and found.scale == "metric" and found.fps == 6
    assert [frame.name for frame in found.frames] == ["0001.png", "0006.png", "0011.png"]
    assert cameras[0].fx != cameras[2].fx and not np.allclose(cameras[0].position, cameras[1].position)
    for number, camera in zip((1, 6, 11), cameras, strict=True):
        scene.frame_set(number)
        pixels, depth = project(camera, CUBE)
        assert (depth > 0).all() and (camera.width, camera.height) == (123, 191)
        assert np.abs(pixels - blender_pixels(scene, thing, CUBE / unit)).max() < 0.01
    assert [file.name for file in tmp_path.iterdir()] == ["path.json"]


def add_result(scene, foot, matrix=None, scale="unknown", up=(0.0, 0.0, 1.0)):
    """An object as an import makes it: its origin is the foot of what was captured."""
    shown = bpy.data.objects.new("chair", None)
    scene.collection.objects.link(shown)
    low, high = np.array(foot) - [0.5, 0.5, 0], np.array(foot) + [0.5, 0.5, 1]
    tag(shown, "result", low=low.tolist(), high=high.tolist(), scale=scale, turn=uprighted(up).ravel().tolist())
    shown.matrix_world = Matrix.Translation(np.array(foot) / scene.unit_settings.scale_length) if matrix is None else matrix
    return shown


@pytest.mark.parametrize("unit, up", [(1.0, (0.0, 0.0, 1.0)), (0.01, (0.0, 0.0, 1.0)), (1.0, (0.6, -0.8, 0.0))])
def test_a_placed_result_is_seen_as_in_the_scene(scene, flying, tmp_path, unit, up):
    thing = flying(unit)
    unit = scene.unit_settings.scale_length
    foot = np.array([40.0, -7.0, 2.0])
    matrix = Matrix.LocRotScale((0.4 / unit, -0.3 / unit, 0.1 / unit), Euler((0.2, 0.1, 2.0)), (2.5, 2.5, 2.5))
    shown = add_result(scene, foot, matrix, up=up)
    export_path(scene, tmp_path / "path.json", 1, 11, 10, result=shown)
    found, cameras = read(tmp_path / "path.json")
    assert found.scale == "unknown"
    captured = foot + CUBE / 3
    # An import's vertices are relative to the foot, in the scene's unit.
    world = (captured - foot) / unit @ np.array(matrix)[:3, :3].T + np.array(matrix)[:3, 3]
    for number, camera in zip((1, 11), cameras, strict=True):
        scene.frame_set(number)
        pixels, depth = project(camera, captured @ uprighted(up))
        assert (depth > 0).all()
        assert np.abs(pixels - blender_pixels(scene, thing, world)).max() < 0.01


def test_a_result_where_it_was_captured_changes_nothing(scene, flying, tmp_path):
    flying()
    export_path(scene, tmp_path / "plain.json", 1, 11)
    export_path(scene, tmp_path / "seen.json", 1, 11, result=add_result(scene, (4.0, 5.0, -1.0), scale="metric"))
    for a, b in zip(read(tmp_path / "plain.json")[1], read(tmp_path / "seen.json")[1], strict=True):
        np.testing.assert_allclose(a.camera_to_world, b.camera_to_world, atol=1e-6)
    assert read(tmp_path / "seen.json")[0].scale == "metric"


def test_markers_switch_the_camera(scene, add_camera, tmp_path):
    first, second = add_camera("First", (0, -5, 0)), add_camera("Second", (3, -5, 0))
    scene.camera = first
    for frame, thing in ((1, first), (3, second)):
        scene.timeline_markers.new(thing.name, frame=frame).camera = thing
    export_path(scene, tmp_path / "path.json", 1, 4)
    assert [camera.position[0] for camera in read(tmp_path / "path.json")[1]] == [0, 0, 3, 3]
    assert scene.camera == first


def test_what_is_wrong_is_said_and_nothing_is_written(scene, add_camera, tmp_path):
    file = tmp_path / "path.json"
    with pytest.raises(UserError, match="no camera"):
        export_path(scene, file, 1, 3)
    scene.camera = add_camera("Plan view", type="ORTHO")
    scene.frame_set(7)
    with pytest.raises(UserError, match="Plan view is orthographic"):
        export_path(scene, file, 1, 3)
    assert scene.frame_current == 7
    scene.camera = add_camera("Eye")
    with pytest.raises(UserError, match="no frames from 3 to 1"):
        export_path(scene, file, 3, 1)
    for scale in ((1, 2, 1), (-1, 1, 1), (0, 0, 0)):
        with pytest.raises(UserError, match="chair"):
            export_path(scene, file, 1, 1, result=add_result(scene, (0, 0, 0), Matrix.LocRotScale(None, None, scale)))
        bpy.data.objects.remove(bpy.data.objects["chair"])
    for text in ("the user's", "[]", '{"frames": []}', '{"source": "blender", "frames": []}'):
        file.write_text(text)
        with pytest.raises(UserError, match="no camera path of Reconstruct"):
            export_path(scene, file, 1, 3)
        assert file.read_text() == text
    file.unlink()
    for _ in range(2):
        assert export_path(scene, file, 1, 3) == 3, "one of ours is replaced"
    file.unlink()
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match="cameras of a capture"):
        export_path(scene, tmp_path / "transforms.json", 1, 3)
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken"):
        export_path(scene, tmp_path / "taken" / "path.json", 1, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "taken"]


@pytest.fixture
def registered():
    root = sys.modules["reconstruct"]
    root.register()
    yield
    root.unregister()


def test_the_button(scene, registered, add_camera, tmp_path, capfd):
    export = bpy.ops.reconstruct.export_camera_path
    assert not export.poll()
    with pytest.raises(RuntimeError, match="no active camera"):
        export(filepath=str(tmp_path / "path.json"))
    scene.camera = add_camera(turn=(math.pi / 2, 0, 0))
    scene.frame_start, scene.frame_end, scene.frame_step = 10, 20, 5
    assert export(filepath=str(tmp_path / "path.json")) == {"FINISHED"}
    assert [frame.name for frame in read(tmp_path / "path.json")[0].frames] == ["0010.png", "0015.png", "0020.png"]
    assert export(filepath=str(tmp_path / "one.json"), first=3, last=4, step=1) == {"FINISHED"}
    assert len(json.loads((tmp_path / "one.json").read_text())["frames"]) == 2
    told = capfd.readouterr().out
    assert f"{tmp_path / 'one.json'}: 2 views" in told and "no result is imported" in told
    first, _ = add_result(scene, (0, 0, 0)), add_result(scene, (9, 0, 0))
    with pytest.raises(RuntimeError, match="2 imported results"):
        export(filepath=str(tmp_path / "path.json"))
    bpy.context.view_layer.objects.active = first
    assert export(filepath=str(tmp_path / "path.json")) == {"FINISHED"}
    assert f"relative to {first.name}" in capfd.readouterr().out
    scene.camera.data.type = "ORTHO"
    with pytest.raises(RuntimeError, match="orthographic"):
        export(filepath=str(tmp_path / "path.json"))
