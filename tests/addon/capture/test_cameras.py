# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras are read as Blender renders them, to 0.01 px."""

import itertools
import math

import bpy
import numpy as np
import pytest
from mathutils import Matrix
from reconstruct.addon.capture import cameras, passes
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
    # Blender keeps 32 bits of it, which is a tenth of a millimetre in 5 km.
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
    ids=["vertical, aspect, shift", "centimetres, scaled parent", "5 km", "sheared"],
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


def test_added_cameras_are_captured_where_the_user_moved_them(scene, add_mesh):
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    settings = CaptureSettings(rig="room", views=3)
    made = cameras.add_cameras(scene, settings)
    made[1].location = (7.0, 8.0, 9.0)
    with cameras.stands(scene, settings) as stands:
        assert np.allclose(stands[1].pose[:3, 3], (7.0, 8.0, 9.0))
    with cameras.stands(scene, CaptureSettings(rig="room", views=4)) as stands:
        assert len(stands) == 4


def test_names_of_cameras_become_safe_file_names(scene, add_camera, add_mesh):
    add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    for name in ("../../etc", "a/b:c", "Küche", "küche", "..."):
        add_camera(name)
    with cameras.stands(scene, CaptureSettings(rig="scene")) as stands:
        names = [stand.name for stand in stands]
    assert len({name.lower() for name in names}) == 5
    assert not any(set(name) & set('/\\:*?"<>|') or name.startswith(".") for name in names)


def test_no_camera_and_nothing_to_see(scene, add_camera, add_mesh):
    with pytest.raises(UserError, match="[Nn]othing"), cameras.stands(scene, CaptureSettings(rig="room")):
        pass
    thing = add_mesh("Thing", [(-1, -1, 0), (1, -1, 0), (0, 1, 1)], [(0, 1, 2)])
    with pytest.raises(UserError, match="no camera"), cameras.stands(scene, CaptureSettings(rig="scene")):
        pass
    with pytest.raises(UserError, match="Wardrobe"), cameras.stands(scene, CaptureSettings(rig="orbit", orbit_object="Wardrobe")):
        pass
    thing.hide_render = True
    add_camera()
    with pytest.raises(UserError, match="[Nn]othing"), cameras.stands(scene, CaptureSettings(rig="scene")):
        pass
