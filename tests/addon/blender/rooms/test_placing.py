# SPDX-License-Identifier: GPL-3.0-or-later
"""Results in a room, and the picture of it."""

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector
from reconstruct.addon.blender.capture.cameras import add_cameras
from reconstruct.addon.blender.results.looks import look_object
from reconstruct.addon.blender.results.parts import POINTS, RADIUS, Part, values_of
from reconstruct.addon.blender.rooms.building import build_room, frame_camera
from reconstruct.addon.blender.rooms.placing import place
from reconstruct.addon.blender.rooms.rendering import render_picture
from reconstruct.addon.blender.tagging import kind_of, tag, tagged
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.settings import CaptureSettings, PlaceSettings, RenderSettings


@pytest.fixture
def scene():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return bpy.context.scene


def block(scene, low=(2.0, 3.0, 1.0), high=(3.0, 5.0, 2.5), unit=1.0):
    """A red block of points that was captured between two corners, in meters."""
    rng = np.random.default_rng(0)
    low, high = np.array(low), np.array(high)
    foot = np.array([*(low + high)[:2] / 2, low[2]])
    points = (rng.uniform(low, high, (5000, 3)) - foot) / unit
    radii = {RADIUS: ("FLOAT", np.full(5000, 0.04 / unit))}
    made = look_object("block", [Part(POINTS, points, np.tile([0.8, 0.02, 0.02], (5000, 1)), attributes=radii)], ["points"])
    made.location = foot / unit
    tag(made, "result", low=low.tolist(), high=high.tolist(), scale="metric")
    scene.collection.objects.link(made)
    return made


def captured(scene, positions, low, high):
    """Points that a capture saw, whose box is known."""
    low, high = np.array(low), np.array(high)
    foot = np.array([*(low + high)[:2] / 2, low[2]])
    colors, radii = np.full((len(positions), 3), 0.5), {RADIUS: ("FLOAT", np.full(len(positions), 0.02))}
    made = look_object("captured", [Part(POINTS, positions - foot, colors, attributes=radii)], ["points"])
    made.location = foot
    tag(made, "result", origin=foot.tolist(), unit=1.0, bounds=[*low.tolist(), *high.tolist()], scale="metric")
    scene.collection.objects.link(made)
    return made


def built_floor(scene):
    floor = next(item for item in scene.objects if kind_of(item) == "room" and item.name.startswith("Floor"))
    return min(vertex.co.z for vertex in floor.data.vertices)


def test_the_floor_of_a_captured_room_lies_above_the_one_that_is_built(scene):
    rng = np.random.default_rng(0)
    box = (np.array([-3.0, -2.0, 0.0]), np.array([3.0, 2.0, 2.5]))
    floor = rng.uniform(*box, (4000, 3)) * (1, 1, 0) + (0, 0, 1) * rng.uniform(-0.3, 0.02, (4000, 1))
    walls = rng.uniform(*box, (4000, 3))
    walls[:, 0] = np.sign(walls[:, 0]) * 3.0
    room = captured(scene, np.concatenate([floor, walls]), *box)
    place([room], PlaceSettings(room=True))
    assert -0.32 < built_floor(scene) < -0.2 and np.array(room.matrix_world)[2, 3] == pytest.approx(0, abs=1e-5)
    bpy.data.objects.remove(room)
    # A table stands on the floor that is built.
    legs = rng.uniform(-0.03, 0.03, (2000, 3)) * (1, 1, 0) + rng.choice([-0.5, 0.5], (2000, 2)) @ np.eye(2, 3)
    legs[:, 2] = rng.uniform(-0.01, 0.7, 2000)
    top = rng.uniform((-0.5, -0.5, 0.68), (0.5, 0.5, 0.72), (3000, 3))
    place([captured(scene, np.concatenate([legs, top]), (-0.53, -0.53, 0.0), (0.53, 0.53, 0.72))], PlaceSettings(room=True))
    assert built_floor(scene) == 0.0


def corners(made, unit=1.0):
    bpy.context.view_layer.update()
    matrix = np.array(made.matrix_world)
    points = (values_of(made.data, "position") @ matrix[:3, :3].T + matrix[:3, 3]) * unit
    return points.min(axis=0), points.max(axis=0)


@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_the_lowest_part_stands_on_the_floor_at_the_location(scene, unit):
    scene.unit_settings.scale_length = unit
    made = block(scene, unit=unit)
    settings = PlaceSettings(location=(-1.0, 0.5, 7.0), on_floor=True, rotation=90.0, known_length=4.0)
    for _ in range(2):
        place([made], settings)
        low, high = corners(made, unit)
        np.testing.assert_allclose(low, (-3.0, -0.5, 0.0), atol=0.01)
        np.testing.assert_allclose(high, (1.0, 1.5, 3.0), atol=0.01)


