# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures single pieces of furniture whose geometry is known: 60 views of 400 × 400 from all sides, also from below. Needs bpy.

python -m scripts.benchmarks.furniture OUT [NAME ...]

Each piece gets OUT/NAME/capture and OUT/NAME/truth.ply, its triangles in the world.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import sys
from pathlib import Path

import bpy
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "scripts" / "demo" / "assets"
DATA = Path(os.environ.get("RECONSTRUCT_DATA") or ROOT.parent / "shared" / "data")
# Three pieces of Poly Haven, with textures, and two of Kenney, in plain colors.
PIECES = {
    "sofa": ASSETS / "sofa_03.gltf",
    "stool": ASSETS / "painted_wooden_stool.gltf",
    "cabinet": ASSETS / "painted_wooden_cabinet.gltf",
    "lounge_chair": DATA / "kenney_furniture" / "loungeChair.obj",
    "desk": DATA / "kenney_furniture" / "desk.obj",
}
VIEWS, SIZE, SAMPLES = 60, 400, 8
FIELD_OF_VIEW = math.radians(40)
# As one walks around a thing, and kneels to look under it.
LOWEST, HIGHEST = math.radians(-40), math.radians(75)


def main(out: Path, names: list[str]) -> None:
    """Makes the captures."""
    spec = importlib.util.spec_from_file_location("reconstruct", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["reconstruct"] = module
    spec.loader.exec_module(module)
    export = importlib.import_module("reconstruct.addon.blender.capture.export")
    settings = importlib.import_module("reconstruct.engine.contract.settings")
    rigs = importlib.import_module("reconstruct.addon.core.rigs")
    meshes = importlib.import_module("reconstruct.engine.formats.meshes")
    points = importlib.import_module("reconstruct.engine.formats.points")
    for name in names:
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        scene = bpy.context.scene
        positions, triangles = _place(PIECES[name])
        _light(scene)
        _cameras(scene, rigs.look_along, positions)
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        meshes.write_mesh(folder / "truth.ply", meshes.Mesh(points.PointCloud(positions), triangles))
        chosen = settings.CaptureSettings(rig="scene", width=SIZE, height=SIZE, samples=SAMPLES)
        export.export_capture(scene, folder / "capture", chosen, progress=lambda done, all: print(f"{name}: {done} of {all}", flush=True))


def _place(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Imports a piece and sets it on the floor. Returns its positions [V, 3] and triangles [M, 3] in the world."""
    if file.suffix == ".gltf":
        import addon_utils  # bpy brings it along: it is only there afterwards

        addon_utils.enable("io_scene_gltf2")
        bpy.ops.import_scene.gltf(filepath=str(file))
    else:
        bpy.ops.wm.obj_import(filepath=str(file))
    bpy.context.view_layer.update()
    positions, triangles, count = [], [], 0
    for thing in [thing for thing in bpy.data.objects if thing.type == "MESH"]:
        mesh = thing.data
        mesh.calc_loop_triangles()
        own = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", own)
        corners = np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.loop_triangles.foreach_get("vertices", corners)
        matrix = np.array(thing.matrix_world)
        positions.append(own.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
        triangles.append(corners.reshape(-1, 3) + count)
        count += len(mesh.vertices)
    return np.concatenate(positions), np.concatenate(triangles).astype(np.int64)


def _light(scene: bpy.types.Scene) -> None:
    """Even light from all around, and a little more from above, so that shapes show."""
    world = bpy.data.worlds.new("Light")
    if world.node_tree is None:  # Blender 4.5; later ones always have a tree
        world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.6
    scene.world = world
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.data.angle, sun.rotation_euler = 1.0, 0.5, (0.6, 0.3, 0.0)
    scene.collection.objects.link(sun)


def _cameras(scene: bpy.types.Scene, look_along, positions: np.ndarray) -> None:
    """Cameras around the piece, spread evenly between the lowest and the highest angle, which it fills."""
    from mathutils import Matrix

    low, high = positions.min(axis=0), positions.max(axis=0)
    middle, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
    away = radius / math.sin(FIELD_OF_VIEW / 2)
    lens = bpy.data.cameras.new("Lens")
    lens.sensor_fit, lens.angle = "HORIZONTAL", FIELD_OF_VIEW
    lens.clip_start, lens.clip_end = 0.01 * away, 10 * away
    for index in range(VIEWS):
        height = math.sin(LOWEST) + (index + 0.5) / VIEWS * (math.sin(HIGHEST) - math.sin(LOWEST))
        angle, flat = index * math.pi * (3 - math.sqrt(5)), math.sqrt(1 - height**2)
        direction = np.array([flat * math.cos(angle), flat * math.sin(angle), height])
        camera = bpy.data.objects.new(f"view_{index:03d}", lens)
        scene.collection.objects.link(camera)
        camera.matrix_world = Matrix(look_along(middle + away * direction, -direction))


if __name__ == "__main__":
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(PIECES):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:] or list(PIECES))
    # The bpy wheel's own clean-up can hang or crash at the end of Python.
    sys.stdout.flush()
    os._exit(0)
