# SPDX-License-Identifier: GPL-3.0-or-later
"""Views are rendered in a fixed state, and the user's scene stays as it is."""

import math

import bpy
import numpy as np
import pytest
from reconstruct.addon.blender.capture import passes
from reconstruct.engine.cameras import unproject
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.settings import CaptureSettings

SMALL = CaptureSettings(width=32, height=24, samples=4)


def dump(owner, depth=0):
    """All plain values of a data-block's settings."""
    values = {}
    for prop in owner.bl_rna.properties:
        if prop.identifier in ("rna_type", "name_full", "session_uid", "depsgraph"):
            continue
        value = getattr(owner, prop.identifier)
        if prop.type == "POINTER":
            if value is not None and depth < 2 and not isinstance(value, bpy.types.ID):
                values[prop.identifier] = dump(value, depth + 1)
            else:
                values[prop.identifier] = repr(value)
        elif prop.type == "COLLECTION":
            values[prop.identifier] = len(value)
        else:
            values[prop.identifier] = tuple(value) if getattr(prop, "array_length", 0) else value
    return values


def everything(scene):
    data = bpy.data
    things = [dump(thing) for thing in data.objects]
    groups = [(c.name, sorted(thing.name for thing in c.objects), c.hide_render, c.hide_viewport) for c in data.collections]
    counts = {
        name: len(getattr(data, name))
        for name in ("scenes", "objects", "cameras", "node_groups", "collections", "meshes", "materials", "worlds")
    }
    layers = [dump(layer) for layer in scene.view_layers]
    owners = (scene.render, scene.cycles, scene.view_settings, scene.display_settings)
    return counts, [dump(owner) for owner in owners], layers, repr(scene.camera), things, groups


def wild(scene):
    """A scene with all that a capture has to switch off."""
    scene.view_settings.exposure, scene.view_settings.gamma = 2.0, 1.7
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = 100, 50, 150
    render.use_border = render.use_crop_to_border = render.use_simplify = render.use_stamp = True
    render.use_motion_blur = render.use_freestyle = render.use_multiview = True
    render.border_max_x = 0.4
    render.dither_intensity, render.film_transparent = 2.0, False
    render.filepath = "//mine.png"
    scene.view_layers.new("Other")
    if hasattr(scene, "compositing_node_group"):
        scene.compositing_node_group = bpy.data.node_groups.new("Mine", "CompositorNodeTree")
    else:
        scene.use_nodes = True
        scene.node_tree.nodes.clear()
        scene.node_tree.nodes.new("CompositorNodeBlur")


@pytest.fixture
def card(add_camera, add_mesh):
    """A card 4 m before the camera, in the picture's left half."""
    camera = add_camera(lens=24.0)
    camera.data.dof.use_dof, camera.data.dof.focus_distance, camera.data.dof.aperture_fstop = True, 0.5, 0.1
    add_mesh("Card", [(-8, 4, -8), (0, 4, -8), (0, 4, 8), (-8, 4, 8)], [(0, 1, 2, 3)], (0.5, 0.02, 0.8))
    bpy.context.view_layer.update()
    return camera


def pose_of(thing):
    return np.array(thing.matrix_world, dtype=float)


def test_color_alpha_and_depth_are_the_same_whatever_the_user_has_set(scene, card, tmp_path):
    wild(scene)
    with passes.studio(scene, CaptureSettings(width=64, height=48, samples=4)) as studio:
        camera, depth = studio.shoot(pose_of(card), card.data, 0, tmp_path / "view.png")
    picture = np.round(passes.read_pixels(tmp_path / "view.png") * 255).astype(int)
    assert picture.shape == (48, 64, 4)
    # The denoiser rings a little near edges.
    left, right = picture[10:-10, 8:20], picture[2:-2, 36:-2]
    linear = np.array([0.5, 0.02, 0.8])
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert np.abs(left[..., :3] - expected).max() <= 1.01
    assert (left[..., 3] == 255).all()
    assert (right[..., 3] == 0).all()
    # Planar: the corner is as deep as the middle.
    assert depth.dtype == np.float32
    assert np.allclose(depth[:, :30], 4.0, atol=1e-4)
    assert (depth[:, 34:] == 0).all()
    assert b"mine" not in (tmp_path / "view.png").read_bytes()
    assert (camera.width, camera.height) == (64, 48)


