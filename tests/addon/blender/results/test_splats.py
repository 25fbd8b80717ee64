# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cycles makes of splats, against the closed form."""

import json
import math
from dataclasses import replace
from pathlib import Path

import bpy
import mathutils
import numpy as np
import pytest
from reconstruct.addon.blender import compat
from reconstruct.addon.blender.compat import set_modifier_input
from reconstruct.addon.blender.results import importing, looks
from reconstruct.addon.blender.results import splats as splats_of
from reconstruct.addon.blender.results.importing import import_result
from reconstruct.addon.blender.results.looks import has_node_splats, look_modifier
from reconstruct.addon.blender.results.parts import values_of
from reconstruct.addon.blender.results.splats import most_visible, training_views
from reconstruct.addon.blender.tagging import tagged
from reconstruct.engine.color import linear_to_srgb, srgb_to_linear
from reconstruct.engine.contract.capture import Frame
from reconstruct.engine.contract.result import read_result, write_result
from reconstruct.engine.contract.settings import ImportSettings
from reconstruct.engine.formats.splats import Splats
from reconstruct.engine.harmonics import harmonics

# Of the pictures of conftest.py.
SIZE = 33
ROUND = [1.0, 0.0, 0.0, 0.0]


def rotation(quat):
    return np.array(mathutils.Quaternion(quat).normalized().to_matrix())


def gaussian(rays, mean, sigmas, quat, opacity):
    """Alpha [H, W] of a gaussian along rays, which ends at 1/100, and the distance of the plane through its center that faces the camera in
    its own space."""
    origin, directions = rays
    whiten = (rotation(quat) / np.asarray(sigmas)).T
    point, ray = whiten @ (origin - np.asarray(mean)), directions @ whiten.T
    squared = (point**2).sum() - (ray @ point) ** 2 / (ray**2).sum(-1)
    alpha = np.where(squared < 2 * math.log(100 * opacity), opacity * np.exp(-squared / 2), 0)
    return alpha, (point**2).sum() / -(ray @ point)


def composite(rays, gaussians, colors):
    """Front to back, [H, W, 4] premultiplied; the mean over each pixel where there are more rays than pixels."""
    parts = [gaussian(rays, *values) for values in gaussians]
    alphas, met = np.stack([part[0] for part in parts]), np.stack([part[1] for part in parts])
    order = np.argsort(met, axis=0)
    out, light = np.zeros((*alphas.shape[1:], 4)), np.ones(alphas.shape[1:])
    for rank in range(len(parts)):
        alpha = np.take_along_axis(alphas, order[rank : rank + 1], axis=0)[0]
        color = np.concatenate([np.asarray(colors, dtype=float), np.ones((len(colors), 1))], axis=1)[order[rank]]
        out += (light * alpha)[..., None] * color
        light = light * (1 - alpha)
    side = len(out) // SIZE
    return out.reshape(SIZE, side, SIZE, side, 4).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("mean", "sigmas", "quat", "opacity"),
    [
        ((0, 0, 0), (0.4, 0.4, 0.4), ROUND, 0.9),
        ((0.3, 0.5, -0.2), (0.6, 0.1, 0.3), (0.8, 0.3, -0.4, 0.33), 0.7),
        ((-0.5, -1, 0.4), (0.01, 0.5, 0.2), (0.2, -0.9, 0.1, 0.4), 0.999),
        ((0, 0, 0), (0.5, 0.5, 0.5), ROUND, 0.02),
        ((1.2, -3.0, 0.0), (0.3, 0.3, 0.3), ROUND, 0.5),
    ],
)
def test_one_gaussian_has_the_closed_form(scene, alike, picture, rays, splats, result, mean, sigmas, quat, opacity):
    folder = result(splats([mean], [sigmas], [quat], [opacity], [(0.2, 0.5, 0.8)]))
    import_result(scene, folder, ImportSettings())
    expected = composite(rays, [(mean, sigmas, quat, opacity)], [(0.2, 0.5, 0.8)])
    rendered = picture()
    assert expected[..., 3].max() > 0.2 * opacity
    alike(rendered, expected, atol=1e-3)


