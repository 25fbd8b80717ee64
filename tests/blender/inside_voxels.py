# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: makes voxels of a picture that is not saved, moves their threshold, and undoes it all.

Arguments behind ``--``: the folder to work in. The engine is the fake one. Writes what it saw as JSON.
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

seen = {"drawn": {"RECONSTRUCT_PT_voxels": 0, "RECONSTRUCT_PT_voxels_object": 0}, "errors": []}
deadline = time.monotonic() + 60


def watch(cls) -> None:
    inner = cls.draw

    def draw(self, context):
        try:
            inner(self, context)
            seen["drawn"][cls.__name__] += 1
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


def faces() -> int:
    return len(bpy.data.objects["chair"].data.polygons)


def steps():
    scene = bpy.context.scene
    scene.reconstruct.voxels.out = str(FOLDER / "made")
    scene.reconstruct.voxels.image = bpy.data.images.new("chair", 8, 8)
    shown = bpy.context.window_manager.reconstruct
    begin = time.monotonic()
    in_viewport(lambda: bpy.ops.reconstruct.voxels_of_image("INVOKE_DEFAULT"))
    seen["press"] = time.monotonic() - begin
    seen["running"] = shown.status
    while shown.status == "running":
        yield
    seen["status"] = [shown.status, shown.message, shown.hint]
    made = bpy.context.object
    seen["active"] = made.name
    in_viewport(lambda: None)
    yield
    seen["faces"] = [faces()]
    begin = time.monotonic()
    made.reconstruct.voxels.threshold = 0.8
    seen["change"] = time.monotonic() - begin
    in_viewport(lambda: bpy.ops.ed.undo_push(message="Threshold"))
    seen["faces"].append(faces())
    yield
    in_viewport(lambda: bpy.ops.ed.undo())
    yield
    seen["faces"].append(faces())
    in_viewport(lambda: bpy.ops.ed.undo())
    yield
    seen["left"] = [item.name for item in bpy.data.objects if "chair" in item.name]


walk = None


def tick():
    global walk
    try:
        walk = walk or steps()
        if time.monotonic() > deadline:
            raise TimeoutError(str(seen))
        next(walk)
        return 0.2
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
    # Scripts cannot choose a tab, so our panels go into the one that is open.
    importlib.import_module(f"{NAME}.addon.ui.base").Step.bl_category = "Item"
    panels = importlib.import_module(f"{NAME}.addon.ui.voxels")
    watch(panels.RECONSTRUCT_PT_voxels)
    watch(panels.RECONSTRUCT_PT_voxels_object)
    assert addon_utils.enable(NAME, default_set=True), "the extension could not be enabled"
    root = FOLDER / "root"
    (root / "engine").mkdir(parents=True)
    shutil.copy(FAKE, root / "engine" / "__main__.py")
    os.environ.update(RECONSTRUCT_PYTHON=sys.executable, FAKE_ENGINE="good", FAKE_DELAY="0.25")
    sys.modules[f"{NAME}.addon.jobs.engine"].ROOT = root
    bpy.app.timers.register(tick, first_interval=1.0)


try:
    begin()
except Exception:
    seen["errors"].append(traceback.format_exc())
    answer()