@pytest.mark.parametrize("strength", [0.2, 5.0])
def test_albedo_is_the_diffuse_color_whatever_the_light(scene, card, tmp_path, strength):
    linear = np.array([0.5, 0.002, 0.8])
    world = scene.world = bpy.data.worlds.new("Light")
    if world.node_tree is None:  # Blender 4.5; later ones always have a tree
        world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = strength
    tree = bpy.data.objects["Card"].data.materials[0].node_tree
    tree.nodes.clear()
    matt, out = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeOutputMaterial")
    matt.inputs["Color"].default_value = (*linear, 1.0)
    tree.links.new(matt.outputs[0], out.inputs["Surface"])
    with passes.studio(scene, CaptureSettings(width=64, height=48, samples=4)) as studio:
        studio.shoot(pose_of(card), card.data, 0, tmp_path / "view.png", tmp_path / "albedo.png")
    codes = np.round(passes.read_pixels(tmp_path / "albedo.png") * 255).astype(int)
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert codes.shape == (48, 64, 4)
    assert np.abs(codes[2:-2, 2:28, :3] - expected).max() <= 1.01
    assert (codes[2:-2, 2:28, 3] == 255).all() and (codes[2:-2, 36:-2] == 0).all()


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("alone", [False, True])
def test_the_scene_stays_as_it_is(scene, card, tmp_path, fails, alone):
    wild(scene)
    scene.camera = card
    group = bpy.data.collections.new("Group")
    scene.collection.children.link(group)
    group.objects.link(bpy.data.objects["Card"])
    bpy.context.view_layer.update()
    before = everything(scene)
    try:
        with passes.studio(scene, SMALL, {bpy.data.objects["Card"]} if alone else None, background=alone) as studio:
            studio.shoot(pose_of(card), card.data, 0, tmp_path / "view.png")
            if fails:
                raise RuntimeError("on purpose")
    except RuntimeError as error:
        assert fails and "on purpose" in str(error)
    assert everything(scene) == before
    assert card.data.dof.use_dof
    assert bpy.context.scene == scene


def test_a_studio_that_cannot_be_set_up_leaves_the_scene_as_it_is(scene, card, monkeypatch):
    wild(scene)
    before = everything(scene), repr(getattr(scene, "compositing_node_group", None))

    def fails(*_):
        raise UserError("on purpose")

    monkeypatch.setattr(passes, "_prepare", fails)
    with pytest.raises(UserError, match="on purpose"), passes.studio(scene, SMALL):
        pass
    assert (everything(scene), repr(getattr(scene, "compositing_node_group", None))) == before


CORNERS = [(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1)]


def glow(add_mesh, name, color, x, y, size=1.0):
    """A square that glows, upright, facing the camera in the origin."""
    return add_mesh(name, [tuple(size * value for value in corner) for corner in CORNERS], [(0, 1, 2, 3)], color, location=(x, y, 0.0))


def shown(scene, subject, tmp_path, add_camera, **options):
    """Columns that show something red, green or blue along the middle row, and the depth there."""
    eye = add_camera(lens=18.0)
    bpy.context.view_layer.update()
    with passes.studio(scene, CaptureSettings(width=64, height=48, samples=1), subject, **options) as studio:
        _, depth = studio.shoot(pose_of(eye), eye.data, 0, tmp_path / "view.png", tmp_path / "albedo.png")
    row = passes.read_pixels(tmp_path / "view.png")[24]
    return [(row[:, 3] > 0.9) & (row[:, index] > 0.5) for index in range(3)], row, depth[24]


def test_only_the_object_is_seen_with_its_children_and_instances(scene, add_camera, add_mesh, tmp_path):
    """Red belongs to the object, green does not; blue is an object that both instance."""
    base = glow(add_mesh, "Base", (1.0, 0.0, 0.0), -2.5, 5.0, 0.4)
    child = glow(add_mesh, "Child", (1.0, 0.0, 0.0), 1.0, 0.0, 0.4)
    child.parent = base
    glow(add_mesh, "Front", (0.0, 1.0, 0.0), 0.0, 2.0, 5.0)
    glow(add_mesh, "Beside", (0.0, 1.0, 0.0), 3.5, 5.0, 0.4)
    group = bpy.data.collections.new("Cups")
    group.objects.link(cup := glow(add_mesh, "Cup", (0.0, 0.0, 1.0), 0.0, 0.0, 0.4))
    scene.collection.objects.unlink(cup)
    for parent, x in ((base, 0.0), (None, 1.5)):
        instancer = bpy.data.objects.new("Instances", None)
        instancer.instance_type, instancer.instance_collection = "COLLECTION", group
        instancer.location = (x - (base.location.x if parent else 0.0), 0.0 if parent else 5.0, 0.0)
        instancer.parent = parent
        scene.collection.objects.link(instancer)
    eye = add_camera("Glaring")
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "AREA"))
    lamp.location, lamp.rotation_euler, lamp.visible_camera, lamp.data.energy = (2.5, 4.0, 0.0), (-math.pi / 2, 0.0, 0.0), True, 1000.0
    scene.collection.objects.link(lamp)
    subject = frozenset((base, *base.children_recursive))
    assert eye not in subject
    (red, green, blue), row, depth = shown(scene, subject, tmp_path, add_camera)
    # Half a meter at 5 m is 3.2 pixels with this lens.
    places = {name: 32 + x / 5 * 32 for name, x in (("base", -2.5), ("child", -1.5), ("own cup", 0.0), ("other cup", 1.5), ("beside", 3.5))}
    assert red[int(places["base"])] and red[int(places["child"])] and blue[int(places["own cup"])]
    assert not green.any() and not blue[int(places["other cup"]) - 2 :].any()
    assert (row[int(places["other cup"]) - 2 :, 3] == 0).all()
    assert np.array_equal(depth > 0, row[:, 3] > 0.5) and np.allclose(depth[depth > 0], 5.0, atol=1e-3)
    albedo = passes.read_pixels(tmp_path / "albedo.png")
    assert np.array_equal(albedo[24, :, 3] > 0.5, depth > 0)


