# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials of results. Those of surfaces glow in the colors that were captured, or are lit, as the attribute LIT says."""

from __future__ import annotations

import bpy
import numpy as np

from ....engine.color import srgb_to_linear
from ..compat import material_tree
from ..tagging import tag, tagged
from .nodes import VERSION, Builder
from .parts import COLOR

LIT = "lit"
_ROUGHNESS = 0.7
_BOX = (0.55, 0.56, 0.58)


def known_material(kind: str) -> bpy.types.Material | None:
    """The material of a kind and of today's layout that this file has already."""
    wanted = {"kind": kind, "version": VERSION}
    return next((item for item in bpy.data.materials if not item.library and wanted.items() <= tagged(item).items()), None)


def new_material(kind: str, name: str) -> tuple[bpy.types.Material, Builder]:
    """An empty material of ours, whose light Cycles does not look for: it would cost a light tree and give noise."""
    material = bpy.data.materials.new(name)
    tag(material, kind, version=VERSION)
    if hasattr(material, "cycles"):
        material.cycles.emission_sampling = "NONE"
    tree = material_tree(material)
    tree.nodes.clear()
    return material, Builder(tree)


def points_material() -> bpy.types.Material:
    """The material of points; one for all of them."""
    material = known_material("points")
    if material is None:
        material, build = new_material("points", "Reconstruct Points")
        color = build.node("ShaderNodeAttribute", (0, 0), attribute_name=COLOR)
        glow = build.node("ShaderNodeEmission", (200, 0))
        build.link(color.outputs["Color"], glow.inputs["Color"])
        build.link(glow.outputs[0], build.node("ShaderNodeOutputMaterial", (400, 0)).inputs["Surface"])
    return material


def mesh_material() -> bpy.types.Material:
    """The material of meshes with colored vertices; one for all of them."""
    material = known_material("mesh")
    if material is None:
        material, build = new_material("mesh", "Reconstruct Mesh")
        color = build.node("ShaderNodeAttribute", (-400, 0), attribute_name=COLOR).outputs["Color"]
        _finish(build, color, color)
    return material


def box_material() -> bpy.types.Material:
    """The material of boxes; one for all of them."""
    material = known_material("box")
    if material is None:
        material, build = new_material("box", "Reconstruct Box")
        surface = build.node("ShaderNodeBsdfPrincipled", (0, 0))
        surface.inputs["Base Color"].default_value = (*_BOX, 1.0)
        surface.inputs["Roughness"].default_value = _ROUGHNESS
        build.link(surface.outputs[0], build.node("ShaderNodeOutputMaterial", (300, 0)).inputs["Surface"])
        material.diffuse_color = (*_BOX, 1.0)
    return material


def proxy_material(name: str, captured: bytes, albedo: bytes | None, normal_map: bytes | None) -> bpy.types.Material:
    """The material of one proxy. Its pictures lie in the .blend.

    Args:
        name: of the result.
        captured, albedo, normal_map: PNG or JPEG; without an albedo the captured colors are lit.
    """
    material, build = new_material("proxy", f"{name} Proxy")
    color = _texture(build, _picture(f"{name} Captured", captured), (-600, 300))
    base = _texture(build, _picture(f"{name} Albedo", albedo), (-600, 0)) if albedo is not None else color
    bumps = None
    if normal_map is not None:
        picture = _picture(f"{name} Normals", normal_map)
        picture.colorspace_settings.name = "Non-Color"
        bumps = build.node("ShaderNodeNormalMap", (-250, -300))
        build.link(_texture(build, picture, (-600, -300)), bumps.inputs["Color"])
        bumps = bumps.outputs[0]
    _finish(build, color, base, bumps)
    # What Solid shading shows.
    material.diffuse_color = (*_mean_color(color.node.image), 1.0)
    build.tree.nodes.active = color.node
    return material


def _finish(build: Builder, captured: bpy.types.NodeSocket, base: bpy.types.NodeSocket, bumps: bpy.types.NodeSocket | None = None) -> None:
    glow = build.node("ShaderNodeEmission", (0, 300))
    build.link(captured, glow.inputs["Color"])
    surface = build.node("ShaderNodeBsdfPrincipled", (0, 100))
    surface.inputs["Roughness"].default_value = _ROUGHNESS
    build.link(base, surface.inputs["Base Color"])
    if bumps is not None:
        build.link(bumps, surface.inputs["Normal"])
    mix = build.node("ShaderNodeMixShader", (300, 300))
    build.link(build.node("ShaderNodeAttribute", (0, 500), attribute_name=LIT).outputs["Fac"], mix.inputs[0])
    build.link(glow.outputs[0], mix.inputs[1])
    build.link(surface.outputs[0], mix.inputs[2])
    build.link(mix.outputs[0], build.node("ShaderNodeOutputMaterial", (500, 300)).inputs["Surface"])


def _texture(build: Builder, picture: bpy.types.Image, place: tuple[float, float]) -> bpy.types.NodeSocket:
    return build.node("ShaderNodeTexImage", place, image=picture, extension="EXTEND").outputs["Color"]


def _picture(name: str, data: bytes) -> bpy.types.Image:
    """A picture inside the .blend, which no file can go missing of."""
    picture = bpy.data.images.new(name, 1, 1)
    picture.pack(data=data, data_len=len(data))
    picture.source = "FILE"
    return picture


def _mean_color(picture: bpy.types.Image) -> list[float]:
    pixels = np.empty(len(picture.pixels), dtype=np.float32)
    picture.pixels.foreach_get(pixels)
    codes = pixels.reshape(-1, 4)[:, :3].mean(axis=0, dtype=np.float64) if pixels.size else np.full(3, 0.8)
    return srgb_to_linear(codes).tolist()
