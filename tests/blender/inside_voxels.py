# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: makes voxels of a picture that is not saved, moves their threshold, and undoes it all.

The engine is the fake one.
"""

import sys
import time
from pathlib import Path

import bpy

sys.path.append(str(Path(__file__).parent))
from inside import FOLDER, drawn_again, in_viewport, module, press, seen, use_fake_engine, walk, watch  # noqa: E402


def faces() -> int:
    return len(bpy.data.objects["chair"].data.polygons)


def steps():
    scene = bpy.context.scene
    scene.reconstruct.voxels.out = str(FOLDER / "made")
    scene.reconstruct.voxels.image = bpy.data.images.new("chair", 8, 8)
    shown = bpy.context.window_manager.reconstruct
    yield drawn_again()
    begin = time.monotonic()
    press(bpy.ops.reconstruct.voxels_of_image)
    seen["press"] = time.monotonic() - begin
    seen["running"] = shown.status
    yield lambda: shown.status != "running"
    seen["status"] = [shown.status, shown.message, shown.hint]
    made = bpy.context.object
    seen["active"] = made.name
    yield drawn_again()
    seen["faces"] = [faces()]
    begin = time.monotonic()
    made.reconstruct.voxels.threshold = 0.8
    seen["change"] = time.monotonic() - begin
    in_viewport(lambda: bpy.ops.ed.undo_push(message="Threshold"))
    seen["faces"].append(faces())
    yield drawn_again()
    in_viewport(lambda: bpy.ops.ed.undo())
    yield drawn_again()
    seen["faces"].append(faces())
    in_viewport(lambda: bpy.ops.ed.undo())
    yield drawn_again()
    seen["left"] = [item.name for item in bpy.data.objects if "chair" in item.name]


def prepare() -> None:
    panels = module("ui.voxel_panels")
    watch(panels.RECONSTRUCT_PT_voxels, panels.RECONSTRUCT_PT_voxels_object)
    use_fake_engine()


walk(steps, prepare)
