# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras are read as Blender renders them, to 0.01 px."""

import dataclasses
import itertools
import math
import unicodedata

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Vector
from reconstruct.addon.blender.capture import cameras, passes, views
from reconstruct.engine.cameras import project
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.settings import CaptureSettings

CUBE = np.array(list(itertools.product((-0.6, 0.6), (-0.6, 0.6), (-0.5, 0.5))))
FIVE_KM = np.array([3000.0, -4000.0, 120.0])


def blender_pixels(scene, thing, points):
    """Where Blender's own camera matrix puts world points (in the scene's unit)."""
    depsgraph = scene.view_layers[0].depsgraph
    render = scene.render
    width, height = (int(side) * render.resolution_percentage // 100 for side in (render.resolution_x, render.resolution_y))
    window = np.array(
        thing.calc_matrix_camera(depsgraph, x=width, y=height, scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y), dtype=float
    )
    world = np.array(thing.matrix_world, dtype=float)
    world[:3, :3] /= np.linalg.norm(world[:3, :3], axis=0)
    view = (points - world[:3, 3]) @ world[:3, :3]
    clip = np.c_[view, np.ones(len(view))] @ window.T
    shares = clip[:, :2] / clip[:, 3:]
    return np.stack([(shares[:, 0] + 1) / 2 * width, (1 - shares[:, 1]) / 2 * height], axis=1)


@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize("size", [(640, 480), (333, 517)])
@pytest.mark.parametrize("aspect", [(1.0, 1.0), (1.0, 1.7), (2.1, 1.0)])
@pytest.mark.parametrize("percentage", [100, 37])
@pytest.mark.parametrize("unit", [1.0, 0.01])
@pytest.mark.parametrize("place", [np.zeros(3), FIVE_KM], ids=["near", "5 km"])
def test_corners_of_a_cube_land_where_blender_puts_them(scene, add_camera, fit, size, aspect, percentage, unit, place):
    thing = add_camera(
        location=(2.0 / unit, -3.0 / unit, 1.5 / unit),
        turn=(1.2, 0.1, 0.6),
        lens=31.0,
        sensor_fit=fit,
        sensor_width=36.0,
        sensor_height=21.0,
        shift_x=0.13,
        shift_y=-0.21,
    )
    parent = bpy.data.objects.new("Parent", None)
    scene.collection.objects.link(parent)
    parent.location, parent.scale = place / unit, (2.5, 2.5, 2.5)
    thing.parent = parent
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.resolution_percentage = percentage
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = aspect
    scene.unit_settings.scale_length = unit
    # Blender keeps 32 bits of it, which is a tenth of a millimeter in 5 km.
    unit = scene.unit_settings.scale_length
    camera = cameras.read_camera(scene, thing)
    points = np.array(thing.matrix_world.translation) * unit + CUBE - 6.0 * np.array(thing.matrix_world.col[2][:3]) / 2.5
    pixels, depth = project(camera, points)
    assert (depth > 0).all()
    assert np.abs(pixels - blender_pixels(scene, thing, points / unit)).max() < 0.01
    assert np.allclose(camera.camera_to_world[:3, :3].T @ camera.camera_to_world[:3, :3], np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    "lens, aspect, unit, place, parent_scale",
    [
        ({"sensor_fit": "VERTICAL", "sensor_height": 20.0, "shift_x": 0.2, "shift_y": 0.1}, (1.0, 1.5), 1.0, np.zeros(3), (1, 1, 1)),
        ({"sensor_fit": "AUTO", "shift_x": -0.1, "shift_y": 0.15}, (1.3, 1.0), 0.01, np.zeros(3), (3, 3, 3)),
        ({"sensor_fit": "HORIZONTAL"}, (1.0, 1.0), 1.0, FIVE_KM, (1, 1, 1)),
        # A turned camera below an unevenly scaled parent is sheared; what is rendered has to fit all the same.
        ({"sensor_fit": "AUTO"}, (1.0, 1.0), 1.0, np.zeros(3), (1, 1.8, 0.6)),
    ],
    ids=["vertical, aspect, shift", "centimeters, scaled parent", "5 km", "sheared"],
)
def test_a_render_shows_a_square_where_it_is_projected(scene, add_camera, add_mesh, tmp_path, lens, aspect, unit, place, parent_scale):
    thing = add_camera(location=(0.4, -0.3, 0.2), turn=(1.3, 0.0, 0.4), lens=35.0, **lens)
    parent = bpy.data.objects.new("Parent", None)
    scene.collection.objects.link(parent)
    parent.location, parent.scale = place / unit, parent_scale
    thing.parent = parent
    scene.unit_settings.scale_length = unit
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = aspect
    settings = CaptureSettings(width=72, height=54, samples=96)
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 72, 54, 100
    camera = cameras.read_camera(scene, thing)
    # A square parallel to the picture, so that its middle is the middle of what is seen.
    half = 0.25
    matrix = camera.camera_to_world.copy()
    depth = 3.0
    across = ((camera.width * 0.55 - camera.cx) / camera.fx, (camera.cy - camera.height * 0.45) / camera.fy)
    matrix[:3, 3] += camera.camera_to_world[:3, :3] @ np.array([across[0] * depth, across[1] * depth, -depth])
    square = add_mesh("Square", [(-half, -half, 0), (half, -half, 0), (half, half, 0), (-half, half, 0)], [(0, 1, 2, 3)], (1.0, 1.0, 1.0))
    matrix[:3, 3] /= unit
    square.matrix_world = Matrix(matrix) @ Matrix.Scale(1 / unit, 4)
    bpy.context.view_layer.update()
    with passes.studio(scene, settings) as studio:
        shot, _ = studio.shoot(camera.camera_to_world, thing.data, 1, tmp_path / "view.png")
    alpha = passes.read_pixels(tmp_path / "view.png")[..., 3]
    rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]] + 0.5
    seen = np.array([(columns * alpha).sum(), (rows * alpha).sum()]) / alpha.sum()
    expected, _ = project(shot, np.array(square.matrix_world.translation)[None] * unit)
    assert np.abs(seen - expected[0]).max() < 0.05
    area = (2 * half / depth) ** 2 * shot.fx * shot.fy
    assert alpha.sum() == pytest.approx(area, rel=0.01)