def random_gaussians(count, seed=3):
    rng = np.random.default_rng(seed)
    means = rng.uniform(-1, 1, (count, 3)) * [0.8, 1.5, 0.8]
    sigmas = np.exp(rng.uniform(-3.5, -0.8, (count, 3)))
    quats = rng.normal(size=(count, 4))
    return means, sigmas, quats, rng.uniform(0.05, 0.99, count), rng.uniform(0, 1, (count, 3))


def test_gaussians_composite_front_to_back(scene, alike, picture, rays, splats, result):
    values = random_gaussians(30)
    import_result(scene, result(splats(*values)), ImportSettings())
    expected = composite(rays, list(zip(*values[:4], strict=True)), values[4])
    rendered = picture()
    assert np.abs(rendered - expected).mean() < (2e-3 if scene.cycles.samples == 1 else 8e-3)
    assert np.quantile(np.abs(rendered - expected), 0.99) < (0.02 if scene.cycles.samples == 1 else 0.04)


@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_colors_are_exact_and_scale_length_changes_nothing_but_numbers(scene, alike, picture, rays, splats, result, unit):
    scene.unit_settings.scale_length = unit
    scene.camera.location = np.array(scene.camera.location) / unit
    scene.camera.data.clip_end = 100 / unit
    mean, color = (0.1, 0.2, 0.0), (0.8, 1.7, 0.03)
    made = import_result(scene, result(splats([mean], [(0.3, 0.2, 0.1)], [ROUND], [0.9], [color])), ImportSettings())[0]
    assert np.allclose(np.array(made.location) * unit, mean, atol=1e-6)
    alike(picture(), composite(rays, [(mean, (0.3, 0.2, 0.1), ROUND, 0.9)], [color]), atol=2e-3)


def test_srgb_colors_become_light(scene, picture, splats, result):
    import_result(scene, result(splats([(0, 0, 0)], [(1, 0.1, 1)], [ROUND], [0.99], [(0.5, 0.02, 1.0)], "srgb")), ImportSettings())
    pixel = picture()[16, 16]
    np.testing.assert_allclose(pixel[:3] / pixel[3], (0.21404, 0.02 / 12.92, 1.0), atol=1e-3)


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1.0, 1e3])
def test_mean_colors_do_not_depend_on_the_unit(unit):
    """The view has the first gaussian in its picture, and the second behind it, which takes the color of all sides."""
    frame = Frame("view.png", Path("view.png"), tuple(map(tuple, np.eye(4).tolist())), 100, 100, 100.0, 100.0, 50.0, 50.0)
    sh = np.tile([[0.5], [0.0], [0.8], [0.0]], (2, 1, 3))
    means = unit * np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])
    colors = splats_of.mean_colors(means, sh, 1, [frame])
    basis = harmonics(1, np.array([[0.0, 0.0, -1.0]]))[0]
    np.testing.assert_allclose(colors[0], max(0.5 + 0.5 * basis[0] + 0.8 * basis[2], 0), atol=1e-9)
    np.testing.assert_allclose(colors[1], 0.5 + 0.5 * basis[0], atol=1e-9)


def colorful(blend="linear"):
    """A wide gaussian whose color differs from side to side, and that color [N, 3] for directions [N, 3] away from the camera."""
    sh = np.random.default_rng(1).normal(0, 0.08, (1, 16, 3)).astype(np.float32)
    sh[0, 0] = 0.4
    parts = [np.zeros((1, 3)), np.log([[3.0, 3.0, 3.0]]), [ROUND], [6.0]]
    made = Splats(*(np.asarray(part, dtype=np.float32) for part in parts), sh, blend=blend, antialias=True)

    def color(directions):
        directions = np.atleast_2d(directions) / np.linalg.norm(np.atleast_2d(directions), axis=1, keepdims=True)
        shades = np.maximum(0.5 + harmonics(3, directions) @ sh[0].astype(np.float64), 0.0)
        return srgb_to_linear(shades) if blend == "srgb" else shades

    return made, color


