# SPDX-License-Identifier: GPL-3.0-or-later
"""Imported results after what Blender's own tools did to them."""

import math
import sys

import bmesh
import bpy
import mathutils
import numpy as np
import pytest
from reconstruct.addon.blender.results.edits import captured_pose
from reconstruct.addon.blender.results.importing import import_result
from reconstruct.addon.blender.results.measuring import extent_of, size_of
from reconstruct.addon.blender.results.parts import PART, POINTS, values_of
from reconstruct.addon.blender.rooms.placing import place
from reconstruct.engine.contract.settings import ImportSettings, PlaceSettings
from reconstruct.engine.formats.splats import Splats
from reconstruct.engine.harmonics import harmonics

TURN = mathutils.Euler((0.4, -1.1, 2.0)).to_matrix()
SCALES = [(2.0, 2.0, 2.0), (2.0, 0.5, 1.0), (-1.0, 1.0, 1.0)]


@pytest.fixture
def enabled(scene):
    root = sys.modules["reconstruct"]
    root.register()
    yield scene
    root.unregister()


def some_splats(count=200, degree=2, flat=False):
    rng = np.random.default_rng(0)
    means = rng.uniform(-1, 1, (count, 3)) * (1, 1, 0 if flat else 1)
    parts = means, rng.normal(-3, 0.5, (count, 3)), rng.normal(size=(count, 4)), np.full(count, 2.0)
    parts = (*parts, rng.normal(0, 0.5, (count, (degree + 1) ** 2, 3)))
    return Splats(*(part.astype(np.float32) for part in parts), blend="linear", antialias=True)


def points(item, name):
    return values_of(item.data, name)[values_of(item.data, PART) == POINTS].astype(np.float64)


def covariances(item):
    """Of the gaussians in the world, [N, 3, 3]."""
    linear = np.array(item.matrix_world.to_3x3())
    quats = [mathutils.Quaternion(quat).to_matrix() for quat in points(item, "rotation")]
    axes = linear @ np.array(quats) * points(item, "scale")[:, None]
    return axes @ axes.transpose(0, 2, 1)


def colors(item, directions):
    """What the harmonics above the lowest show to directions in the world, [N, V, 3]."""
    local = directions @ np.linalg.inv(np.array(item.matrix_world.to_3x3().normalized())).T
    names = [f"sh_{number}" for number in range(1, 9)]
    if names[0] not in item.data.attributes:
        # Blender's own, whose lowest one is in radiance:base.
        names = [f"radiance:sh_{number}" for number in range(8)]
    values = np.stack([points(item, name) for name in names], axis=1)
    return np.einsum("vk,nkc->nvc", harmonics(2, local)[:, 1:], values)


def imported(scene, result, **values):
    (made,) = import_result(scene, result(some_splats(**values)), ImportSettings())
    bpy.context.view_layer.objects.active = made
    bpy.ops.object.select_all(action="DESELECT")
    made.select_set(True)
    return made


def transform(item, scale=(2.0, 2.0, 2.0), turn=TURN, location=(3.0, -1.0, 0.5)):
    item.rotation_euler, item.scale, item.location = turn.to_euler(), scale, location
    bpy.context.view_layer.update()


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("scale", SCALES)
def test_gaussians_follow_an_applied_transform(enabled, result, scale, flat):
    made = imported(enabled, result, flat=flat)
    transform(made, scale)
    before, pose = covariances(made), captured_pose(made)
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    bpy.context.view_layer.update()
    # Points in a plane do not tell how far what lies across it was scaled, and whether it was mirrored.
    if not flat or scale == SCALES[0]:
        np.testing.assert_allclose(covariances(made), before, atol=1e-5 * np.abs(before).max())
        np.testing.assert_allclose(captured_pose(made), pose, atol=1e-5)
    assert made.matrix_world == mathutils.Matrix.Identity(4)
    if scale == SCALES[0]:
        np.testing.assert_allclose(sorted(size_of(made, 1.0)), (0 if flat else 4, 4, 4), atol=0.1)


