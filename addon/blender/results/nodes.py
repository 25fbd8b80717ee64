# SPDX-License-Identifier: GPL-3.0-or-later
"""A few words for building node trees."""

from __future__ import annotations

from typing import Any

import bpy

from ..compat import use_wildcard

# Of the layout of our node groups and materials. Raise it with every change: those of another version in a file are left as they are, and
# new ones are made beside them.
VERSION = 2


class Builder:
    """Adds nodes to a tree. Places are where a node shows in the editor."""

    def __init__(self, tree: bpy.types.NodeTree):
        self.tree = tree
        self.link = tree.links.new

    def node(self, kind: str, place: tuple[float, float], **values: Any) -> bpy.types.Node:
        """A node with its properties set."""
        made = self.tree.nodes.new(kind)
        made.location = place
        for key, value in values.items():
            setattr(made, key, value)
        return made

    def math(self, operation: str, place: tuple[float, float], *values: bpy.types.NodeSocket | float) -> bpy.types.NodeSocket:
        """The outcome of a Math node on sockets and numbers."""
        made = self.node("ShaderNodeMath", place, operation=operation)
        for socket, value in zip(made.inputs, values, strict=False):
            if isinstance(value, (int, float)):
                socket.default_value = value
            else:
                self.link(value, socket)
        return made.outputs[0]

    def dot(self, first: bpy.types.NodeSocket, second: bpy.types.NodeSocket, place: tuple[float, float]) -> bpy.types.NodeSocket:
        """The dot product of two vectors."""
        made = self.node("ShaderNodeVectorMath", place, operation="DOT_PRODUCT")
        self.link(first, made.inputs[0])
        self.link(second, made.inputs[1])
        return made.outputs["Value"]

    def attribute(self, name: str, kind: str, place: tuple[float, float]) -> bpy.types.NodeSocket:
        """A named attribute in Geometry Nodes."""
        made = self.node("GeometryNodeInputNamedAttribute", place, data_type=kind)
        made.inputs["Name"].default_value = name
        return made.outputs["Attribute"]

    def stored(
        self,
        geometry: bpy.types.NodeSocket,
        name: str,
        kind: str,
        value: bpy.types.NodeSocket | float,
        domain: str,
        place: tuple[float, float],
    ) -> bpy.types.NodeSocket:
        """Geometry with a named attribute."""
        made = self.node("GeometryNodeStoreNamedAttribute", place, data_type=kind, domain=domain)
        made.inputs["Name"].default_value = name
        self.link(geometry, made.inputs["Geometry"])
        self.link(value, made.inputs["Value"])
        return made.outputs[0]

    def without(self, geometry: bpy.types.NodeSocket, name: str, place: tuple[float, float]) -> bpy.types.NodeSocket:
        """Geometry without a named attribute; ``*`` matches any letters."""
        made = self.node("GeometryNodeRemoveAttribute", place)
        if "*" in name:
            use_wildcard(made)
        made.inputs["Name"].default_value = name
        self.link(geometry, made.inputs["Geometry"])
        return made.outputs[0]

    def dressed(self, mesh: bpy.types.NodeSocket, material: bpy.types.Material, place: tuple[float, float]) -> bpy.types.NodeSocket:
        """Geometry in a material."""
        made = self.node("GeometryNodeSetMaterial", place)
        made.inputs["Material"].default_value = material
        self.link(mesh, made.inputs["Geometry"])
        return made.outputs[0]