@pytest.mark.parametrize("kind", ["ORTHO", "PANO"])
def test_other_cameras_are_refused_by_name(scene, add_camera, kind):
    thing = add_camera("Plan view", type=kind)
    with pytest.raises(UserError, match="Plan view"):
        cameras.read_camera(scene, thing)


def test_a_flat_camera_is_refused_by_name(scene, add_camera):
    thing = add_camera("Flat")
    thing.scale = (0, 0, 0)
    with pytest.raises(UserError, match="Flat"):
        cameras.read_camera(scene, thing)


def test_cameras_of_hidden_and_of_excluded_collections(scene, add_camera):
    thing, group = add_camera("Eye"), bpy.data.collections.new("Group")
    scene.collection.children.link(group)
    group.objects.link(thing)
    scene.collection.objects.unlink(thing)
    assert cameras.scene_cameras(scene) == [thing]
    scene.view_layers[0].layer_collection.children["Group"].exclude = True
    with pytest.raises(UserError, match="camera Eye is excluded"):
        cameras.read_camera(scene, thing)
    group.hide_render = True
    with pytest.raises(UserError, match="no camera"):
        cameras.scene_cameras(scene)


def test_the_field_of_view_is_across_the_picture(scene, add_mesh):
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    settings = CaptureSettings(rig="room", views=3, width=100, height=300, field_of_view=60.0)
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 100, 300, 100
    camera = cameras.read_camera(scene, cameras.add_cameras(scene, settings)[0])
    assert 2 * math.degrees(math.atan(50 / camera.fx)) == pytest.approx(60.0, abs=1e-3)


def test_only_our_cameras_are_replaced_and_removed(scene, add_camera, add_mesh):
    mine = add_camera("room_000")
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    add = CaptureSettings(rig="room", views=4)
    assert len(cameras.add_cameras(scene, add)) == 4
    assert len(cameras.add_cameras(scene, add)) == 4
    assert sum(thing.type == "CAMERA" for thing in scene.objects) == 5
    friend = bpy.data.objects.new("Note", None)
    next(c for c in scene.collection.children if c.name == cameras.COLLECTION).objects.link(friend)
    cameras.remove_cameras(scene)
    assert [thing for thing in scene.objects if thing.type == "CAMERA"] == [mine]
    assert friend.name in scene.objects
    assert len(bpy.data.cameras) == 1


