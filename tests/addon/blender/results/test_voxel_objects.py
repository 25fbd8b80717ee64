# SPDX-License-Identifier: GPL-3.0-or-later
"""Voxels as objects: closed, as large as they are said to be, on the floor, and made anew while a slider moves."""

import subprocess
import sys
import time

import bpy
import numpy as np
import pytest
from reconstruct.addon.blender.results.importing import import_result
from reconstruct.addon.blender.results.measuring import extent_of
from reconstruct.addon.blender.results.parts import COLOR, values_of
from reconstruct.addon.blender.results.voxel_objects import is_voxels, shape_of, voxel_object
from reconstruct.addon.blender.rooms.placing import place
from reconstruct.addon.blender.tagging import kind_of, tag, tagged
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.result import Artifact, Result, write_result
from reconstruct.engine.contract.settings import ImportSettings, PlaceSettings
from reconstruct.engine.contract.voxels import VoxelShape
from reconstruct.engine.formats.voxels import Voxels, write_voxels

root = sys.modules["reconstruct"]


def some(seed=0) -> Voxels:
    """An L on its back, sure below and less so above, with noise all over, red on top and blue below."""
    probabilities = 0.3 * np.random.default_rng(seed).random((32, 32, 32))
    probabilities[6:26, 10:20, 4:10] = 0.9
    probabilities[6:10, 10:20, 10:24] = 0.6
    return Voxels(probabilities.astype(np.float32), np.array([(255, 0, 0), (0, 0, 255)], np.uint8))


@pytest.fixture
def enabled():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root.register()
    yield bpy.context.scene
    root.unregister()


@pytest.fixture
def couch(enabled):
    """An object of voxels, and its live settings."""
    item = voxel_object("couch", some(), VoxelShape(dimension="width", length=2.0), 1.0)
    enabled.collection.objects.link(item)
    return item


def places(item):
    return values_of(item.data, "position").astype(float)


def assert_stands(item, size, axis=0, height=0.0):
    """It is closed, stands on its origin, and is as large as it is said to be."""
    mesh, corners = item.data, places(item)
    uses = np.zeros(len(mesh.edges), int)
    edges = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("edge_index", edges)
    np.add.at(uses, edges, 1)
    assert len(mesh.polygons) and (uses == 2).all()
    assert not mesh.validate()
    assert np.ptp(corners, axis=0)[axis] == pytest.approx(size, abs=1e-4)
    assert corners[:, 2].min() == pytest.approx(height, abs=1e-6)
    np.testing.assert_allclose((corners.min(axis=0) + corners.max(axis=0))[:2], 0, atol=1e-5)


def test_what_is_made_is_closed_and_stands(couch):
    assert is_voxels(couch) and kind_of(couch) == "result"
    assert_stands(couch, 2.0)
    lit, colors = values_of(couch.data, "lit"), values_of(couch.data, COLOR)
    assert (lit == 1).all()
    top, bottom = places(couch)[:, 2].argmax(), places(couch)[:, 2].argmin()
    np.testing.assert_allclose(colors[[top, bottom], :3], [(1, 0, 0), (0, 0, 1)], atol=1e-6)
    assert kind_of(couch.data.materials[0]) == "mesh"


def test_the_sliders_change_the_mesh_and_start_no_process(couch, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refused)
    live, before, high = couch.reconstruct.voxels, len(couch.data.polygons), places(couch)[:, 2].max()
    live.threshold = 0.8
    assert shape_of(couch).threshold == pytest.approx(0.8)
    assert_stands(couch, 2.0)
    assert places(couch)[:, 2].max() < 0.6 * high, "the upper part is not as sure"
    live.threshold = 0.2
    assert len(couch.data.polygons) > before
    assert_stands(couch, 2.0)
    live.threshold, live.smoothness = 0.4, 0.0
    assert_stands(couch, 2.0)
    steps = np.ptp(places(couch), axis=0)
    np.testing.assert_allclose(steps, [2.0, 1.0, 2.0], atol=1e-5)
    assert all(len(np.unique(np.round(column, 4))) <= 21 for column in places(couch).T), "blocks"
    normals = np.empty(3 * len(couch.data.loops), np.float32)
    couch.data.corner_normals.foreach_get("vector", normals)
    np.testing.assert_allclose(np.abs(normals.reshape(-1, 3)).max(axis=1), 1, atol=1e-4)
    live.smoothness = 1.0
    assert_stands(couch, 2.0)
    live.dimension, live.length = "height", 0.85
    assert_stands(couch, 0.85, 2)
    assert (live.threshold, live.dimension) == (pytest.approx(0.4), "height")
    live.threshold = 7.0
    assert live.threshold == pytest.approx(0.95)


