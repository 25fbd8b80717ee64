# SPDX-License-Identifier: GPL-3.0-or-later
"""A few words for building node trees."""

from __future__ import annotations

from typing import Any

import bpy


class Builder:
    """Adds nodes to a tree. Places are where a node shows in the editor."""

    def __init__(self, tree: bpy.types.NodeTree):
        self._nodes = tree.nodes
        self.link = tree.links.new

    def node(self, kind: str, place: tuple[float, float], **values: Any) -> bpy.types.Node:
        """A node with its properties set."""
        made = self._nodes.new(kind)
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

    def named(self, name: str, kind: str, place: tuple[float, float]) -> bpy.types.NodeSocket:
        """A named attribute in Geometry Nodes."""
        made = self.node("GeometryNodeInputNamedAttribute", place, data_type=kind)
        made.inputs["Name"].default_value = name
        return made.outputs["Attribute"]
