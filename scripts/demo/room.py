# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo room: a furnished living room of 6 × 6 × 3.2 m, put together in the open Blender from the models in ``assets/``."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import bpy

ASSETS = Path(__file__).parent / "assets"

# Name, model, place in meters, turn about the vertical in degrees. The room's middle is the origin, its floor z = 0.
PLACEMENTS = (
    ("Living room", "living_room", (0.0, 0.0, 0.0), 0.0),
    ("Cabinet", "painted_wooden_cabinet", (-1.7753, 2.5818, 0.0), 0.0),
    ("Bookshelf", "wooden_bookshelf_worn", (2.716, -1.0716, 0.0), -90.0),
    ("Tall cabinet", "painted_wooden_cabinet_02", (0.0235, 2.6566, 0.0), 0.0),
    ("Sofa", "sofa_03", (0.0, -2.4117, 0.0), 180.0),
    ("Stool", "painted_wooden_stool", (1.7744, 1.6287, 0.0), 30.0),
    ("Curtain", "curtain_open", (0.0, 0.0, 0.0), 0.0),
    ("Table", "wooden_table_02", (0.0, 0.0, 0.0), 0.0),
    ("Tea set", "tea_set_posed", (0.1, 0.0, 0.7985), 90.0),
)

# The model's four round fittings under the ceiling, x and y in meters.
LAMPS = ((1.0, 1.0), (-0.98, 0.98), (-1.01, -1.01), (1.0, -1.02))


def build() -> None:
    """Assembles the room in the open scene, which should be empty. Takes a few seconds.

    Every piece of furniture becomes one mesh object, standing in the scene's own collection under a plain name.
    """
    import addon_utils  # bpy brings it along: it is only there afterwards

    scene = bpy.context.scene
    addon_utils.enable("io_scene_gltf2")
    for name, model, place, turn in PLACEMENTS:
        _place(name, ASSETS / f"{model}.gltf", place, turn)
    for index, (x, y) in enumerate(LAMPS, 1):
        _lamp(f"Ceiling lamp {index}", x, y)
    scene.world = _daylight()
    scene.unit_settings.system, scene.unit_settings.scale_length = "METRIC", 1.0
    # Pale light that has bounced more often changes nothing to be seen in a closed room of this kind.
    scene.cycles.max_bounces, scene.cycles.diffuse_bounces, scene.cycles.glossy_bounces = 4, 3, 2
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"


def _place(name: str, file: Path, place: tuple[float, float, float], turn: float) -> bpy.types.Object:
    """Imports a model as one object."""
    before = set(bpy.data.objects)
    bpy.ops.import_scene.gltf(filepath=str(file))
    parts = [thing for thing in bpy.data.objects if thing not in before]
    meshes = [thing for thing in parts if thing.type == "MESH"]
    for thing in bpy.context.selected_objects:
        thing.select_set(False)
    for thing in meshes:
        thing.select_set(True)
    body = meshes[0]
    bpy.context.view_layer.objects.active = body
    if len(meshes) > 1:
        bpy.ops.object.join()
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    body.name = body.data.name = name
    body.location, body.rotation_mode, body.rotation_euler = place, "XYZ", (0.0, 0.0, math.radians(turn))
    body.select_set(False)
    return body


def _lamp(name: str, x: float, y: float) -> None:
    light = bpy.data.lights.new(name, "AREA")
    light.shape, light.size, light.energy, light.color = "DISK", 0.5, 90.0, (1.0, 0.92, 0.82)
    lamp = bpy.data.objects.new(name, light)
    lamp.location = (x, y, 3.12)
    bpy.context.scene.collection.objects.link(lamp)


def _daylight() -> bpy.types.World:
    world = bpy.data.worlds.new("Daylight")
    if world.node_tree is None:  # Blender 4.5; later ones always have a tree
        world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.75, 0.87, 1.0, 1.0)
    background.inputs["Strength"].default_value = 1.0
    return world


def main(file: Path) -> None:
    """Saves the room as a .blend that holds its textures."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    build()
    bpy.ops.file.pack_all()
    bpy.ops.wm.save_as_mainfile(filepath=str(file.resolve()), compress=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    # The bpy wheel's own clean-up can hang or crash at the end of Python.
    sys.stdout.flush()
    os._exit(0)