def test_a_change_is_quick(couch):
    live, longest = couch.reconstruct.voxels, 0.0
    for threshold in (0.25, 0.35, 0.5):
        begin = time.process_time()
        live.threshold = threshold
        longest = max(longest, time.process_time() - begin)
    assert longest < 1.0


def test_nothing_as_probable_keeps_an_empty_mesh(couch):
    live = couch.reconstruct.voxels
    live.threshold = 0.95
    assert not len(couch.data.vertices) and not len(couch.data.polygons)
    live.smoothness = 0.1
    live.threshold = 0.5
    assert_stands(couch, 2.0)


def test_it_stays_where_it_was_put(couch):
    couch.location, couch.rotation_euler = (3, 4, 0.5), (0, 0, 1)
    couch.reconstruct.voxels.threshold = 0.7
    assert tuple(couch.location) == (3, 4, 0.5)
    assert_stands(couch, 2.0)


def test_units_of_the_scene(enabled):
    enabled.unit_settings.scale_length = 0.01
    item = voxel_object("couch", some(), VoxelShape(length=2.0), 0.01)
    enabled.collection.objects.link(item)
    assert_stands(item, 200.0)
    item.reconstruct.voxels.length = 80.0
    assert_stands(item, 80.0)
    assert 0.01 * extent_of(item).high[0] == pytest.approx(0.4)


def test_an_asset_of_a_file_in_centimeters_keeps_its_length(enabled, tmp_path):
    enabled.unit_settings.scale_length = 0.01
    item = voxel_object("couch", some(), VoxelShape(length=2.0), 0.01)
    enabled.collection.objects.link(item)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shelf.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.append(directory=str(tmp_path / "shelf.blend" / "Object") + "/", filename="couch")
    bpy.context.view_layer.update()
    item = bpy.context.scene.objects["couch"]
    live = item.reconstruct.voxels
    assert live.length == pytest.approx(2.0) and max(item.dimensions) == pytest.approx(2.0)
    live.length, live.threshold = 0.8, 0.7
    bpy.context.view_layer.update()
    assert live.length == pytest.approx(0.8) and max(item.dimensions) == pytest.approx(0.8)


def test_an_applied_transform_stays_with_another_threshold(couch):
    couch.scale = (0.5, 0.5, 0.5)
    bpy.context.view_layer.objects.active = couch
    couch.select_set(True)
    bpy.ops.object.transform_apply()
    bpy.context.view_layer.update()
    assert couch.reconstruct.voxels.length == pytest.approx(1.0)
    couch.reconstruct.voxels.threshold = 0.7
    bpy.context.view_layer.update()
    assert max(couch.dimensions) == pytest.approx(1.0)


def test_linked_voxels_stay_as_they_are(couch, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shelf.blend"))
    name = couch.name
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "shelf.blend"), link=True) as (_, taken):
        taken.objects = [name]
    (linked,) = taken.objects
    bpy.context.scene.collection.objects.link(linked)
    before = len(linked.data.vertices)
    for item in (linked, linked.override_create()):
        item.reconstruct.voxels.threshold = 0.8
        assert len(item.data.vertices) == before and item.data.library is not None


@pytest.mark.parametrize("linked", [False, True])
def test_duplicates_have_settings_of_their_own(couch, linked):
    bpy.context.view_layer.objects.active = couch
    couch.select_set(True)
    bpy.ops.object.duplicate(linked=linked)
    twin = bpy.context.object
    assert twin is not couch
    before = places(couch)
    twin.reconstruct.voxels.threshold = 0.8
    np.testing.assert_array_equal(places(couch), before)
    assert couch.reconstruct.voxels.threshold == pytest.approx(0.4)
    assert_stands(twin, 2.0)
    couch.reconstruct.voxels.length = 1.0
    assert_stands(twin, 2.0)


def test_undo(couch):
    bpy.ops.ed.undo_push(message="Before")
    couch.reconstruct.voxels.threshold = 0.8
    after = places(couch)
    bpy.ops.ed.undo_push(message="Threshold")
    bpy.ops.ed.undo()
    couch = bpy.data.objects["couch"]
    assert couch.reconstruct.voxels.threshold == pytest.approx(0.4)
    assert len(couch.data.vertices) != len(after)
    assert_stands(couch, 2.0)
    bpy.ops.ed.redo()
    np.testing.assert_array_equal(places(bpy.data.objects["couch"]), after)


def test_saved_moved_and_opened_again(couch, tmp_path):
    couch.reconstruct.voxels.smoothness = 0.25
    before = places(couch)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "room.blend"))
    (tmp_path / "elsewhere").mkdir()
    bpy.ops.wm.read_homefile(use_empty=True)
    (tmp_path / "room.blend").rename(tmp_path / "elsewhere" / "room.blend")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "elsewhere" / "room.blend"))
    couch = bpy.data.objects["couch"]
    assert couch.reconstruct.voxels.smoothness == pytest.approx(0.25)
    np.testing.assert_array_equal(places(couch), before)
    couch.reconstruct.voxels.threshold = 0.8
    assert_stands(couch, 2.0)


