# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: brings a result in, changes what it is shown as, and renders its splats with Cycles and EEVEE.

Arguments behind ``--``: the folder to work in, and the result. Writes what it saw as JSON.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path

import addon_utils
import bpy
import numpy as np

FOLDER, RESULT = map(Path, sys.argv[sys.argv.index("--") + 1 :])
NAME = "bl_ext.user_default.reconstruct"

seen = {"drawn": 0, "errors": [], "looks": {}}


def watch(cls) -> None:
    inner = cls.draw

    def draw(self, context):
        try:
            inner(self, context)
            seen["drawn"] += 1
        except Exception:
            seen["errors"].append(traceback.format_exc())
            raise

    cls.draw = draw


def in_viewport(work):
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "UI")
    area.spaces.active.show_region_ui = True
    area.tag_redraw()
    with bpy.context.temp_override(window=window, area=area, region=region):
        return work()


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
    scene.reconstruct.import_.result = str(RESULT)
    in_viewport(lambda: bpy.ops.reconstruct.import_result("INVOKE_DEFAULT"))
    made = bpy.context.object
    yield
    for look in ("box", "points", "mesh", "proxy", "splats"):
        made.reconstruct.viewport = look
        seen["looks"][look] = made.reconstruct.viewport
        in_viewport(lambda: None)
        yield
    in_viewport(lambda: bpy.ops.reconstruct.show_as("INVOKE_DEFAULT", scope="SCENE", viewport="box", render="splats"))
    seen["all"] = [made.reconstruct.viewport, made.reconstruct.render]
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
    yield


def eevee() -> str:
    """EEVEE's name, which differs by version."""
    for name in ("BLENDER_EEVEE_NEXT", "BLENDER_EEVEE"):
        try:
            bpy.context.scene.render.engine = name
            return name
        except TypeError:
            pass
    raise LookupError("this Blender has no EEVEE")


walk = None


def tick():
    global walk
    try:
        if walk is None:
            walk = steps()
        next(walk)
        return 0.3
    except StopIteration:
        pass
    except Exception:
        seen["errors"].append(traceback.format_exc())
    answer()
    return None


def answer() -> None:
    temporary = FOLDER / "seen.part"
    temporary.write_text(json.dumps(seen), encoding="utf-8")
    temporary.rename(FOLDER / "seen.json")
    bpy.ops.wm.quit_blender()


try:
    bpy.context.preferences.view.show_splash = False
    extension = importlib.import_module(NAME)
    # Else Blender would take it for an older state of the file and import it again.
    extension.__time__ = os.path.getmtime(extension.__file__)
    # Scripts cannot choose a tab, so our panels go into the one that is open while an object is active.
    importlib.import_module(f"{NAME}.addon.ui.base").Step.bl_category = "Item"
    watch(importlib.import_module(f"{NAME}.addon.ui.looks").RECONSTRUCT_PT_looks)
    assert addon_utils.enable(NAME, default_set=True), "the extension could not be enabled"
    bpy.app.timers.register(tick, first_interval=1.0)
except Exception:
    seen["errors"].append(traceback.format_exc())
    answer()
