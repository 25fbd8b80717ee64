# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 4: results get their place and their size."""

import sys

import bpy
import numpy as np
import pytest
from reconstruct.addon.blender.results.importing import import_file
from reconstruct.addon.blender.results.measuring import selected_points, size_of
from reconstruct.addon.blender.scene_folders import result_folder
from reconstruct.addon.blender.tagging import update_tag
from reconstruct.engine.contract.settings import ImportSettings
from reconstruct.engine.formats.points import write_points

root = sys.modules["reconstruct"]


@pytest.fixture
def scene():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root.register()
    yield bpy.context.scene
    root.unregister()


@pytest.fixture
def chair(scene, tmp_path):
    """A block of points, 1 × 2 × 0.5, of unknown scale."""
    return block(scene, tmp_path / "chair.ply")


def block(scene, file, scale="unknown"):
    write_points(file, np.random.default_rng(0).uniform((0, 0, 1), (1, 2, 1.5), (4000, 3)), None)
    (made,) = import_file(scene, file, ImportSettings(), "z-up")
    update_tag(made, scale=scale)
    select(made)
    return made


def select(*items):
    bpy.context.view_layer.update()
    for item in bpy.context.view_layer.objects:
        item.select_set(item in items)
    bpy.context.view_layer.objects.active = items[0]


def longest(item):
    bpy.context.view_layer.update()
    return size_of(item, bpy.context.scene.unit_settings.scale_length).max()


def test_a_length_is_for_one_object_and_one_press(scene, chair, tmp_path):
    sofa = block(scene, tmp_path / "sofa.ply", scale="metric")
    settings = scene.reconstruct.place
    select(chair)
    settings.known_length, settings.on_floor = 0.9, True
    assert bpy.ops.reconstruct.place() == {"FINISHED"}
    assert longest(chair) == pytest.approx(0.9, abs=1e-5) and settings.known_length == 0
    # Typed for another one, and forgotten.
    settings.known_length = 0.9
    select(sofa)
    assert bpy.ops.reconstruct.place() == {"FINISHED"}
    assert longest(sofa) == pytest.approx(2, abs=0.01) and settings.known_length == 0
    # Only on request.
    assert bpy.ops.reconstruct.set_length(length=1.5) == {"FINISHED"}
    assert longest(sofa) == pytest.approx(1.5, abs=1e-5) and longest(chair) == pytest.approx(0.9, abs=1e-5)


def pick(item, chosen):
    """Edit Mode with the points [N] bool selected."""
    select(item)
    bpy.ops.object.mode_set(mode="EDIT")
    assert selected_points(item) == 0, "all are selected at first"
    bpy.ops.object.mode_set(mode="OBJECT")
    for flags in (item.data.edges, item.data.polygons):
        flags.foreach_set("select", np.zeros(len(flags), bool))
    item.data.vertices.foreach_set("select", chosen)
    bpy.ops.object.mode_set(mode="EDIT")
    assert selected_points(item) == chosen.sum()


def world(item):
    bpy.context.view_layer.update()
    return np.array([item.matrix_world @ vertex.co for vertex in item.data.vertices])


def test_two_selected_points_get_their_distance(scene, chair):
    chair.rotation_euler = (0.3, 0.2, 1.0)
    points = world(chair)
    first, second = 17, int(np.linalg.norm(points - points[17], axis=1).argmax())
    pick(chair, np.isin(np.arange(len(points)), [first, second]))
    assert bpy.ops.reconstruct.set_length(length=0.5) == {"FINISHED"}
    assert bpy.context.mode == "OBJECT", "undo in Edit Mode would keep the new scale"
    points = world(chair)
    assert np.linalg.norm(points[first] - points[second]) == pytest.approx(0.5, abs=1e-5)
    # The selection counts in Edit Mode alone.
    bpy.ops.reconstruct.set_length(length=3.0)
    assert longest(chair) == pytest.approx(3.0, abs=1e-4)