def test_materials_and_the_edited_mesh(couch):
    paint = bpy.data.materials.new("Paint")
    couch.data.materials[0] = paint
    couch.reconstruct.voxels.threshold = 0.5
    assert couch.data.materials[0] == paint
    bpy.context.view_layer.objects.active = couch
    bpy.ops.object.mode_set(mode="EDIT")
    couch.reconstruct.voxels.threshold = 0.8
    assert couch.reconstruct.voxels.threshold == pytest.approx(0.5), "what is edited is not taken away"
    bpy.ops.object.mode_set(mode="OBJECT")


@pytest.mark.parametrize("values", [{"probabilities": b"x"}, {"cells": -3}, {"cells": 10**9}, {"bands": b""}, {"bands": 3}, {"cells": "x"}])
def test_damaged_probabilities_change_nothing(couch, values):
    tag(couch.data, **{**tagged(couch.data), **values})
    before = places(couch)
    couch.reconstruct.voxels.threshold = 0.8
    np.testing.assert_array_equal(places(couch), before)
    assert couch.reconstruct.voxels.threshold == pytest.approx(0.4)


def test_other_objects_have_none(enabled):
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    cube.reconstruct.voxels.threshold = 0.8
    assert cube.reconstruct.voxels.threshold == pytest.approx(0.4) and len(cube.data.vertices) == 8


def test_it_can_be_placed(couch, enabled):
    place([couch], PlaceSettings(location=(1, 2, 0), rotation=90.0, on_floor=True))
    assert tuple(couch.location) == (1, 2, 0)


@pytest.fixture
def result(tmp_path):
    """A finished result of voxels, and its settings."""

    def write(**settings):
        folder = tmp_path / "chair"
        folder.mkdir(exist_ok=True)
        write_voxels(folder / "voxels.npz", some())
        write_result(folder, Result("done", "r2n2", "chair.jpg", settings=settings, artifacts=(Artifact("voxels", "voxels.npz"),)))
        return folder

    return write


def test_a_result_comes_in_as_it_was_made(enabled, result):
    enabled.unit_settings.scale_length = 0.5
    (made,) = import_result(enabled, result(images=["a"], threshold=0.7, dimension="height", length=0.8), ImportSettings())
    assert made.name == "chair" and made.name in enabled.collection.objects and not bpy.data.collections
    assert made.reconstruct.voxels.threshold == pytest.approx(0.7)
    assert_stands(made, 1.6, 2)


def test_as_an_asset_it_stays_live_in_another_file(enabled, result, tmp_path):
    (made,) = import_result(enabled, result(dimension="height", length=0.8), ImportSettings(asset=True))
    assert made.asset_data is not None and made.asset_data.description.endswith("0.80 m")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shelf.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "shelf.blend"), assets_only=True) as (there, here):
        here.objects = there.objects
    bpy.context.scene.collection.objects.link(here.objects[0])
    here.objects[0].reconstruct.voxels.threshold = 0.8
    assert_stands(here.objects[0], 0.8, 2)


@pytest.mark.parametrize("kept", [0, 300])
def test_damaged_voxels_are_refused(enabled, result, kept):
    file = result() / "voxels.npz"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match="voxels.npz is damaged"):
        import_result(enabled, file.parent, ImportSettings())
    assert not bpy.data.objects


def test_settings_that_cannot_be(enabled, result):
    with pytest.raises(UserError, match="threshold"):
        import_result(enabled, result(threshold=4.0), ImportSettings())


def test_noise_that_is_too_much_surface_is_refused_and_no_slider_gets_there(enabled):
    noise = Voxels(np.random.default_rng(0).random((96, 96, 96)).astype(np.float32), np.full((1, 3), 128, np.uint8))
    with pytest.raises(UserError, match="threshold of 0.4"):
        voxel_object("noise", noise, VoxelShape(threshold=0.4), 1.0)
    assert not bpy.data.objects and not bpy.data.meshes
    # Noise of a file that was made elsewhere, above a plain block.
    noise.probabilities[:] = np.where(noise.probabilities > 0.5, 0.6, 0.1)
    noise.probabilities[:8, :8, :8] = 1
    item = voxel_object("block", noise, VoxelShape(threshold=0.9), 1.0)
    enabled.collection.objects.link(item)
    faces = len(item.data.polygons)
    item.reconstruct.voxels.threshold = 0.5
    assert len(item.data.polygons) == faces and item.reconstruct.voxels.threshold == pytest.approx(0.9)
