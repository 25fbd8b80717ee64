# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: brings a result in, changes what it is shown as, and renders its splats with Cycles and EEVEE.

Its argument is the result.
"""

import sys
from pathlib import Path

import bpy
import numpy as np

sys.path.append(str(Path(__file__).parent))
from inside import ARGUMENTS, FOLDER, drawn_again, in_viewport, module, press, seen, walk, watch  # noqa: E402


def render(engine: str) -> np.ndarray:
    scene = bpy.context.scene
    scene.render.engine = engine
    scene.render.filepath = str(FOLDER / f"{engine}.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(-1, 4)


def steps():
    scene = bpy.context.scene
    for item in list(scene.objects):
        if item.type != "CAMERA":
            bpy.data.objects.remove(item)
    scene.reconstruct.import_.result = str(ARGUMENTS[0])
    press(bpy.ops.reconstruct.import_result)
    made = bpy.context.object
    seen["looks"] = {}
    for look in ("box", "points", "mesh", "proxy", "splats"):
        made.reconstruct.viewport = look
        seen["looks"][look] = made.reconstruct.viewport
        yield drawn_again()
    press(bpy.ops.reconstruct.show_as, scope="SCENE", viewport="box", render="splats")
    seen["all"] = [made.reconstruct.viewport, made.reconstruct.render]
    # Selected points are measured.
    in_viewport(lambda: bpy.ops.object.mode_set(mode="EDIT"))
    yield drawn_again()
    in_viewport(lambda: bpy.ops.mesh.select_all(action="DESELECT"))
    yield drawn_again()
    in_viewport(lambda: bpy.ops.object.mode_set(mode="OBJECT"))
    # The lights of the world would show through.
    scene.world.color = (0, 0, 0)
    if scene.world.node_tree is not None:
        scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0
    camera = scene.camera
    camera.location, camera.rotation_euler = (0, -4, 0.5), (1.5708, 0, 0)
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = 64
    scene.render.resolution_percentage = 100
    scene.cycles.samples, scene.cycles.use_denoising = 64, False
    scene.eevee.taa_render_samples = 64
    pictures = [render(engine)[:, :3] for engine in ("CYCLES", eevee())]
    seen["means"], seen["difference"] = [float(picture.mean()) for picture in pictures], float(np.abs(pictures[0] - pictures[1]).mean())


def eevee() -> str:
    """EEVEE's name, which differs by version."""
    for name in ("BLENDER_EEVEE_NEXT", "BLENDER_EEVEE"):
        try:
            bpy.context.scene.render.engine = name
            return name
        except TypeError:
            pass
    raise LookupError("this Blender has no EEVEE")


walk(steps, lambda: watch(module("ui.looks").RECONSTRUCT_PT_looks, module("ui.place").RECONSTRUCT_PT_place))