@pytest.mark.parametrize("linked", [False, True], ids=["Shift+D", "Alt+D"])
def test_a_duplicate_of_an_added_camera_is_the_users(scene, add_mesh, linked):
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    settings = CaptureSettings(rig="room", views=3)
    made = cameras.add_cameras(scene, settings)
    mine = made[0].copy()
    if not linked:
        mine.data = mine.data.copy()
    mine.location = (1.0, 2.0, 3.0)
    made[0].users_collection[0].objects.link(mine)
    name, lens = mine.name, mine.data.name
    for views_wanted in (3, 4):
        cameras.add_cameras(scene, dataclasses.replace(settings, views=views_wanted))
        assert scene.objects[name].location[:] == (1.0, 2.0, 3.0) and scene.objects[name].data.name == lens
        assert sum(thing.type == "CAMERA" for thing in scene.objects) == views_wanted + 1
        assert [c.name for c in scene.collection.children] == [cameras.COLLECTION]
    # It lies among the rig's, and is captured with them.
    with views.planned(scene, dataclasses.replace(settings, views=4)) as plan:
        assert len(plan.views) == 5
    cameras.remove_cameras(scene)
    assert [thing.name for thing in scene.objects if thing.type == "CAMERA"] == [name]


def test_a_duplicate_of_the_collection_is_the_users(scene, add_mesh):
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    settings = CaptureSettings(rig="room", views=3)
    cameras.add_cameras(scene, settings)
    own = scene.collection.children[0]
    mine = own.copy()
    for thing in own.objects.values():
        mine.objects.unlink(thing)
        mine.objects.link(thing.copy())
    scene.collection.children.link(mine)
    names = {thing.name for thing in mine.objects}
    cameras.add_cameras(scene, settings)
    assert {thing.name for thing in mine.objects} == names
    with views.planned(scene, settings) as plan:
        assert len(plan.views) == 3
    cameras.remove_cameras(scene)
    assert mine in scene.collection.children.values() and {thing.name for thing in mine.objects} == names


def test_cameras_added_with_other_settings_are_not_ignored_silently(scene, add_mesh):
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    settings = CaptureSettings(rig="room", views=3)
    other = dataclasses.replace(settings, eye_height=1.2)
    assert not cameras.ignores_shown_cameras(scene, settings)
    cameras.add_cameras(scene, settings)
    assert not cameras.ignores_shown_cameras(scene, settings) and cameras.ignores_shown_cameras(scene, other)
    assert not cameras.ignores_shown_cameras(scene, dataclasses.replace(settings, rig="scene"))
    with views.planned(scene, settings) as plan:
        assert not plan.notes
    with views.planned(scene, other) as plan:
        assert "Show Cameras" in " ".join(plan.notes)


def walk(thing, frames, turn=0.2):
    for frame in frames:
        thing.location = (3 * math.cos(turn * frame), 3 * math.sin(turn * frame), 1.0)
        thing.keyframe_insert("location", frame=frame)


@pytest.fixture
def stroll(scene, add_camera, add_mesh):
    """A camera that walks for 30 frames, seen at frame 7."""
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    thing = add_camera("Walk")
    walk(thing, range(1, 31))
    scene.frame_start, scene.frame_end = 1, 30
    scene.frame_set(7, subframe=0.5)
    return thing


def test_frames_of_an_animated_camera_are_views(scene, stroll, add_camera):
    still = add_camera("Still", location=(0.0, -5.0, 1.0))
    scene.timeline_markers.new("Cut", frame=3).camera = still
    scene.camera = stroll
    before = np.array(stroll.matrix_world)
    with views.planned(scene, CaptureSettings(rig="scene")) as plan:
        assert [view.name for view in plan.views] == ["Still", *(f"Walk_{frame:04d}" for frame in range(1, 31))]
        for frame, view in enumerate(plan.views[1:], 1):
            assert np.allclose(view.pose[:3, 3], (3 * math.cos(0.2 * frame), 3 * math.sin(0.2 * frame), 1.0), atol=1e-5)
        assert "Walk" in plan.notes[0] and "30" in plan.notes[0] and "Still" not in " ".join(plan.notes)
    assert (scene.frame_current, scene.frame_subframe, scene.camera) == (7, 0.5, stroll)
    assert np.array_equal(np.array(stroll.matrix_world), before)


def test_every_nth_frame_is_a_view_where_there_are_more_than_wanted(scene, stroll):
    with views.planned(scene, CaptureSettings(rig="scene", views=12)) as plan:
        assert [view.name for view in plan.views] == [f"Walk_{frame:04d}" for frame in range(1, 31, 3)]