def test_nothing_asked_for_moves_nothing(scene):
    made, other = block(scene), block(scene)
    made.location, made.rotation_euler = (9, 9, 9), (0.3, 0.2, 1.0)
    bpy.context.view_layer.update()
    before = np.array(made.matrix_world)
    place([made], PlaceSettings())
    np.testing.assert_allclose(np.array(made.matrix_world), before, atol=1e-5)
    # Duplicates that were spread out and turned stay so on the floor.
    made.rotation_euler = (0, 0, np.pi / 2)
    place([made, other], PlaceSettings(on_floor=True))
    np.testing.assert_allclose(corners(made), [(8, 8.5, 0), (10, 9.5, 1.5)], atol=0.02)
    np.testing.assert_allclose(corners(other), [(2, 3, 0), (3, 5, 1.5)], atol=0.02)


def test_only_results_are_moved(scene):
    made, own = block(scene), bpy.data.objects.new("Own", None)
    own.location = (1, 2, 3)
    place([own, made], PlaceSettings(on_floor=True))
    assert tuple(own.location) == (1, 2, 3) and corners(made)[0][2] == pytest.approx(0, abs=0.01)
    with pytest.raises(UserError, match="no imported result"):
        place([own], PlaceSettings())


@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_a_room_is_built_once_at_its_size_and_nothing_else_is_deleted(scene, unit):
    scene.unit_settings.scale_length = unit
    build_room(scene, (5.0, 4.0, 2.5))
    room = next(item for item in scene.collection.children if kind_of(item) == "room")
    own = bpy.data.objects.new("Own", None)
    room.objects.link(own)
    parts = build_room(scene, (6.0, 4.0, 2.5))
    assert sum(kind_of(item) == "room" for item in scene.objects) == len(parts) and own.name in scene.objects
    walls = next(item for item in parts if item.name.startswith("Walls"))
    np.testing.assert_allclose(np.array(walls.dimensions) * unit, (6, 4, 2.5), rtol=1e-6)
    middle = np.array([0, 0, 1.25]) / unit
    for part in parts:
        for face in part.data.polygons if part.type == "MESH" else ():
            assert np.dot(np.array(face.normal), middle - np.array(face.center)) > 0, f"{part.name} is turned outwards"


def test_what_stands_in_the_old_room_stays(scene):
    build_room(scene, (5.0, 4.0, 2.5))
    room = next(item for item in scene.collection.children if kind_of(item) == "room")
    floor = next(item for item in room.objects if item.name.startswith("Floor"))
    rug, both, group = floor.copy(), bpy.data.objects.new("Both", None), bpy.data.collections.new("Group")
    group.objects.link(bpy.data.objects.new("Chair", None))
    for item in (rug, both):
        room.objects.link(item)
    scene.collection.objects.link(both)
    room.children.link(group)
    rug = rug.name
    build_room(scene, (6.0, 4.0, 2.5))
    assert {rug, "Both", "Chair"} <= {item.name for item in scene.objects}
    assert sum(kind_of(item) == "room" for item in scene.collection.children) == 1


def test_an_unknown_scale_asks_for_a_length(scene):
    made = block(scene)
    tag(made, **(tagged(made) | {"scale": "unknown"}))
    with pytest.raises(UserError, match="real length"):
        place([made], PlaceSettings(on_floor=True))
    place([made], PlaceSettings(on_floor=True, known_length=4.0))
    assert np.ptp(corners(made), axis=0).max() == pytest.approx(4.0, abs=0.02)
    # It is known from now on.
    place([made], PlaceSettings(location=(1.0, 1.0, 0.0)))
    assert np.ptp(corners(made), axis=0).max() == pytest.approx(4.0, abs=0.02)


def test_results_are_not_put_into_one_another(scene):
    pair = [block(scene), block(scene)]
    for settings in (PlaceSettings(room=True), PlaceSettings(location=(0.0, 0.0, 0.0))):
        with pytest.raises(UserError, match="2 results"):
            place(pair, settings)
    place(pair, PlaceSettings(on_floor=True))


def pixels(file):
    image = bpy.data.images.load(str(file))
    width, height = image.size
    flat = np.empty(width * height * 4, dtype=np.float32)
    image.pixels.foreach_get(flat)
    return flat.reshape(height, width, 4)[::-1]


@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_the_picture_shows_the_result_in_a_lit_room(scene, tmp_path, unit):
    scene.unit_settings.scale_length = unit
    made = block(scene, unit=unit)
    place([made], PlaceSettings(room=True, room_size=(6.0, 6.0, 2.8)))
    assert corners(made, unit)[0] == pytest.approx((-0.5, -1.0, 0.0), abs=0.01)
    file = tmp_path / "picture.png"
    render_picture(scene, file, RenderSettings(width=64, height=48, samples=4))
    shown = pixels(file)
    assert shown.shape == (48, 64, 4) and scene.camera is not None
    red = (shown[..., 0] > 0.7) & (shown[..., 1] < 0.3)
    assert red.mean() > 0.03 and red[24:].sum() > red[:12].sum()
    # Colors of results are those of the file under Standard: 0.8 in linear light is 0.906.
    np.testing.assert_allclose(np.median(shown[red], axis=0)[:2], (0.906, 0.151), atol=0.03)
    others = shown[~red][:, :3]
    assert 0.25 < others.mean() < 0.9 and (others > 0.05).all(axis=1).mean() > 0.97