@pytest.mark.parametrize("blend", ["linear", "srgb"])
def test_color_depends_on_where_the_camera_is(scene, alike, picture, result, blend):
    made_of, color = colorful(blend)
    made = import_result(scene, result(made_of), ImportSettings())[0]
    # Codes that are turned into light, or light into codes, which Blender's own gaussians take, are no harmonics any more, only nearly so.
    nodes = has_node_splats(made)
    # Blender's own are a hundredth off.
    atol = (1e-3 if nodes else 0.01) if blend == ("linear" if nodes else "srgb") else 0.03
    for place in ((0, -5, 0), (5, 0, 0), (2, 3, 4)):
        scene.camera.location = place
        scene.camera.rotation_euler = mathutils.Vector(place).to_track_quat("Z", "Y").to_euler()
        pixel = picture()[16, 16]
        np.testing.assert_allclose(pixel[:3] / pixel[3], color(-np.array(place))[0], atol=atol)
    # A turned result shows its turned side.
    turn = mathutils.Quaternion((0.5, 0.2, -0.3, 0.7)).normalized()
    made.rotation_mode, made.rotation_quaternion = "QUATERNION", turn
    pixel = picture()[16, 16]
    seen = np.array(turn.inverted().to_matrix()) @ -np.array(place)
    np.testing.assert_allclose(pixel[:3] / pixel[3], color(seen)[0], atol=atol)


@pytest.mark.parametrize("up", [(0.0, 0.0, 1.0), (0.6, -0.8, 0.0)])
def test_the_color_for_all_sides_is_the_mean_of_the_training_views(scene, result, tmp_path, up):
    made_of, color = colorful()
    eyes = np.array([(4.0, 0.1, 0.2), (3.0, 3.0, 0.5), (3.0, 0.0, 4.0), (-5.0, 0.0, 0.0)])
    frames = []
    for index, eye in enumerate(eyes):
        turn = mathutils.Vector(eye if index < 3 else -eye).to_track_quat("Z", "Y").to_matrix().to_4x4()
        pose = mathutils.Matrix.Translation(eye) @ turn
        frames.append({"file_path": f"images/{index}.png", "transform_matrix": [list(row) for row in pose]})
    capture = tmp_path / "capture"
    (capture / "images").mkdir(parents=True)
    for index in range(4):
        image = bpy.data.images.new("view", 64, 64)
        image.filepath_raw, image.file_format = str(capture / "images" / f"{index}.png"), "PNG"
        image.save()
    names = [frame["file_path"] for frame in frames]
    text = {"w": 64, "h": 64, "fl_x": 80, "fl_y": 80, "cx": 32, "cy": 32, "frames": frames, "train_filenames": names, "test_filenames": []}
    (capture / "transforms.json").write_text(json.dumps(text))
    seen = [frame.name for frame in training_views(str(capture), np.eye(3))]
    folder = result(made_of)
    write_result(folder, replace(read_result(folder), capture=str(capture), up=up))
    made = import_result(scene, folder, ImportSettings())[0]
    # The last view looks away.
    facing = [index for index in range(3) if f"{index}.png" in seen]
    assert facing
    np.testing.assert_allclose(values_of(made.data, "base_color")[0, :3], color(-eyes[facing]).mean(axis=0), atol=1e-5)
    (folder / "result.json").write_text((folder / "result.json").read_text().replace(str(capture), str(tmp_path / "gone")))
    other = import_result(scene, folder, ImportSettings())[0]
    np.testing.assert_allclose(values_of(other.data, "base_color")[0, :3], 0.5 + 0.28209479 * 0.4, atol=1e-5)