@pytest.mark.parametrize("how", ["parent", "constraint", "driver", "lens"])
def test_a_camera_that_follows_is_animated_too(scene, stroll, add_camera, how):
    other = add_camera("Other")
    if how == "parent":
        other.parent = stroll
    elif how == "constraint":
        other.constraints.new("COPY_LOCATION").target = stroll
    elif how == "driver":
        other.driver_add("location", 0).driver.expression = "frame / 10"
    else:
        for frame in range(1, 31):
            other.data.lens = 20.0 + frame
            other.data.keyframe_insert("lens", frame=frame)
    scene.collection.objects.unlink(stroll)
    count = len(bpy.data.cameras)
    with views.planned(scene, CaptureSettings(rig="scene")) as plan:
        assert len(plan.views) == 30
        lens, at_end = plan.views[-1].lens, plan.views[-1].pose[:3, 3]
        if how == "lens":
            assert lens.lens == 50.0 and lens.animation_data is None
        elif how != "driver":
            assert np.allclose(at_end, (3 * math.cos(6.0), 3 * math.sin(6.0), 1.0), atol=1e-5)
    assert len(bpy.data.cameras) == count


def test_an_animation_in_which_the_camera_rests_gives_one_view(scene, add_mesh, add_camera):
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    thing = add_camera("Still")
    walk(thing, (1, 30), turn=0.0)
    with views.planned(scene, CaptureSettings(rig="scene")) as plan:
        assert [view.name for view in plan.views] == ["Still"] and not plan.notes


def test_the_frame_is_put_back_also_after_an_error(scene, stroll):
    lens = stroll.data
    for frame, kind in ((1, "PERSP"), (20, "ORTHO")):
        lens.type = kind
        lens.keyframe_insert("type", frame=frame)
    scene.frame_set(7)
    with pytest.raises(UserError, match="orthographic"), views.planned(scene, CaptureSettings(rig="scene")):
        pass
    assert scene.frame_current == 7 and len(bpy.data.cameras) == 1


def test_added_cameras_are_captured_where_the_user_moved_them(scene, add_mesh):
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    settings = CaptureSettings(rig="room", views=3)
    made = cameras.add_cameras(scene, settings)
    made[1].location = (7.0, 8.0, 9.0)
    with views.planned(scene, settings) as plan:
        assert np.allclose(plan.views[1].pose[:3, 3], (7.0, 8.0, 9.0))
    with views.planned(scene, CaptureSettings(rig="room", views=4)) as plan:
        assert len(plan.views) == 4


def test_names_of_cameras_become_safe_file_names(scene, add_camera, add_mesh):
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    given = ("../../etc", "a/b:c", "Küche", "küche", "Ku\u0308che", "...", "\U0001f6cb\ufe0f", "\U0001f6cb", "沙发", "con", "Com1.x", "a ")
    for name in given:
        add_camera(name)
    with views.planned(scene, CaptureSettings(rig="scene")) as plan:
        names = [view.name for view in plan.views]
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(given)
    assert not any(set(name) & set('/\\:*?"<>| ') or name.startswith(".") or name.endswith(".") for name in names)
    assert not any(ord(letter) > 0xFFFF for name in names for letter in name)
    assert not any(name.lower().split(".")[0] in ("con", "com1") for name in names)
    assert "沙发" in names


def test_long_names_leave_room_for_a_suffix():
    names = views.file_names(["沙发" * 60, "沙发" * 61, "x" * 300])
    assert len(set(names)) == 3 and all(len(name.encode()) < 160 for name in names)


def test_no_camera_and_nothing_to_see(scene, add_camera, add_mesh):
    with pytest.raises(UserError, match="[Nn]othing"), views.planned(scene, CaptureSettings(rig="room")):
        pass
    thing = add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    with pytest.raises(UserError, match="no camera"), views.planned(scene, CaptureSettings(rig="scene")):
        pass
    with pytest.raises(UserError, match="Wardrobe"), views.planned(scene, CaptureSettings(rig="orbit", orbit_object="Wardrobe")):
        pass
    thing.hide_render = True
    add_camera()
    with pytest.raises(UserError, match="[Nn]othing"), views.planned(scene, CaptureSettings(rig="scene")):
        pass


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_a_rig_cuts_nothing_off_whatever_the_size(scene, size, unit):
    """A ring, a chair, and furniture of a file in millimeters that was read as meters."""
    bpy.ops.mesh.primitive_cube_add(size=size / unit)
    scene.unit_settings.scale_length = unit
    scene.view_layers[0].update()
    made = cameras.add_cameras(scene, CaptureSettings(rig="orbit", views=6, orbit_object=bpy.context.object.name))
    corners = np.array([bpy.context.object.matrix_world @ Vector(corner) for corner in bpy.context.object.bound_box])
    for thing in made:
        depths = (corners - np.array(thing.matrix_world.translation)) @ -np.array(thing.matrix_world)[:3, 2]
        assert thing.data.clip_start < 0.9 * depths.min() and thing.data.clip_end > depths.max()
