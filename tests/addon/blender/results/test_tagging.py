# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags, those of files of version 0.1 among them, and what other versions left in a file."""

import sys

import bpy
import numpy as np
import pytest
from reconstruct.addon.blender.results.importing import import_result
from reconstruct.addon.blender.results.looks import look_modifier, looks_of, shown_as
from reconstruct.addon.blender.results.measuring import size_of
from reconstruct.addon.blender.tagging import kind_of, tag, tagged, update_tag
from reconstruct.engine.contract.settings import ImportSettings

root = sys.modules["reconstruct"]


@pytest.fixture
def enabled(scene):
    root.register()
    yield scene
    root.unregister()


@pytest.fixture
def folder(splats, result):
    rng = np.random.default_rng(0)
    means = rng.uniform(-1, 1, (300, 3))
    return result(splats(means, np.full((300, 3), 0.05), [(1, 0, 0, 0)] * 300, np.full(300, 0.9), np.full((300, 3), 0.5)))


def test_the_tag_is_not_where_the_registered_property_is(enabled, folder):
    """Up to 4.5 that is one ID property, which setters of the property group would replace while they run."""
    (made,) = import_result(enabled, folder, ImportSettings())
    for block in (made, made.data, look_modifier(made).node_group):
        assert kind_of(block) and "kind" not in (block.get("reconstruct") or {})
    made.reconstruct.viewport = "box"
    update_tag(made, note="again")
    assert made.reconstruct.viewport == "box" and tagged(made)["note"] == "again" and kind_of(made) == "result"


def test_tags_of_an_earlier_version_are_read(enabled):
    item = bpy.data.objects.new("old", None)
    item["reconstruct"] = {"kind": "result", "scale": "metric", "low": [0.0] * 3}
    assert kind_of(item) == "result" and tagged(item)["scale"] == "metric"
    update_tag(item, scale="unknown")
    assert tagged(item) == {"kind": "result", "scale": "unknown", "low": [0.0] * 3}
    other = bpy.data.objects.new("none", None)
    assert kind_of(other) == "" and tagged(other) == {} and not looks_of(other)
    # What the panel reads makes a property group there.
    assert other.reconstruct.lit is False and kind_of(other) == ""


def test_nodes_and_materials_of_another_version_are_left_and_new_ones_made(enabled, folder):
    (old,) = import_result(enabled, folder, ImportSettings())
    group = look_modifier(old).node_group
    for block in (group, *bpy.data.materials):
        update_tag(block, version=1)
    before = [(block.name, len(block.node_tree.nodes)) for block in bpy.data.materials], len(group.nodes)
    (made,) = import_result(enabled, folder, ImportSettings())
    assert look_modifier(made).node_group != group == look_modifier(old).node_group
    assert [(name, len(bpy.data.materials[name].node_tree.nodes)) for name, _ in before[0]] == before[0] and len(group.nodes) == before[1]
    assert len(bpy.data.materials) == 2 * len(before[0])
    (third,) = import_result(enabled, folder, ImportSettings())
    assert look_modifier(third).node_group == look_modifier(made).node_group


@pytest.mark.parametrize("damage", ["input", "menu"])
def test_a_group_that_the_user_edited_raises_nothing_in_the_panel(enabled, folder, damage):
    (made,) = import_result(enabled, folder, ImportSettings())
    group = look_modifier(made).node_group
    if damage == "input":
        group.interface.remove(group.interface.items_tree["Viewport"])
    else:
        group.nodes.remove(next(node for node in group.nodes if node.bl_idname == "GeometryNodeMenuSwitch"))
    bpy.context.view_layer.update()
    assert look_modifier(made) is None and looks_of(made) == []
    assert made.reconstruct.lit is False and made.reconstruct.viewport == ""
    np.testing.assert_allclose(size_of(made, 1.0), (2, 2, 2), atol=0.1)


def test_library_overrides_keep_what_is_shown_and_linked_results_stay_as_they_are(enabled, nodes, folder, tmp_path):
    (made,) = import_result(enabled, folder, ImportSettings())
    name, library = made.name, str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=library)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(library, link=True) as (_, taken):
        taken.objects = [name]
    (linked,) = taken.objects
    scene = bpy.context.scene
    scene.collection.objects.link(linked)
    bpy.context.view_layer.update()
    linked.select_set(True)
    linked.reconstruct.viewport = "box"
    assert shown_as(linked, "Viewport") == "points"
    scene.reconstruct.place.on_floor = True
    before = tuple(linked.location)
    with pytest.raises(RuntimeError, match="linked from another file.*Library Override"):
        bpy.ops.reconstruct.place()
    assert tuple(linked.location) == before
    override = linked.override_create(remap_local_usages=True)
    assert override.reconstruct.is_property_overridable_library("viewport")
    override.reconstruct.viewport, override.reconstruct.lit = "box", True
    override.select_set(True)
    assert bpy.ops.reconstruct.place() == {"FINISHED"}
    for look in ("box", "splats"):
        override.reconstruct.viewport = look
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "room.blend"))
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "room.blend"))
        override = next(item for item in bpy.data.objects if item.library is None)
        assert override.override_library is not None and override.reconstruct.viewport == look and override.reconstruct.lit
        assert abs(override.location.z) < 0.1


def test_voxels_of_another_file_are_not_touched(enabled):
    item = bpy.data.objects.new("voxels", bpy.data.meshes.new("voxels"))
    tag(item.data, "voxels", threshold=0.4)
    assert item.reconstruct.voxels.threshold == pytest.approx(0.4)
    item.reconstruct.voxels.threshold = 0.7
    assert tagged(item.data)["threshold"] == pytest.approx(0.4), "there are no voxels to make a mesh of"