def test_only_selected_points_are_placed_and_strays_among_them_do_not_count(scene, chair):
    """A lamp hangs below the floor of a scan, and one point of the floor is far below it."""
    points = world(chair)
    floor = points[:, 2] > 1.3
    stray = int(np.flatnonzero(floor)[0])
    chair.data.vertices[stray].co.z -= 5.0
    pick(chair, floor)
    settings = scene.reconstruct.place
    settings.on_floor, settings.known_length = True, 4.0
    assert bpy.ops.reconstruct.place() == {"FINISHED"}
    placed = world(chair)
    kept = floor & (np.arange(len(points)) != stray)
    assert placed[kept][:, 2].min() == pytest.approx(0.0, abs=0.01) and placed[:, 2].min() < -0.5
    assert np.ptp(placed[kept], axis=0).max() == pytest.approx(4.0, abs=0.02)


def test_two_points_in_one_place_have_no_length(scene, chair):
    chair.data.vertices[1].co = chair.data.vertices[0].co
    pick(chair, np.arange(len(chair.data.vertices)) < 2)
    with pytest.raises(RuntimeError, match="The selection has no size"):
        bpy.ops.reconstruct.set_length(length=0.5)


def test_several_get_no_length(scene, chair, tmp_path):
    other = block(scene, tmp_path / "other.ply")
    select(chair, other)
    scene.reconstruct.place.known_length = 1.0
    with pytest.raises(RuntimeError, match="2 results would get the same length"):
        bpy.ops.reconstruct.place()
    assert not bpy.ops.reconstruct.set_length.poll()
    assert longest(chair) == pytest.approx(2, abs=0.01)


def test_an_unknown_scale_and_nothing_to_do_get_an_answer(scene, chair, capfd):
    assert bpy.ops.reconstruct.place() == {"FINISHED"}
    assert "Nothing to do. Turn on On Floor" in capfd.readouterr().out
    scene.reconstruct.place.on_floor = True
    with pytest.raises(RuntimeError, match="scale of chair is not known"):
        bpy.ops.reconstruct.place()
    bpy.ops.reconstruct.set_length(length=1.0)
    bpy.ops.reconstruct.place()
    assert "Placed chair, 0.50 × 1.00 × 0.25 m." in capfd.readouterr().out


@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_lengths_are_typed_in_the_units_of_the_scene(scene, tmp_path, unit):
    scene.unit_settings.scale_length = unit
    made = block(scene, tmp_path / "sofa.ply", scale="metric")
    settings = scene.reconstruct.place
    np.testing.assert_allclose(settings.room_size_shown, np.array((8, 8, 3.4)) / unit, rtol=1e-6)
    settings.use_location, settings.location_shown = True, (3 / unit, -1 / unit, 0)
    np.testing.assert_allclose(settings.location, (3, -1, 0), rtol=1e-6)
    bpy.ops.reconstruct.place()
    bpy.context.view_layer.update()
    np.testing.assert_allclose(made.matrix_world.translation * unit, (3, -1, 0), atol=0.02)
    bpy.ops.reconstruct.set_length(length=4 / unit)
    assert longest(made) == pytest.approx(4, rel=1e-5)
    for name in ("location_shown", "room_size_shown", "known_length_shown"):
        assert settings.bl_rna.properties[name].unit == "LENGTH"


@pytest.mark.parametrize("folder", ["", "//elsewhere", "{home}"])
def test_a_new_scene_has_the_folders_and_units_of_the_old_one_and_shows_colors_as_captured(scene, tmp_path, folder):
    if folder == "{home}":
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "kitchen.blend"))
        folder = ""
    scene = bpy.context.scene
    write_points(tmp_path / "scan.ply", np.random.default_rng(0).uniform(size=(50, 3)), None)
    scene.reconstruct.import_.new_scene, scene.reconstruct.import_.result = True, folder
    scene.unit_settings.system, scene.unit_settings.length_unit = "IMPERIAL", "FEET"
    before = result_folder(scene)
    assert bpy.ops.reconstruct.import_file(filepath=str(tmp_path / "scan.ply")) == {"FINISHED"}
    new = next(other for other in bpy.data.scenes if other != scene)
    assert result_folder(new) == before and new.unit_settings.length_unit == "FEET"
    assert new.view_settings.view_transform == "Standard" and [item.name for item in new.objects] == ["scan"]


def test_blenders_own_errors_are_reports(scene, chair, monkeypatch):
    def fail(*_):
        raise RuntimeError("Error: Something is busy")

    monkeypatch.setattr("reconstruct.addon.operators.place.place", fail)
    scene.reconstruct.place.on_floor = True
    with pytest.raises(RuntimeError, match="^Error: Something is busy\n"):
        bpy.ops.reconstruct.place()
