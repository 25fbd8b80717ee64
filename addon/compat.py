# SPDX-License-Identifier: GPL-3.0-or-later
"""Every difference between Blender versions, found by feature and not by number."""

from __future__ import annotations

import bpy

from ..engine.contract.errors import UserError


def new_point_cloud(name: str, count: int) -> bpy.types.PointCloud:
    """A point cloud of ``count`` points at the origin.

    Args:
        name: name of the data-block.
        count: how many points, at least 1.
    """
    cloud = bpy.data.pointclouds.new(name)
    if hasattr(cloud, "resize"):
        cloud.resize(count)
        return cloud
    # Before 5.1 only the conversion of a mesh makes one; a scene of its own keeps the user's selection and mode out of it.
    bpy.data.pointclouds.remove(cloud)
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(count)
    source = bpy.data.objects.new(name, mesh)
    scene = bpy.data.scenes.new(name)
    try:
        scene.collection.objects.link(source)
        layer = scene.view_layers[0]
        layer.objects.active = source
        source.select_set(True, view_layer=layer)
        selected = {"object": source, "active_object": source, "selected_objects": [source], "selected_editable_objects": [source]}
        with bpy.context.temp_override(scene=scene, view_layer=layer, **selected):
            bpy.ops.object.convert(target="POINTCLOUD")
        return source.data
    finally:
        bpy.data.objects.remove(source)
        bpy.data.scenes.remove(scene)
        bpy.data.meshes.remove(mesh)


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


def set_modifier_input(modifier: bpy.types.NodesModifier, name: str, value: object) -> None:
    """Sets an input of a Geometry Nodes modifier by its name; from 5.2 inputs are properties, before they were items."""
    item = next(item for item in modifier.node_group.interface.items_tree if item.name == name and item.in_out == "INPUT")
    if hasattr(modifier, "properties"):
        getattr(modifier.properties.inputs, item.identifier).value = value
    else:
        modifier[item.identifier] = value
    modifier.id_data.update_tag()
