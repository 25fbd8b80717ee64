# SPDX-License-Identifier: GPL-3.0-or-later
"""The digest of a scene changes with whatever shows in a render, and with nothing else."""

import contextlib
import math

import bpy
import pytest
from reconstruct.addon.blender.capture.fingerprint import fingerprint


@pytest.fixture
def corner(scene, add_mesh, tmp_path):
    """A textured card with a color attribute, a modifier, a lamp and a world."""
    card = add_mesh("Card", [(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1)], [(0, 1, 2, 3)], (0.5, 0.5, 0.5))
    card.data.uv_layers.new(name="UVMap")
    card.data.color_attributes.new("Paint", "FLOAT_COLOR", "POINT")
    card.modifiers.new("Thick", "SOLIDIFY").thickness = 0.1
    image = bpy.data.images.new("Pattern", 4, 4)
    image.filepath_raw, image.file_format = str(tmp_path / "pattern.png"), "PNG"
    image.save()
    bpy.data.images.remove(image)
    tree = card.data.materials[0].node_tree
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.load(str(tmp_path / "pattern.png"))
    tree.links.new(texture.outputs["Color"], next(node for node in tree.nodes if node.type == "EMISSION").inputs["Color"])
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    scene.collection.objects.link(lamp)
    scene.world = bpy.data.worlds.new("Sky")
    if scene.world.node_tree is None:  # Blender 4.5; later ones always have a tree
        scene.world.use_nodes = True
    return card


def nodes():
    return bpy.data.materials["Card"].node_tree.nodes


def edit_file(tmp_path):
    image = bpy.data.images.new("New", 5, 5)
    image.filepath_raw, image.file_format = str(tmp_path / "pattern.png"), "PNG"
    image.save()
    bpy.data.images.remove(image)


CHANGES = {
    "a vertex": lambda card, _: card.data.vertices[0].co.__setitem__(0, -1.1),
    "a UV": lambda card, _: card.data.uv_layers[0].uv[0].vector.__setitem__(0, 0.3),
    "a painted color": lambda card, _: card.data.color_attributes[0].data[0].color.__setitem__(0, 0.3),
    "a modifier": lambda card, _: setattr(card.modifiers[0], "thickness", 0.2),
    "a transform": lambda card, _: card.location.__setitem__(0, 0.5),
    "visibility": lambda card, _: setattr(card, "visible_shadow", False),
    "a lamp": lambda card, _: setattr(bpy.data.lights["Lamp"], "energy", 7.0),
    "the world": lambda card, _: (
        bpy.data.worlds["Sky"].node_tree.nodes["Background"].inputs[1].default_value.__class__
        and setattr(bpy.data.worlds["Sky"].node_tree.nodes["Background"].inputs[1], "default_value", 3.0)
    ),
    "a socket": lambda card, _: setattr(next(node for node in nodes() if node.type == "EMISSION").inputs[1], "default_value", 2.0),
    "a link": lambda card, _: bpy.data.materials["Card"].node_tree.links.remove(bpy.data.materials["Card"].node_tree.links[-1]),
    "another material": lambda card, _: card.data.materials.__setitem__(0, bpy.data.materials.new("Other")),
    "a texture's file": lambda card, tmp_path: edit_file(tmp_path),
    "a custom property": lambda card, _: card.__setitem__("tint", 0.3),
    "the light's paths": lambda card, _: setattr(bpy.context.scene.cycles, "max_bounces", 3),
    "the frame": lambda card, _: bpy.context.scene.frame_set(12),
    "one more object": lambda card, _: bpy.context.scene.collection.objects.link(card.copy()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_that_shows_is_found(scene, corner, tmp_path, change):
    before = fingerprint(scene)
    assert fingerprint(scene) == before
    change(corner, tmp_path)
    assert fingerprint(scene) != before


def test_a_copy_of_the_file_elsewhere_and_what_the_interface_keeps_change_nothing(scene, corner, tmp_path):
    file, copy = tmp_path / "a.blend", tmp_path / "deep" / "er" / "b.blend"
    copy.parent.mkdir(parents=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    before = fingerprint(bpy.context.scene)
    bpy.ops.wm.save_as_mainfile(filepath=str(copy), copy=True)
    for opened in (file, copy):
        bpy.ops.wm.open_mainfile(filepath=str(opened))
        scene = bpy.context.scene
        card = bpy.data.objects["Card"]
        scene.view_layers[0].objects.active = card
        card.select_set(True)
        nodes()[0].select, nodes()[0].location = not nodes()[0].select, (math.pi, 3.0)
        for vertex in card.data.vertices:
            vertex.select = not vertex.select
        card.hide_viewport = True
        assert fingerprint(scene) == before
        assert card.hide_viewport


def test_every_node_modifier_and_constraint_can_be_hashed(scene, corner):
    names = [name for name in dir(bpy.types) if name.startswith(("ShaderNode", "GeometryNode", "FunctionNode"))]
    trees = bpy.data.materials["Card"].node_tree, bpy.data.node_groups.new("Nodes", "GeometryNodeTree")
    for tree in trees:
        for name in names:
            with contextlib.suppress(RuntimeError):
                tree.nodes.new(name)
    assert min(len(tree.nodes) for tree in trees) > 80
    for owner, kind in ((corner.modifiers, bpy.types.Modifier), (corner.constraints, bpy.types.Constraint)):
        for item in kind.bl_rna.properties["type"].enum_items:
            with contextlib.suppress(RuntimeError, TypeError):
                owner.new(item.identifier, item.identifier) if owner == corner.modifiers else owner.new(item.identifier)
    for modifier in corner.modifiers:
        modifier.show_viewport = False
    assert fingerprint(scene) == fingerprint(scene)
