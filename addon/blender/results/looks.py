# SPDX-License-Identifier: GPL-3.0-or-later
"""What an imported result is shown as: a box, points, a mesh, a proxy or splats, in the viewport and in renders.

All of them lie in the object's one mesh (see parts.py), but for the box, which is made about its solid part. The object's
modifier "Look" lets through what its inputs ask for. So every duplicate, linked copy and appended asset has a look of its own, and nothing
is ever read again.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ...core.looks import LOOKS, nearest
from ..compat import has_modifier_input, has_native_splats, modifier_input, native_splats, set_modifier_input
from ..tagging import kind_of, tag, tagged
from .materials import LIT, box_material, points_material
from .nodes import VERSION, Builder
from .parts import MESH, PART, POINTS, PROXY, RADIUS, SOLID, Part, mesh_of
from .splat_nodes import splat_geometry

_SURFACES = {"mesh": MESH, "proxy": PROXY}
_NAME = "Reconstruct Look"
# The input that limits how many gaussians nodes draw in the viewport, where more make turning the view slow. Blender's own need no limit.
VIEWPORT_SPLATS = "Viewport Splats"
_MOST_SPLATS = 30_000


def look_object(name: str, parts: Sequence[Part], looks: Sequence[str]) -> bpy.types.Object:
    """Makes an object of parts.

    Args:
        name: name of the object.
        parts: what it can look like; points among them.
        looks: names of :data:`LOOKS` that the parts can be shown as.

    Returns:
        The object, in no collection yet; points, until :func:`show` is called.
    """
    shown = bpy.data.objects.new(name, mesh_of(name, parts))
    tag(shown.data, "looks", looks=" ".join(looks))
    shown.modifiers.new("Look", "NODES").node_group = _node_group()
    # Makes the property group of the panel, which a library override needs to be there in the file that it is linked from.
    getattr(shown, "reconstruct", None)
    show(shown, "points", "points")
    return shown


def looks_of(item: bpy.types.Object) -> list[str]:
    """The looks that an object has, lightest first; none where it is no imported result."""
    held = tagged(item.data).get("looks", "").split() if item.data is not None and look_modifier(item) else []
    return [look for look in LOOKS if look in held]


def look_modifier(item: bpy.types.Object) -> bpy.types.NodesModifier | None:
    """The modifier that chooses what an object looks like; None also where its node group was edited beyond use."""
    nodes = (modifier for modifier in item.modifiers if modifier.type == "NODES" and modifier.node_group is not None)
    looks = (modifier for modifier in nodes if kind_of(modifier.node_group) == "look")
    return next((modifier for modifier in looks if all(has_modifier_input(modifier, name) for name in ("Viewport", "Render", "Lit"))), None)


def has_node_splats(item: bpy.types.Object) -> bool:
    """Whether nodes draw the splats of an object, as they do below Blender 5.3 and in files from there."""
    return "splats" in looks_of(item) and has_modifier_input(look_modifier(item), VIEWPORT_SPLATS)


def shown_as(item: bpy.types.Object, where: str) -> str:
    """The look of a result. ``where`` is "Viewport" or "Render"."""
    return str(modifier_input(look_modifier(item), where)).lower()


def is_lit(item: bpy.types.Object) -> bool:
    """Whether the room's lights fall on a result's mesh and proxy."""
    return bool(modifier_input(look_modifier(item), "Lit"))


def show(item: bpy.types.Object, viewport: str = "", render: str = "", lit: bool | None = None) -> bool:
    """Changes what a result looks like.

    Args:
        item: an imported result.
        viewport, render: names of :data:`LOOKS`; "" keeps what is.
        lit: let the room's lights fall on its mesh and proxy; None keeps what is.

    Returns:
        Whether it has the looks that were asked for; else the nearest lighter one is taken.
    """
    modifier, held = look_modifier(item), looks_of(item)
    exact = True
    for where, look in (("Viewport", viewport), ("Render", render)):
        if look:
            taken = nearest(look, held)
            exact &= taken == look
            set_modifier_input(modifier, where, taken.title())
    if lit is not None:
        set_modifier_input(modifier, "Lit", lit)
    _set_rays(item)
    return exact


def _set_rays(item: bpy.types.Object) -> None:
    """Colors that hold the light they were captured in neither light nor shade the room; what is lit does both."""
    look = shown_as(item, "Render")
    real = look == "box" or look in ("mesh", "proxy") and is_lit(item)
    for ray in ("diffuse", "glossy", "transmission", "volume_scatter", "shadow"):
        if getattr(item, f"visible_{ray}") != real:
            setattr(item, f"visible_{ray}", real)


def _node_group() -> bpy.types.NodeTree:
    # A file of an older Blender brings nodes for gaussians as they were kept there, one of an older Reconstruct nodes of another layout.
    layout = {"native": int(has_native_splats()), "version": VERSION}
    for group in bpy.data.node_groups:
        if kind_of(group) == "look" and not group.library and layout.items() <= tagged(group).items():
            return group
    group = bpy.data.node_groups.new(_NAME, "GeometryNodeTree")
    tag(group, "look", **layout)
    group.is_modifier = True
    menus = _sockets(group)
    build = Builder(group)
    node, math, link = build.node, build.math, build.link
    source = node("NodeGroupInput", (-1600, 1500))
    interactive = node("GeometryNodeIsViewport", (-1600, 1800)).outputs[0]
    chosen = node("GeometryNodeSwitch", (2200, 1800), input_type="MENU")
    link(interactive, chosen.inputs["Switch"])
    link(source.outputs["Render"], chosen.inputs["False"])
    link(source.outputs["Viewport"], chosen.inputs["True"])
    menu = node("GeometryNodeMenuSwitch", (2500, 1500), data_type="GEOMETRY")
    for index, look in enumerate(LOOKS):
        # The first two are there, and a file of Blender 4.5 keeps the numbers of choices.
        item = menu.enum_items[index] if index < 2 else menu.enum_items.new(look.title())
        item.name = look.title()
    link(chosen.outputs[0], menu.inputs["Menu"])
    for index, (look, number) in enumerate(_SURFACES.items()):
        surface = _part(build, source.outputs["Geometry"], number, (-1000, 2600 - 250 * index))
        link(build.stored(surface, LIT, "FLOAT", source.outputs["Lit"], "POINT", (-400, 2600 - 250 * index)), menu.inputs[look.title()])
    gaussians = _part(build, source.outputs["Geometry"], POINTS, (-1000, 1600))
    solid = node("GeometryNodeSeparateGeometry", (-600, 2100))
    link(source.outputs["Geometry"], solid.inputs["Geometry"])
    link(build.attribute(SOLID, "BOOLEAN", (-800, 2000)), solid.inputs["Selection"])
    box = node("GeometryNodeBoundBox", (-400, 2100))
    link(solid.outputs["Selection"], box.inputs["Geometry"])
    link(build.dressed(box.outputs["Bounding Box"], box_material(), (-200, 2100)), menu.inputs["Box"])
    radius = build.attribute(RADIUS, "FLOAT", (-600, 1400))
    points = node("GeometryNodeMeshToPoints", (-200, 1600))
    link(gaussians, points.inputs["Mesh"])
    link(math("GREATER_THAN", (-400, 1400), radius, 0.0), points.inputs["Selection"])
    link(radius, points.inputs["Radius"])
    points = build.dressed(points.outputs[0], points_material(), (0, 1600))
    link(points, menu.inputs["Points"])
    link(_drawn(build, gaussians, points, source, interactive), menu.inputs["Splats"])
    link(menu.outputs[0], node("NodeGroupOutput", (2700, 1500)).inputs[0])
    for socket in menus:
        socket.default_value = "Points"
    return group


def _drawn(
    build: Builder,
    gaussians: bpy.types.NodeSocket,
    points: bpy.types.NodeSocket,
    source: bpy.types.Node,
    interactive: bpy.types.NodeSocket,
) -> bpy.types.NodeSocket:
    """Gaussians as Blender draws them itself, else as nodes do; too many for these are shown as points in the viewport."""
    node, math, link = build.node, build.math, build.link
    if has_native_splats():
        cloud = node("GeometryNodeMeshToPoints", (-200, 1000))
        link(gaussians, cloud.inputs["Mesh"])
        return native_splats(build.tree, cloud.outputs[0])
    facing = node("FunctionNodeBooleanMath", (-1000, 1000), operation="NIMPLY")
    link(source.outputs["Face Camera"], facing.inputs[0])
    link(interactive, facing.inputs[1])
    size = node("GeometryNodeAttributeDomainSize", (-600, 1200), component="MESH")
    link(gaussians, size.inputs[0])
    many = node("FunctionNodeBooleanMath", (-200, 1200), operation="AND")
    link(math("GREATER_THAN", (-400, 1200), size.outputs["Point Count"], source.outputs[VIEWPORT_SPLATS]), many.inputs[0])
    link(interactive, many.inputs[1])
    splats = node("GeometryNodeSwitch", (2300, 1000), input_type="GEOMETRY")
    link(many.outputs[0], splats.inputs["Switch"])
    link(splat_geometry(build, gaussians, facing.outputs[0]), splats.inputs["False"])
    link(points, splats.inputs["True"])
    return splats.outputs[0]


def _sockets(group: bpy.types.NodeTree) -> list[bpy.types.NodeTreeInterfaceSocket]:
    """The inputs and the output of the group; gives the two menus."""

    def socket(name: str, kind: str, description: str, way: str = "INPUT", **values: object) -> bpy.types.NodeTreeInterfaceSocket:
        made = group.interface.new_socket(name, in_out=way, socket_type=f"NodeSocket{kind}", description=description)
        for key, value in values.items():
            setattr(made, key, value)
        return made

    socket("Geometry", "Geometry", "")
    menus = [
        socket("Viewport", "Menu", "What is shown while you work"),
        socket("Render", "Menu", "What is rendered. In the Reconstruct tab it also decides on shadows and reflections"),
    ]
    socket("Lit", "Bool", "Let the room's lights fall on mesh and proxy, instead of showing the light they were captured in")
    if not has_native_splats():
        limit = "With more gaussians than this, splats are shown as points in the viewport"
        socket(VIEWPORT_SPLATS, "Int", limit, default_value=_MOST_SPLATS, min_value=0)
        facing = (
            "In renders, draw each gaussian facing the scene's camera, in the color it has from there; switch off for instances of a "
            "collection, and for orthographic cameras"
        )
        socket("Face Camera", "Bool", facing, default_value=True)
    socket("Geometry", "Geometry", "", "OUTPUT")
    return menus


def _part(build: Builder, geometry: bpy.types.NodeSocket, number: int, place: tuple[float, float]) -> bpy.types.NodeSocket:
    x, y = place
    part = build.attribute(PART, "INT", (x, y - 150))
    made = build.node("GeometryNodeSeparateGeometry", (x + 400, y))
    build.link(geometry, made.inputs["Geometry"])
    build.link(build.math("COMPARE", (x + 200, y - 150), part, float(number), 0.5), made.inputs["Selection"])
    return made.outputs["Selection"]
