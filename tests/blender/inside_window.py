# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: clicks through a job, step by step on Blender's timers, and writes what it saw as JSON.

Arguments behind ``--``: the folder to work in. The engine is the fake one.
"""

import importlib
import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path

import addon_utils
import bpy

FOLDER = Path(sys.argv[sys.argv.index("--") + 1])
FAKE = Path(__file__).resolve().parents[1] / "addon" / "jobs" / "fake_engine.py"
NAME = "bl_ext.user_default.reconstruct"
TICK = 0.05

seen = {"drawn": {}, "errors": [], "largest_gap": 0.0, "ticks": 0}


def watch_panels() -> None:
    """Counts how often each panel is drawn, and keeps its errors, which Blender would only print. Before they are registered."""
    for cls in bpy.types.Panel.__subclasses__():
        if cls.__name__.startswith("RECONSTRUCT_PT"):
            seen["drawn"][cls.__name__] = 0
            cls.draw = watched(cls.__name__, cls.draw)


def watched(name: str, inner):
    def draw(self, context):
        seen["drawn"][name] += 1
        try:
            inner(self, context)
        except Exception:
            seen["errors"].append(traceback.format_exc())
            raise

    return draw


def show_sidebar() -> None:
    # The tab Item, which would stand before all others, shows the active object only.
    bpy.context.view_layer.objects.active = None
    for area in bpy.context.window_manager.windows[0].screen.areas:
        if area.type == "VIEW_3D":
            area.spaces.active.show_region_ui = True
            area.tag_redraw()


def small_scene() -> None:
    scene = bpy.context.scene
    settings = scene.reconstruct
    settings.capture.out, settings.train.out = str(FOLDER / "capture"), str(FOLDER / "result")
    settings.capture.rig = "orbit"
    settings.capture.orbit_object = "Cube"
    settings.capture.views = 4
    settings.capture.width = settings.capture.height = 32
    settings.capture.samples = 1


def press(operator, **options) -> set:
    """Presses a button of the sidebar."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "UI")
    with bpy.context.temp_override(window=window, area=area, region=region):
        return operator("INVOKE_DEFAULT", **options)


def steps():
    """The walk: each yield gives the window time; a yielded function is waited for."""
    shown = bpy.context.window_manager.reconstruct
    yield lambda: all(seen["drawn"][name] for name in ("RECONSTRUCT_PT_capture", "RECONSTRUCT_PT_train"))

    for method in ("ngp", "nerf", "splat"):
        bpy.context.scene.reconstruct.train.settings.method = method
        before = seen["drawn"]["RECONSTRUCT_PT_train"]
        show_sidebar()
        yield lambda before=before: seen["drawn"]["RECONSTRUCT_PT_train"] > before

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


walk = None
waiting = None
last = 0.0
deadline = time.monotonic() + 75


def tick():
    global walk, waiting, last
    now = time.monotonic()
    seen["ticks"] += 1
    seen["largest_gap"] = max(seen["largest_gap"], now - last) if last else 0.0
    last = now
    try:
        if walk is None:
            walk = steps()
        if waiting is not None and not waiting():
            if now > deadline:
                shown = bpy.context.window_manager.reconstruct
                raise TimeoutError(f"{shown.kind} {shown.status} {shown.stage} {shown.message} {shown.hint} engine: {shown.engine}")
            return TICK
        waiting = next(walk)
        return TICK
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


def begin() -> None:
    bpy.context.preferences.view.show_splash = False
    extension = importlib.import_module(NAME)
    # Else Blender would take it for an older state of the file and import it again.
    extension.__time__ = os.path.getmtime(extension.__file__)
    base = importlib.import_module(f"{NAME}.addon.ui.base")
    # Scripts cannot choose a tab, so our panels go into the one that is open.
    seen["tab"] = base.Step.bl_category
    base.Step.bl_category = "Tool"
    base.Advanced.bl_options = set()
    watch_panels()
    assert addon_utils.enable(NAME, default_set=True), "the extension could not be enabled"
    root = FOLDER / "root"
    (root / "engine").mkdir(parents=True)
    shutil.copy(FAKE, root / "engine" / "__main__.py")
    os.environ.update(RECONSTRUCT_PYTHON=sys.executable, FAKE_ENGINE="good", FAKE_DELAY="0.25")
    sys.modules[f"{NAME}.addon.jobs.engine"].ROOT = root
    small_scene()
    show_sidebar()
    bpy.app.timers.register(tick, first_interval=1.0)


try:
    begin()
except Exception:
    seen["errors"].append(traceback.format_exc())
    answer()