def test_colors_turn_with_the_gaussians_and_points_grow(enabled, result):
    made = imported(enabled, result)
    transform(made)
    directions = np.random.default_rng(1).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before, radii = colors(made, directions), points(made, "radius")
    bpy.ops.object.transform_apply()
    bpy.context.view_layer.update()
    np.testing.assert_allclose(colors(made, directions), before, atol=1e-5)
    np.testing.assert_allclose(points(made, "radius"), 2 * radii, rtol=1e-5)
    # Once, and not again with each update.
    made.data.update_tag()
    bpy.context.view_layer.update()
    np.testing.assert_allclose(points(made, "radius"), 2 * radii, rtol=1e-5)


def test_joined_results_keep_their_gaussians_each(enabled, result):
    made, other, third = (imported(enabled, result) for _ in range(3))
    transform(other)
    transform(third, (0.5, 0.5, 0.5), TURN.inverted(), (0, 0, -4.0))
    own = mathutils.Matrix.Rotation(0.3, 3, "X")
    transform(made, (0.7, 0.7, 0.7), own)
    before = np.concatenate([covariances(item) for item in (made, other, third)])
    for item in (made, other):
        item.select_set(True)
    bpy.context.view_layer.objects.active = made
    bpy.ops.object.join()
    bpy.context.view_layer.update()
    found = covariances(made)
    assert len(found) == 600
    order = np.argsort(found[:, 0, 0]), np.argsort(before[:, 0, 0])
    np.testing.assert_allclose(found[order[0]], before[order[1]], atol=1e-5 * np.abs(before).max())
    np.testing.assert_allclose(captured_pose(made), np.array(made.matrix_world), atol=1e-6)


def edit(item, work):
    bpy.ops.object.mode_set(mode="EDIT")
    mesh = bmesh.from_edit_mesh(item.data)
    work(mesh)
    bmesh.update_edit_mesh(item.data)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.view_layer.update()


def test_what_is_turned_in_edit_mode_alone_turns_its_gaussians(enabled, result):
    made = imported(enabled, result)
    before = covariances(made)
    upper = points(made, "position")[:, 2] > points(made, "position")[:, 2].mean()

    def turn(mesh):
        mesh.verts.ensure_lookup_table()
        bmesh.ops.rotate(mesh, cent=(0, 0, 0), matrix=TURN, verts=[mesh.verts[index] for index in np.flatnonzero(upper)])

    edit(made, turn)
    linear = np.array(TURN)
    np.testing.assert_allclose(covariances(made)[upper], linear @ before[upper] @ linear.T, atol=1e-6)
    np.testing.assert_array_equal(covariances(made)[~upper], before[~upper])
    # Points that were moved one by one keep their shape.
    before = covariances(made)
    edit(made, lambda mesh: [vertex.co.__imul__(1 + 0.1 * math.sin(vertex.index)) for vertex in mesh.verts])
    np.testing.assert_array_equal(covariances(made), before)


@pytest.mark.parametrize("clean", [True, False])
def test_strays_decide_nothing(enabled, splats, result, clean):
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(2000, 3))
    ball *= 0.5 / np.linalg.norm(ball, axis=1, keepdims=True)
    means = np.concatenate([ball, rng.uniform((-8, -8, -3), (8, 8, 4), (200, 3))])
    count = len(means)
    made_of = splats(means, np.full((count, 3), 0.05), [(1, 0, 0, 0)] * count, np.full(count, 0.9), np.full((count, 3), 0.5))
    (made,) = import_result(enabled, result(made_of, scale="unknown"), ImportSettings())
    bpy.context.view_layer.objects.active = made
    if clean:
        strays = np.linalg.norm(means, axis=1) > 0.51
        edit(made, lambda mesh: _delete(mesh, np.flatnonzero(strays)))
    place([made], PlaceSettings(on_floor=True, known_length=0.8))
    matrix = np.array(made.matrix_world)
    found = (points(made, "position") @ matrix[:3, :3].T + matrix[:3, 3])[: 1900 if clean else 2000]
    np.testing.assert_allclose(np.ptp(found, axis=0), (0.8, 0.8, 0.8), atol=0.02)
    assert found[:, 2].min() == pytest.approx(0, abs=0.01)


