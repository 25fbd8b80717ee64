# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: clicks through jobs. The engine is the fake one."""

import os
import sys
import time
from pathlib import Path

import bpy

sys.path.append(str(Path(__file__).parent))
from inside import FOLDER, drawn_again, module, press, seen, show_sidebar, use_fake_engine, walk, watch  # noqa: E402


def small_scene() -> None:
    scene = bpy.context.scene
    settings = scene.reconstruct
    settings.capture.out, settings.train.out = str(FOLDER / "capture"), str(FOLDER / "result")
    settings.capture.rig = "orbit"
    settings.capture.orbit_object = "Cube"
    settings.capture.views = 4
    settings.capture.width = settings.capture.height = 32
    settings.capture.samples = 1


def steps():
    # The tab Item, which would stand before all others, shows the active object only.
    bpy.context.view_layer.objects.active = None
    small_scene()
    show_sidebar()
    shown = bpy.context.window_manager.reconstruct
    yield lambda: all(seen["drawn"][name] for name in ("RECONSTRUCT_PT_capture", "RECONSTRUCT_PT_train"))

    for method in ("ngp", "nerf", "splat"):
        bpy.context.scene.reconstruct.train.settings.method = method
        yield drawn_again()

    press(bpy.ops.reconstruct.check_engine)
    yield lambda: "works" in shown.engine
    seen["engine"] = shown.engine

    begin = time.monotonic()
    press(bpy.ops.reconstruct.capture)
    seen["capture_press"] = time.monotonic() - begin
    seen["ticks"] = 0
    yield lambda: shown.kind == "capture" and shown.status != "running"
    seen["capture"] = {"status": shown.status, "message": f"{shown.message} {shown.hint}", "ticks": seen["ticks"]}
    yield

    press(bpy.ops.reconstruct.train)
    seen["ticks"], seen["largest_gap"] = 0, 0.0
    yield lambda: shown.step >= 2
    seen["busy"] = not bpy.ops.reconstruct.train.poll()
    yield lambda: shown.preview
    yield lambda: shown.status != "running"
    seen["train"] = {"status": shown.status, "ticks": seen["ticks"], "largest_gap": seen["largest_gap"], "psnr": shown.psnr}
    yield

    os.environ["FAKE_ENGINE"] = "slow"
    press(bpy.ops.reconstruct.train, mode="RESUME")
    yield lambda: shown.step >= 2
    press(bpy.ops.reconstruct.cancel)
    yield lambda: shown.status != "running"
    seen["cancelled"] = shown.status

    os.environ["FAKE_ENGINE"] = "fail"
    press(bpy.ops.reconstruct.train, mode="RESUME")
    yield lambda: shown.status != "running"
    seen["failed"] = [shown.status, shown.message, shown.hint]
    yield
    yield


def prepare() -> None:
    module("ui.base").Advanced.bl_options = set()
    watch(*(panel for panel in bpy.types.Panel.__subclasses__() if panel.__name__.startswith("RECONSTRUCT_PT")))
    use_fake_engine()


walk(steps, prepare, tab="Tool")
