# SPDX-License-Identifier: GPL-3.0-or-later
"""Every difference between Blender versions, found by feature and not by number."""

from __future__ import annotations

import functools
import importlib
import re

import bpy

from ...engine.contract.errors import UserError

_POINTS_TYPE = "GeometryNodePointsSetType"


def compositor_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """Gives a scene an empty compositor tree; drop it with :func:`drop_compositor_tree`. From 5.0 trees are data-blocks of their own."""
    if hasattr(scene, "compositing_node_group"):
        scene.compositing_node_group = bpy.data.node_groups.new("Reconstruct capture", "CompositorNodeTree")
        return scene.compositing_node_group
    scene.use_nodes = True
    scene.node_tree.nodes.clear()
    return scene.node_tree


def drop_compositor_tree(scene: bpy.types.Scene) -> None:
    """Removes the tree that :func:`compositor_tree` made."""
    if hasattr(scene, "compositing_node_group"):
        if scene.compositing_node_group is not None:
            bpy.data.node_groups.remove(scene.compositing_node_group)
    else:
        scene.use_nodes = False


def output_picture(tree: bpy.types.NodeTree, socket: bpy.types.NodeSocket) -> None:
    """Makes a socket of a compositor tree the rendered picture."""
    if hasattr(bpy.types, "CompositorNodeComposite"):
        node = tree.nodes.new("CompositorNodeComposite")
    else:
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        node = tree.nodes.new("NodeGroupOutput")
    tree.links.new(socket, node.inputs[0])


def output_float_exr(tree: bpy.types.NodeTree, socket: bpy.types.NodeSocket, folder: str, name: str, kind: str = "FLOAT") -> None:
    """Writes a socket of a compositor tree, FLOAT or RGBA, as a 32-bit EXR with each render: ``folder/name*.exr``, whose end differs by
    version.
    """
    node = tree.nodes.new("CompositorNodeOutputFile")
    set_picture_format(node.format, "OPEN_EXR")
    node.format.color_depth = "32"
    if hasattr(node, "file_slots"):
        node.base_path = folder
        node.file_slots.clear()
        node.file_slots.new(name)
    else:
        node.directory, node.file_name = folder, ""
        node.file_output_items.new(kind, name)
    tree.links.new(socket, node.inputs[0])


def use_cycles(scene: bpy.types.Scene) -> None:
    """Has a scene rendered by Cycles.

    Raises:
        UserError: it is an add-on, and may be switched off.
    """
    try:
        scene.render.engine = "CYCLES"
    except TypeError:
        raise UserError("Cycles is switched off in this Blender.", "Enable the Cycles add-on in Preferences.") from None


def use_denoiser(scene: bpy.types.Scene) -> bool:
    """Has Cycles denoise a scene's renders; False where this Blender was built without OpenImageDenoise, as some distributions do."""
    try:
        scene.cycles.denoiser = "OPENIMAGEDENOISE"
    except TypeError:
        scene.cycles.use_denoising = False
        return False
    scene.cycles.use_denoising = True
    return True


@functools.cache
def has_denoiser() -> bool:
    """Whether Cycles can denoise, see :func:`use_denoiser`; changes no scene."""
    try:
        return bool(importlib.import_module("_cycles").with_openimagedenoise)
    except (ImportError, AttributeError):
        # Not told. Renders find out.
        return True


def set_picture_format(settings: bpy.types.ImageFormatSettings, name: str) -> None:
    """Chooses a still picture's file format; from 5.0 the kind of medium has to be chosen first."""
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format = name


def material_tree(material: bpy.types.Material) -> bpy.types.ShaderNodeTree:
    """The nodes of a material; before 5.0 it has none until they are asked for."""
    if material.node_tree is None:
        material.use_nodes = True
    return material.node_tree


def use_wildcard(node: bpy.types.Node) -> None:
    """Has a node Remove Named Attribute read its name as a pattern."""
    if hasattr(node, "pattern_mode"):
        node.pattern_mode = "WILDCARD"
    else:
        node.inputs["Pattern Mode"].default_value = "Wildcard"


def has_modifier_input(modifier: bpy.types.NodesModifier, name: str) -> bool:
    """Whether the node group of a modifier has an input of this name, and its menu if it is one."""
    item = _input(modifier, name)
    return item is not None and (item.socket_type != "NodeSocketMenu" or bool(_choices(modifier)))


def modifier_input(modifier: bpy.types.NodesModifier, name: str) -> object:
    """The value of an input of a Geometry Nodes modifier; of a menu what is chosen in it."""
    item = _input(modifier, name)
    if hasattr(modifier, "properties"):
        return getattr(modifier.properties.inputs, item.identifier).value
    value = modifier[item.identifier]
    return _choices(modifier)[value] if item.socket_type == "NodeSocketMenu" else value


def set_modifier_input(modifier: bpy.types.NodesModifier, name: str, value: object) -> None:
    """Sets an input of a Geometry Nodes modifier by its name; from 5.2 inputs are properties, before they were items."""
    item = _input(modifier, name)
    if hasattr(modifier, "properties"):
        getattr(modifier.properties.inputs, item.identifier).value = value
    else:
        modifier[item.identifier] = _choices(modifier).index(value) if item.socket_type == "NodeSocketMenu" else value
    modifier.id_data.update_tag()


def draw_modifier_input(layout: bpy.types.UILayout, modifier: bpy.types.NodesModifier, name: str, text: str) -> None:
    """Draws the field of an input of a Geometry Nodes modifier."""
    item = _input(modifier, name)
    if hasattr(modifier, "properties"):
        layout.prop(getattr(modifier.properties.inputs, item.identifier), "value", text=text)
    else:
        layout.prop(modifier, f'["{item.identifier}"]', text=text)


def _input(modifier: bpy.types.NodesModifier, name: str) -> bpy.types.NodeTreeInterfaceSocket | None:
    items = modifier.node_group.interface.items_tree
    return next((item for item in items if item.name == name and item.item_type == "SOCKET" and item.in_out == "INPUT"), None)


def _choices(modifier: bpy.types.NodesModifier) -> list[str]:
    """What a menu offers, in the order of its numbers, which a modifier kept before 5.2."""
    node = next((node for node in modifier.node_group.nodes if node.bl_idname == "GeometryNodeMenuSwitch"), None)
    return [] if node is None else [item.name for item in node.enum_items]


def has_native_splats() -> bool:
    """Whether Blender draws gaussians itself, as points of a type of their own: 5.3 and later."""
    kinds = bpy.types.Attribute.bl_rna.properties["data_type"].enum_items
    return hasattr(bpy.types, _POINTS_TYPE) and "FLOAT4" in kinds


def native_splats(tree: bpy.types.NodeTree, points: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """Adds the node that makes points of a geometry tree Blender's own gaussians, where :func:`has_native_splats`."""
    node = tree.nodes.new(_POINTS_TYPE)
    tree.links.new(points, node.inputs[0])
    choose(node.inputs["Type"], "splat")
    return node.outputs[0]


def choose(menu: bpy.types.NodeSocket, word: str) -> None:
    """Takes the choice of a node's menu that has a word in it. Menus go by what the user reads, which may change with the version."""
    try:
        menu.default_value = ""
    except TypeError as error:  # it lists what there is to choose
        menu.default_value = next(choice for choice in re.findall(r"'([^']+)'", str(error)) if word in choice.lower())