def test_instances_of_geometry_nodes_belong_to_their_object(scene, add_camera, add_mesh, tmp_path):
    red = glow(add_mesh, "Red", (1.0, 0.0, 0.0), 0.0, -9.0, 0.4)
    for name, x in (("Own", 0.0), ("Other", 2.0)):
        holder = glow(add_mesh, name, (0.0, 1.0, 0.0), x, 5.0, 0.1)
        tree = bpy.data.node_groups.new(name, "GeometryNodeTree")
        tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
        info, out = tree.nodes.new("GeometryNodeObjectInfo"), tree.nodes.new("NodeGroupOutput")
        info.inputs["Object"].default_value, info.inputs["As Instance"].default_value = red, True
        tree.links.new(info.outputs["Geometry"], out.inputs[0])
        holder.modifiers.new("Nodes", "NODES").node_group = tree
    (seen, _, _), row, _ = shown(scene, {bpy.data.objects["Own"]}, tmp_path, add_camera)
    assert seen[32] and not row[40:, 3].any()


def test_the_rest_keeps_its_light_and_its_shadow(scene, add_camera, add_mesh, tmp_path):
    """A matt card lit by a glowing wall behind the camera, half of it in the shade of a board."""
    add_mesh("Card", [(-1.5, 4, -1), (1.5, 4, -1), (1.5, 4, 1), (-1.5, 4, 1)], [(0, 1, 2, 3)])
    glow(add_mesh, "Light", (8.0, 8.0, 8.0), 0.0, -1.0, 0.5)
    add_mesh("Board", [(0.0, 3.5, -3), (3, 3.5, -3), (3, 3.5, 3), (0.0, 3.5, 3)], [(0, 1, 2, 3)])
    eye = add_camera(lens=24.0)
    bpy.context.view_layer.update()
    rows = []
    for subject in (None, {bpy.data.objects["Card"]}):
        with passes.studio(scene, CaptureSettings(width=64, height=48, samples=64), subject) as studio:
            studio.shoot(pose_of(eye), eye.data, 0, tmp_path / "view.png")
        rows.append(passes.read_pixels(tmp_path / "view.png")[24])
    whole, alone = rows
    lit, shaded, beside = slice(22, 28), slice(38, 44), slice(58, 64)
    assert np.abs(whole[lit, :3] - alone[lit, :3]).max() < 0.03 and alone[lit, :3].min() > 0.1
    assert alone[shaded, :3].max() < 0.6 * alone[lit, :3].min() and (alone[shaded, 3] == 1).all()
    assert (whole[beside, 3] == 1).all() and (alone[beside, 3] == 0).all()


def test_the_subject_of_a_hidden_collection_stays_hidden(scene, add_camera, add_mesh, tmp_path):
    base = glow(add_mesh, "Base", (1.0, 0.0, 0.0), 0.0, 5.0, 0.4)
    cup = glow(add_mesh, "Cup", (1.0, 0.0, 0.0), 2.0, 0.0, 0.4)
    cup.parent = base
    group = bpy.data.collections.new("Hidden")
    scene.collection.children.link(group)
    group.objects.link(cup)
    scene.collection.objects.unlink(cup)
    group.hide_render = True
    (red, _, _), row, _ = shown(scene, {base, cup}, tmp_path, add_camera)
    assert red[32] and not row[40:, 3].any()


@pytest.mark.parametrize("background", [False, True])
def test_the_world_is_seen_where_it_is_asked_for(scene, card, tmp_path, background):
    world = scene.world = bpy.data.worlds.new("Sky")
    if world.node_tree is None:  # Blender 4.5; later ones always have a tree
        world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.0, 0.5, 1.0, 1.0)
    with passes.studio(scene, SMALL, background=background) as studio:
        _, depth = studio.shoot(pose_of(card), card.data, 0, tmp_path / "view.png")
    sky = passes.read_pixels(tmp_path / "view.png")[12, 24]
    assert depth[12, 24] == 0
    assert np.allclose(sky, (0.0, 0.7354, 1.0, 1.0) if background else (0.0, 0.0, 0.0, 0.0), atol=0.01)