def _delete(mesh, indices):
    mesh.verts.ensure_lookup_table()
    bmesh.ops.delete(mesh, geom=[mesh.verts[index] for index in indices], context="VERTS")


def test_place_and_undo_work_after_an_applied_transform(enabled, result):
    bpy.context.preferences.edit.use_global_undo = True
    made = imported(enabled, result)
    name, radii = made.name, points(made, "radius")
    bpy.ops.ed.undo_push(message="Imported")
    transform(made)
    bpy.ops.object.transform_apply()
    bpy.ops.ed.undo_push(message="Applied")
    bpy.context.view_layer.update()
    place([made], PlaceSettings(on_floor=True, rotation=0.0))
    assert np.array(captured_pose(made))[1, 0] == pytest.approx(0, abs=1e-5), "it is turned from how it was captured"
    box = extent_of(made).turned(captured_pose(made)[:3, :3])
    assert box.low[2] + captured_pose(made)[2, 3] == pytest.approx(0, abs=1e-5)
    bpy.ops.ed.undo_push(message="Placed")
    for step, factor in (("undo", 2), ("undo", 1), ("redo", 2)):
        getattr(bpy.ops.ed, step)()
        bpy.context.view_layer.update()
        np.testing.assert_allclose(points(bpy.data.objects[name], "radius"), factor * radii, rtol=1e-5, err_msg=step)


def test_a_result_with_nothing_left_is_refused_in_a_sentence(enabled, result):
    made = imported(enabled, result)
    edit(made, lambda mesh: _delete(mesh, range(len(mesh.verts))))
    enabled.reconstruct.place.on_floor = True
    for button in (bpy.ops.reconstruct.place, bpy.ops.reconstruct.make_asset, bpy.ops.reconstruct.set_length):
        with pytest.raises(RuntimeError, match="has no points left"):
            button()


@pytest.mark.parametrize("apply", [True, False])
@pytest.mark.parametrize("scale", [(1, 0, 0), (0, 0, 0), (1e-20, 1e-20, 1e-20), (np.inf, 1, 1), (np.nan, 1, 1)])
def test_a_result_without_extent_is_refused_in_a_sentence_and_stays(enabled, result, scale, apply):
    made = imported(enabled, result)
    if apply:
        edit(made, lambda mesh: [setattr(vertex, "co", vertex.co * mathutils.Vector(scale)) for vertex in mesh.verts])
    else:
        made.scale = scale
        bpy.context.view_layer.update()
    enabled.reconstruct.place.on_floor = enabled.reconstruct.place.room = True
    enabled.reconstruct.place.known_length = 1.0
    before, count = np.array(made.matrix_basis), len(bpy.data.objects)
    buttons = [bpy.ops.reconstruct.place, lambda: bpy.ops.reconstruct.set_length(length=2.0)]
    for button in (*buttons, bpy.ops.reconstruct.make_asset) if apply else buttons:
        with pytest.raises(RuntimeError, match="^Error: [^\n]* has no extent: [^\n]*$"):
            button()
    np.testing.assert_array_equal(np.array(made.matrix_basis), before)
    assert len(bpy.data.objects) == count and made.asset_data is None


def test_one_point_that_is_nowhere_does_not_count(enabled, result):
    made = imported(enabled, result)
    extent, pose = extent_of(made), captured_pose(made)
    edit(made, lambda mesh: setattr(next(iter(mesh.verts)), "co", (np.nan, np.inf, 0)))
    edit(made, lambda mesh: [vertex.co.__imul__(2) for vertex in mesh.verts])
    edit(made, lambda mesh: setattr(next(iter(mesh.verts)), "co", (0, 0, 0)))
    np.testing.assert_allclose(2 * extent.size, extent_of(made).size * np.linalg.norm(captured_pose(made)[:3, :3], axis=0), rtol=0.05)
    place([made], PlaceSettings(on_floor=True, known_length=1.0))
    assert np.isfinite(np.array(made.matrix_basis)).all() and np.isfinite(pose).all()
