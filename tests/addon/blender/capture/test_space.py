# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigs in real scenes: no camera in a wall or a piece of furniture, and none outside of the room."""

import bpy
import numpy as np
import pytest
from mathutils import Vector
from reconstruct.addon.blender.capture import cameras, space, views
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.settings import CaptureSettings

BOX = [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0), (-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)]
SIDES = [(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
CLOSED = [(3, 2, 1, 0), (4, 5, 6, 7), *SIDES]


def scaled(size):
    return [tuple(a * b for a, b in zip(point, size, strict=True)) for point in BOX]


def bounds(scene, name):
    return space.bounds(scene, space.subject(scene, name))


def nearest(scene, place):
    """Distance from a place in meters to the nearest surface of any object, by Blender's own search."""
    layer = scene.view_layers[0]
    layer.update()
    unit, best = scene.unit_settings.scale_length, np.inf
    for thing in scene.objects:
        if thing.type == "MESH":
            evaluated = thing.evaluated_get(layer.depsgraph)
            found, point, _, _ = evaluated.closest_point_on_mesh(thing.matrix_world.inverted() @ (Vector(place) / unit))
            if found:
                best = min(best, (thing.matrix_world @ point - Vector(place) / unit).length * unit)
    return best


@pytest.mark.parametrize("seed", [0, 7])
def test_no_camera_stands_in_the_demo_rooms_walls_or_furniture(demo, seed):
    settings = CaptureSettings(rig="both", views=50, orbit_object="Sofa", seed=seed)
    poses = cameras.plan(demo, settings)
    assert len(poses) == 50
    assert sum(name.startswith("orbit") for name, _ in poses) == round(50 * settings.orbit_share)
    low, high = np.array([-3.0, -3.0, 0.0]), np.array([3.0, 3.0, 3.2])
    for name, pose in poses:
        place = pose[:3, 3]
        assert nearest(demo, place) > 0.3, name
        assert (place > low).all() and (place < high).all(), name


def test_a_room_of_single_walls_without_a_ceiling(scene, add_mesh):
    add_mesh("Floor", scaled((2.5, 2.0, 0.0)), [(0, 1, 2, 3)])
    for index, side in enumerate(SIDES[:3]):
        add_mesh(f"Wall {index}", scaled((2.5, 2.0, 2.6)), [side])
    add_mesh("Cupboard", scaled((0.8, 0.8, 1.9)), CLOSED, location=(1.2, 0.8, 0.0))
    poses = cameras.plan(scene, CaptureSettings(rig="room", views=12))
    assert len(poses) == 12
    for name, pose in poses:
        place = pose[:3, 3]
        assert (np.abs(place[:2]) < (2.5, 2.0)).all() and 1.1 < place[2] < 1.9, name
        assert not (0.4 < place[0] < 2.0 and 0.0 < place[1] < 1.6), name
        assert nearest(scene, place) > 0.3


@pytest.mark.parametrize("unit, offset", [(0.01, (0, 0, 0)), (1.0, (3000.0, -4000.0, 100.0))], ids=["centimeters", "5 km"])
def test_a_room_in_centimeters_or_far_away(scene, add_mesh, unit, offset):
    scene.unit_settings.scale_length = unit
    for name, faces in (("Shell", CLOSED),):
        add_mesh(name, scaled((3.0 / unit, 2.0 / unit, 2.7 / unit)), faces, location=offset)
    poses = cameras.plan(scene, CaptureSettings(rig="room", views=8))
    places = np.array([pose[:3, 3] for _, pose in poses]) - offset
    assert all(name.startswith("room") for name, _ in poses)
    assert (np.abs(places[:, :2]) < (3.0, 2.0)).all()
    assert np.abs(places[:, 2] - 1.5).max() < 0.35


def test_a_small_room_in_a_wide_landscape(scene, add_mesh):
    add_mesh("Ground", scaled((200.0, 200.0, 0.0)), [(0, 1, 2, 3)], location=(0, 0, -0.4))
    add_mesh("House", scaled((3.0, 3.0, 2.7)), CLOSED, location=(50.0, 20.0, 0.0))
    poses = cameras.plan(scene, CaptureSettings(rig="room", views=8))
    places = np.array([pose[:3, 3] for _, pose in poses]) - (50.0, 20.0, 0.0)
    assert (np.abs(places[:, :2]) < 3.0).all()
    assert np.abs(places[:, 2] - 1.5).max() < 0.35


def test_an_object_alone_is_circled(scene, add_mesh):
    add_mesh("Vase", scaled((0.1, 0.1, 0.3)), CLOSED)
    poses = cameras.plan(scene, CaptureSettings(rig="room", views=8))
    middle = np.array([0.0, 0.0, 0.15])
    for _, pose in poses:
        offset = middle - pose[:3, 3]
        assert 0.2 < np.linalg.norm(offset) < 1.0
        assert -pose[:3, 2] @ offset / np.linalg.norm(offset) > 0.999


def test_bounds_of_objects_collections_and_children(scene, add_mesh):
    table = add_mesh("Table", scaled((1.0, 1.0, 0.8)), CLOSED)
    cup = add_mesh("Cup", scaled((0.1, 0.1, 0.1)), CLOSED, location=(0.0, 0.0, 0.8))
    cup.parent = table
    add_mesh("Far", scaled((1.0, 1.0, 1.0)), CLOSED, location=(9.0, 0.0, 0.0))
    low, high = bounds(scene, "Table")
    assert np.allclose(low, (-1, -1, 0)) and np.allclose(high, (1, 1, 0.9))
    group = bpy.data.collections.new("Set")
    scene.collection.children.link(group)
    group.objects.link(cup)
    assert np.allclose(bounds(scene, "Set"), [(-0.1, -0.1, 0.8), (0.1, 0.1, 0.9)])
    bpy.context.view_layer.objects.active = table
    assert np.allclose(bounds(scene, "")[1], (1, 1, 0.9))
    instancer = bpy.data.objects.new("Instance", None)
    instancer.instance_type, instancer.instance_collection, instancer.location = "COLLECTION", group, (0.0, 5.0, 0.0)
    scene.collection.objects.link(instancer)
    assert np.allclose(bounds(scene, "Instance"), [(-0.1, 4.9, 0.8), (0.1, 5.1, 0.9)])


def test_each_instance_has_its_own_shape(scene, add_mesh):
    group = bpy.data.collections.new("Set")
    for index in range(4):
        box = add_mesh(f"Box {index}", scaled((0.1, 0.1, 1.0 + index)), CLOSED, location=(2.0 * index, 0.0, 0.0))
        group.objects.link(box)
        scene.collection.objects.unlink(box)
    instancer = bpy.data.objects.new("Instance", None)
    instancer.instance_type, instancer.instance_collection = "COLLECTION", group
    scene.collection.objects.link(instancer)
    points, _ = space.world_triangles(scene)
    for index in range(4):
        box = points[np.abs(points[:, 0] - 2.0 * index) < 0.5]
        assert box[:, 2].max() == pytest.approx(1.0 + index)


def test_cameras_that_cannot_keep_their_usual_distance_stay_inside(scene, add_mesh):
    add_mesh("Room", scaled((2.0, 2.0, 2.4)), CLOSED)
    poses = cameras.plan(scene, CaptureSettings(rig="room", views=4, eye_height=0.25))
    assert all((np.abs(pose[:2, 3]) < 2.0).all() and 0.1 < pose[2, 3] < 0.35 for _, pose in poses)


def test_a_room_without_free_floor_is_refused_and_not_circled(scene, add_mesh):
    add_mesh("Room", scaled((2.0, 2.0, 2.0)), CLOSED)
    with pytest.raises(UserError, match="no free place"):
        cameras.plan(scene, CaptureSettings(rig="room", views=4, eye_height=2.6))


def test_a_lone_wardrobe_is_circled(scene, add_mesh):
    add_mesh("Wardrobe", scaled((0.6, 0.3, 2.0)), CLOSED).rotation_euler = (0.0, 0.0, 0.7)
    poses = cameras.plan(scene, CaptureSettings(rig="room", views=4))
    assert all(np.linalg.norm(pose[:3, 3] - (0.0, 0.0, 1.0)) > 1.3 for _, pose in poses)


@pytest.mark.parametrize("hide", ["object", "collection"])
def test_what_is_hidden_in_renders_is_not_there(scene, add_mesh, hide):
    add_mesh("Table", scaled((1.0, 1.0, 0.8)), CLOSED)
    big = add_mesh("Backdrop", scaled((50.0, 50.0, 50.0)), CLOSED)
    group = bpy.data.collections.new("Hidden")
    scene.collection.children.link(group)
    group.objects.link(big)
    scene.collection.objects.unlink(big)
    (big if hide == "object" else group).hide_render = True
    assert np.allclose(space.read_space(scene).high, (1, 1, 0.8))


def hide(scene, thing, how):
    """Hides an object, which lies in a collection Group, in the viewport only."""
    layer = scene.view_layers[0]
    group = layer.layer_collection.children["Group"]
    if how == "screen":
        thing.hide_viewport = True
    elif how == "eye":
        thing.hide_set(True, view_layer=layer)
    elif how == "screen of the collection":
        group.collection.hide_viewport = True
    else:
        group.hide_viewport = True


def visibility(scene):
    layer = scene.view_layers[0]
    groups = [(c.name, c.collection.hide_viewport, c.hide_viewport) for c in (layer.layer_collection, *layer.layer_collection.children)]
    return groups, [(thing.name, thing.hide_viewport, thing.hide_get(view_layer=layer)) for thing in layer.objects]


@pytest.mark.parametrize("how", ["screen", "eye", "screen of the collection", "eye of the collection"])
def test_what_is_hidden_in_the_viewport_only_is_there(scene, add_mesh, add_camera, how):
    group = bpy.data.collections.new("Group")
    scene.collection.children.link(group)
    table = add_mesh("Table", scaled((1.0, 1.0, 0.8)), CLOSED, location=(5.0, 0.0, 0.0))
    eye = add_camera("Eye", location=(1.0, 2.0, 3.0))
    for thing in (table, eye):
        group.objects.link(thing)
        scene.collection.objects.unlink(thing)
    hide(scene, table, how)
    hide(scene, eye, how)
    before = visibility(scene)
    assert space.renders(scene)
    assert np.allclose(space.read_space(scene).high, (6, 1, 0.8))
    assert np.allclose(bounds(scene, "Table")[0], (4, -1, 0))
    with views.planned(scene, CaptureSettings(rig="scene")) as plan:
        assert np.allclose(plan.views[0].pose[:3, 3], (1, 2, 3))
    with views.planned(scene, CaptureSettings(rig="orbit", orbit_object="Table", views=2)) as plan:
        assert plan.subject == {table}
    assert visibility(scene) == before


def test_an_object_hidden_in_both_ways_is_not_there(scene, add_mesh):
    table = add_mesh("Table", scaled((1.0, 1.0, 0.8)), CLOSED)
    table.hide_viewport = table.hide_render = True
    assert not space.renders(scene)
    with pytest.raises(UserError, match="nothing to capture"), views.planned(scene, CaptureSettings(rig="room")):
        pass
    assert table.hide_viewport


def test_the_object_to_circle_has_to_be_there(scene, add_mesh):
    add_mesh("Table", scaled((1.0, 1.0, 0.8)), CLOSED)
    with pytest.raises(UserError, match="Chair"):
        bounds(scene, "Chair")
    bpy.context.view_layer.objects.active = None
    with pytest.raises(UserError, match="active"):
        bounds(scene, "")