def test_a_marker_with_a_camera_does_not_take_the_picture(scene, card, add_camera, tmp_path):
    away = add_camera("Away", turn=(-math.pi / 2, 0.0, 0.0))
    scene.timeline_markers.new("Cut", frame=scene.frame_current).camera = away
    with passes.studio(scene, SMALL) as studio:
        _, depth = studio.shoot(pose_of(card), card.data, 0, tmp_path / "view.png")
    assert depth.max() == pytest.approx(4.0, abs=1e-3)
    assert scene.timeline_markers["Cut"].camera == away


def test_film_exposure_does_not_count(scene, card, tmp_path):
    scene.cycles.film_exposure = 3.0
    with passes.studio(scene, SMALL) as studio:
        studio.shoot(pose_of(card), card.data, 0, tmp_path / "view.png")
    assert passes.read_pixels(tmp_path / "view.png")[12, 4, 0] == pytest.approx(0.7354, abs=0.01)


def test_a_depth_that_was_not_written_is_a_full_disk(scene, card, tmp_path, monkeypatch):
    monkeypatch.setattr(passes.compat, "output_float_exr", lambda *_: None)
    with passes.studio(scene, SMALL) as studio, pytest.raises(UserError, match="depth") as caught:
        studio.shoot(pose_of(card), card.data, 0, tmp_path / "view.png")
    assert caught.value.code == "disk_full"


def test_depth_is_in_meters_at_the_centers_of_pixels(scene, add_camera, add_mesh, tmp_path):
    scene.unit_settings.scale_length = 0.01
    add_mesh("Floor", [(-900, -900, 0), (900, -900, 0), (900, 900, 0), (-900, 900, 0)], [(0, 1, 2, 3)])
    thing = add_camera(location=(10.0, 20.0, 150.0), turn=(math.radians(60), 0.0, 0.3), shift_x=0.1, lens=24.0, clip_end=1e5)
    bpy.context.view_layer.update()
    pose = pose_of(thing)
    pose[:3, 3] *= 0.01
    with passes.studio(scene, SMALL) as studio:
        camera, depth = studio.shoot(pose, thing.data, 0, tmp_path / "view.png")
    points = unproject(camera, depth)
    hit = depth > 0
    assert hit.mean() > 0.5
    assert np.abs(points[hit][:, 2]).max() < 2e-3


def test_exposure_is_the_captures_own(scene, card, tmp_path):
    scene.view_settings.exposure = 5.0
    with passes.studio(scene, CaptureSettings(width=64, height=48, samples=4, exposure=-1.0)) as studio:
        studio.shoot(pose_of(card), card.data, 0, tmp_path / "view.png")
    red = passes.read_pixels(tmp_path / "view.png")[24, 12, 0]
    assert red == pytest.approx(1.055 * 0.25 ** (1 / 2.4) - 0.055, abs=0.006)


def test_only_the_first_used_view_layer_is_captured(scene, card, tmp_path):
    group, thing = bpy.data.collections.new("Group"), bpy.data.objects["Card"]
    scene.collection.children.link(group)
    group.objects.link(thing)
    scene.collection.objects.unlink(thing)
    first, second = scene.view_layers[0], scene.view_layers.new("Empty")
    second.layer_collection.children["Group"].exclude = True
    depths = []
    for used in (True, False):
        first.use = used
        with passes.studio(scene, SMALL) as studio:
            depths.append(studio.shoot(pose_of(card), card.data, 0, tmp_path / "view.png")[1])
    assert depths[0].max() > 3.9 and depths[1].max() == 0
    assert [layer.use for layer in scene.view_layers] == [False, True]


def test_a_seed_gives_the_same_picture_again(scene, add_camera, add_mesh, tmp_path):
    add_mesh("Card", [(-8, 4, -8), (8, 4, -8), (8, 4, 8), (-8, 4, 8)], [(0, 1, 2, 3)])
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "AREA"))
    lamp.location, lamp.data.energy, lamp.data.size = (1.0, 2.0, 1.0), 300.0, 2.0
    scene.collection.objects.link(lamp)
    thing = add_camera()
    bpy.context.view_layer.update()
    pictures = []
    with passes.studio(scene, SMALL) as studio:
        for name, seed in (("a", 3), ("b", 3), ("c", 4)):
            studio.shoot(pose_of(thing), thing.data, seed, tmp_path / f"{name}.png")
            pictures.append(passes.read_pixels(tmp_path / f"{name}.png"))
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