def test_duplicates_share_their_data_and_turn_and_scale_rightly(scene, alike, picture, rays, splats, result):
    made = import_result(scene, result(splats([(0, 0, 0)], [(0.6, 0.2, 0.3)], [ROUND], [0.9], [(0.9, 0.4, 0.1)])), ImportSettings())[0]
    twin = made.copy()
    scene.collection.objects.link(twin)
    turn = mathutils.Quaternion((0.8, 0.3, -0.4, 0.33)).normalized()
    twin.rotation_mode, twin.rotation_quaternion, twin.scale, twin.location = "QUATERNION", turn, (0.5, 0.5, 0.5), (0.7, 1.5, 0.5)
    made.location = (-0.6, 0, -0.3)
    assert twin.data == made.data and len(bpy.data.meshes) == 1 and len(bpy.data.node_groups) == 1
    gaussians = [((-0.6, 0, -0.3), (0.6, 0.2, 0.3), ROUND, 0.9), ((0.7, 1.5, 0.5), (0.3, 0.1, 0.15), tuple(turn), 0.9)]
    alike(picture(), composite(rays, gaussians, [(0.9, 0.4, 0.1)] * 2), atol=2e-3)


def test_an_instanced_collection_looks_like_the_result_in_it(scene, alike, picture, rays, splats, result):
    values = random_gaussians(6)
    made = import_result(scene, result(splats(*values)), ImportSettings())[0]
    before = picture()
    collection = bpy.data.collections.new("Room")
    collection.objects.link(made)
    scene.collection.objects.unlink(made)
    empty = bpy.data.objects.new("Instance", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    scene.collection.objects.link(empty)
    assert before[..., 3].max() > 0.5
    alike(picture(), before, atol=2e-3)


def test_splats_neither_light_nor_shade_the_room(scene, picture, splats, result):
    floor = bpy.data.meshes.new("Floor")
    floor.from_pydata([(-9, -9, -1), (9, -9, -1), (9, 9, -1), (-9, 9, -1)], [], [(0, 1, 2, 3)])
    scene.collection.objects.link(bpy.data.objects.new("Floor", floor))
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    scene.collection.objects.link(sun)
    scene.cycles.samples = 16
    alone = picture()
    import_result(scene, result(splats([(0, 0, 5)], [(0.8, 0.8, 0.1)], [ROUND], [0.999], [(20.0, 0, 0)])), ImportSettings())
    assert alone[..., 0].max() > 0.1
    np.testing.assert_allclose(picture(), alone, atol=1e-3)


def test_icospheres_give_the_same_gaussian(scene, nodes, picture, splats, result):
    """They stand in the viewport, and in renders that look through instances of a collection."""
    made = import_result(scene, result(splats(*random_gaussians(1))), ImportSettings())[0]
    discs = picture()
    set_modifier_input(look_modifier(made), "Face Camera", False)
    assert np.abs(discs[..., 3]).max() > 0.04
    np.testing.assert_allclose(picture(), discs, atol=1e-3)


def test_a_turned_instance_of_a_collection_is_right_without_facing_the_camera(scene, alike, picture, rays, splats, result):
    made = import_result(scene, result(splats([(0, 0, 0)], [(0.6, 0.02, 0.3)], [ROUND], [0.9], [(0.9, 0.4, 0.1)])), ImportSettings())[0]
    if has_node_splats(made):
        set_modifier_input(look_modifier(made), "Face Camera", False)
    collection = bpy.data.collections.new("Room")
    collection.objects.link(made)
    scene.collection.objects.unlink(made)
    empty = bpy.data.objects.new("Instance", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    turn = mathutils.Quaternion((0.5, 0.2, -0.3, 0.7)).normalized()
    empty.rotation_mode, empty.rotation_quaternion, empty.scale = "QUATERNION", turn, (0.5, 0.5, 0.5)
    scene.collection.objects.link(empty)
    expected = composite(rays, [((0, 0, 0), (0.3, 0.01, 0.15), tuple(turn), 0.9)], [(0.9, 0.4, 0.1)])
    alike(picture(), expected, atol=2e-3)


def test_the_most_visible_are_kept(splats):
    sigmas = [(0.1, 0.1, 0.1), (0.3, 0.3, 0.01), (0.3, 0.3, 0.3)]
    made = splats([(0, 0, 0), (1, 0, 0), (2, 0, 0)], sigmas, [ROUND] * 3, [0.9, 0.9, 0.01], [(0, 0, 0)] * 3)
    assert most_visible(made, 2).means[:, 0].tolist() == [0, 1]
    assert len(most_visible(made, 0)) == 3 and len(most_visible(made, 7)) == 3


@pytest.mark.parametrize("blend", ["linear", "srgb"])
def test_blenders_own_gaussians_get_harmonics_of_codes(blend):
    made, color = colorful(blend)
    found = splats_of.radiance(made, blend)
    base = found["radiance:base"][1]
    sh = np.stack([base[:, :3], *(found[f"radiance:sh_{number}"][1] for number in range(15))], axis=1)
    assert len(found) == 16 and base[0, 3] == pytest.approx(1 / (1 + math.exp(-6)))
    directions = np.random.default_rng(2).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # As Blender 5.3 does in intern/cycles/kernel/geom/gsplat.h.
    light = srgb_to_linear(np.maximum(0.5 + harmonics(3, directions) @ sh[0], 0.0))
    np.testing.assert_allclose(linear_to_srgb(light), linear_to_srgb(color(directions)), atol=1e-6 if blend == "srgb" else 0.03)


def test_a_menu_is_set_by_a_word():
    node = bpy.data.node_groups.new("Menu", "GeometryNodeTree").nodes.new("GeometryNodeMenuSwitch")
    node.enum_items[0].name, node.enum_items[1].name = "Points", "3D Gaussian Splats"
    compat.choose(node.inputs["Menu"], "splat")
    assert node.inputs["Menu"].default_value == "3D Gaussian Splats"


@pytest.mark.skipif(
    "FLOAT4" not in bpy.types.Attribute.bl_rna.properties["data_type"].enum_items, reason="this Blender has no attributes of four numbers"
)
def test_blenders_own_gaussians_are_points_with_all_that_it_asks_for(scene, result, monkeypatch):
    """All but the node that tells Blender to draw them, which only 5.3 has."""
    for module in (looks, splats_of):
        monkeypatch.setattr(module, "has_native_splats", lambda: True)
    monkeypatch.setattr(looks, "native_splats", lambda tree, points: points)
    made_of, _ = colorful("srgb")
    made = import_result(scene, result(made_of), ImportSettings())[0]
    looks.show(made, "splats", "splats")
    geometry = made.evaluated_get(bpy.context.evaluated_depsgraph_get()).evaluated_geometry()
    points = geometry.pointcloud
    kinds = {attribute.name: attribute.data_type for attribute in points.attributes}
    assert kinds["scale"] == "FLOAT_VECTOR" and kinds["rotation"] == "QUATERNION" and kinds["radiance:base"] == "FLOAT4"
    assert kinds["radiance:sh_14"] == "FLOAT_VECTOR" and "sh_1" not in kinds and len(points.points) == 1 and not points.materials
    base = np.empty(4, np.float32)
    points.attributes["radiance:base"].data.foreach_get("vector", base)
    np.testing.assert_allclose(base[:3], made_of.sh[0, 0], atol=1e-6)
    np.testing.assert_allclose(made.data.attributes["scale"].data[0].vector, (3, 3, 3), rtol=1e-5)


@pytest.mark.skipif(not compat.has_native_splats(), reason="this Blender does not draw gaussians itself")
def test_blenders_own_gaussians_need_no_bounces(scene, picture, splats, result):
    scene.cycles.samples = 1024
    (made,) = import_result(scene, result(splats(*random_gaussians(40))), ImportSettings())
    assert "bounces" not in tagged(made)["note"] and scene.cycles.transparent_max_bounces == 8
    seen = picture()
    for bounces in (0, 1024):
        scene.cycles.transparent_max_bounces = bounces
        assert np.abs(picture() - seen).mean() < 5e-3
    assert seen[..., 3].mean() > 0.1


def test_blenders_own_gaussians_are_shown_in_the_viewport(scene, splats, monkeypatch):
    monkeypatch.setattr(importing, "has_native_splats", lambda: True)
    held = importing._Held(splats=splats([(0, 0, 0)], [(1, 1, 1)], [ROUND], [0.9], [(1, 1, 1)]))
    assert importing._looks(held, "auto") == ("splats", "splats")