@pytest.fixture
def kitchen(scene):
    """A room of the user's, 5 × 4 × 2.6 m, whose floor is at height 0, with a cupboard in it and no camera."""
    for low, high in (((-2.5, -2, 0), (2.5, 2, 2.6)), ((0.6, 1.3, 0), (2.4, 1.95, 1.9))):
        bpy.ops.mesh.primitive_cube_add(size=1)
        box = bpy.context.object
        box.location, box.scale = (np.array(low) + high) / 2, np.subtract(high, low)
    return scene


def inside(camera, low=(-2.5, -2, 0), high=(2.5, 2, 2.6)):
    bpy.context.view_layer.update()
    place = np.array(camera.matrix_world.translation)
    return bool((place > low).all() and (place < high).all())


@pytest.mark.parametrize("size", ["none", "furniture", "room"])
def test_a_camera_of_a_walled_room_is_inside_and_sees_the_result(kitchen, size):
    corners = {"furniture": ((-2.2, -1.8, 0), (-1.4, -1.0, 0.8)), "room": ((-2.5, -2, 0), (2.5, 2, 2.6))}
    made = [block(kitchen, *corners[size])] if size != "none" else []
    camera = frame_camera(kitchen, made)
    assert kitchen.camera == camera and inside(camera) and camera.matrix_world.translation.z > 1.1
    assert camera.matrix_world.to_3x3().col[1].z > 0.7, "upright"
    if made:
        points = values_of(made[0].data, "position") + np.array(made[0].location)
        seen = np.array([world_to_camera_view(kitchen, camera, Vector(point)) for point in points[:300]])
        shown = ((seen[:, :2] > 0) & (seen[:, :2] < 1)).all(axis=1) & (seen[:, 2] > 0)
        assert shown.mean() > (0.95 if size == "furniture" else 0.4)


def test_cameras_that_are_there_are_used_the_users_first(kitchen):
    made = [block(kitchen)]
    add_cameras(kitchen, CaptureSettings(rig="room", views=4))
    assert kitchen.camera is None and frame_camera(kitchen, made).name == "room_000" and len(kitchen.objects) == 7
    for name in ("Window", "Hidden"):
        kitchen.camera = None
        own = bpy.data.objects.new(name, bpy.data.cameras.new(name))
        kitchen.collection.objects.link(own)
        own.hide_render = name == "Hidden"
        assert frame_camera(kitchen, made).name == "Window"


def test_a_marker_does_not_take_the_named_cameras_place(scene, tmp_path):
    block(scene, (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5))
    for name, turn in (("Front", 0.0), ("Away", np.pi)):
        camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
        camera.location, camera.rotation_euler = (0.0, -3.0, 0.0), (np.pi / 2, 0.0, turn)
        scene.collection.objects.link(camera)
    marker = scene.timeline_markers.new("Cut", frame=scene.frame_current)
    marker.camera = bpy.data.objects["Away"]
    file = tmp_path / "picture.png"
    render_picture(scene, file, RenderSettings(width=32, height=24, samples=1, camera="Front"))
    assert pixels(file)[12, 16, 0] > 0.7 and marker.camera == bpy.data.objects["Away"]


def test_an_unknown_camera_or_place_is_refused(scene, tmp_path):
    with pytest.raises(UserError, match="'Eye'"):
        render_picture(scene, tmp_path / "picture.png", RenderSettings(camera="Eye"))
    with pytest.raises(UserError, match=r"ends in \.png"):
        render_picture(scene, tmp_path / "picture.jpg", RenderSettings())
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"picture\.png"):
        render_picture(scene, tmp_path / "file" / "picture.png", RenderSettings(width=16, height=16, samples=1))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_the_camera_sees_a_result_of_any_scale(scene, size, unit):
    scene.unit_settings.scale_length = unit
    made = block(scene, size * np.array([2.0, 3.0, 1.0]), size * np.array([3.0, 5.0, 2.5]), unit)
    bpy.context.view_layer.update()
    camera = frame_camera(scene, [made])
    bpy.context.view_layer.update()
    pose = np.array(camera.matrix_world)
    depths = (np.array(corners(made, unit)) / unit - pose[:3, 3]) @ -pose[:3, 2]
    assert camera.data.clip_start < np.median(np.abs(depths)) / 10 and depths.max() < camera.data.clip_end
    if size <= 1:
        assert 0 < depths.min() and depths.max() * unit < 8 * size and camera.data.clip_start < depths.min()
