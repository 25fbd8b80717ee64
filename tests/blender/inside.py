# SPDX-License-Identifier: GPL-3.0-or-later
"""What scripts that run inside a windowed Blender share: they walk step by step on Blender's timers, and write what they saw as JSON.

Arguments behind ``--``: the folder to work in, then those of the script.
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

FOLDER, *ARGUMENTS = map(Path, sys.argv[sys.argv.index("--") + 1 :])
FAKE = Path(__file__).resolve().parents[1] / "addon" / "jobs" / "fake_engine.py"
NAME = "bl_ext.user_default.reconstruct"
TICK, LIMIT = 0.05, 100.0

# How often each watched panel was drawn; how often the walk's timer came, and how late at most.
seen = {"drawn": {}, "errors": [], "ticks": 0, "largest_gap": 0.0}


def module(name: str):
    """A module of the add-on."""
    return importlib.import_module(f"{NAME}.addon.{name}")


def watch(*panels) -> None:
    """Counts how often panels are drawn, and keeps their errors, which Blender would only print. Before they are registered."""
    for panel in panels:
        seen["drawn"][panel.__name__] = 0
        panel.draw = _watched(panel.__name__, panel.draw)


def _watched(name: str, inner):
    def draw(self, context):
        try:
            inner(self, context)
            seen["drawn"][name] += 1
        except Exception:
            seen["errors"].append(traceback.format_exc())
            raise

    return draw


def drawn_again():
    """What a walk yields to wait until every watched panel that can be seen was drawn anew."""
    before = sum(seen["drawn"].values())
    show_sidebar()
    return lambda: sum(seen["drawn"].values()) > before


def show_sidebar() -> None:
    for area in bpy.context.window_manager.windows[0].screen.areas:
        if area.type == "VIEW_3D":
            area.spaces.active.show_region_ui = True
            area.tag_redraw()


def press(operator, **options) -> set:
    """Presses a button of the sidebar."""
    return in_viewport(lambda: operator("INVOKE_DEFAULT", **options))


def in_viewport(work):
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "UI")
    with bpy.context.temp_override(window=window, area=area, region=region):
        return work()


def use_fake_engine() -> None:
    """Has jobs run the tests' own engine."""
    root = FOLDER / "root"
    (root / "engine").mkdir(parents=True)
    shutil.copy(FAKE, root / "engine" / "__main__.py")
    os.environ.update(RECONSTRUCT_PYTHON=sys.executable, FAKE_ENGINE="good", FAKE_DELAY="0.25")
    module("core.engine_command").ROOT = root


def walk(steps, prepare, tab: str = "Item") -> None:
    """Enables the add-on and walks through it.

    Args:
        steps: makes the walk. Each yield gives the window time; a yielded function is waited for.
        prepare: what comes before the add-on is enabled, for example watching panels.
        tab: where our panels go. Scripts cannot choose a tab, so it is the one that is open: Item while an object is active, else Tool.
    """
    try:
        bpy.context.preferences.view.show_splash = False
        extension = importlib.import_module(NAME)
        # Else Blender would take it for an older state of the file and import it again.
        extension.__time__ = os.path.getmtime(extension.__file__)
        seen["tab"] = module("ui.base").Step.bl_category
        module("ui.base").Step.bl_category = tab
        prepare()
        assert addon_utils.enable(NAME, default_set=True), "the extension could not be enabled"
        bpy.app.timers.register(_Walk(steps).tick, first_interval=1.0, persistent=True)
    except Exception:
        seen["errors"].append(traceback.format_exc())
        _answer()


class _Walk:
    def __init__(self, steps):
        self.make, self.steps, self.waiting = steps, None, None
        self.last, self.deadline = 0.0, time.monotonic() + LIMIT

    def tick(self):
        now = time.monotonic()
        seen["ticks"] += 1
        seen["largest_gap"] = max(seen["largest_gap"], now - self.last) if self.last else 0.0
        self.last = now
        try:
            if now > self.deadline:
                shown = bpy.context.window_manager.reconstruct
                raise TimeoutError(f"{shown.kind} {shown.status} {shown.stage} {shown.message} {shown.hint}: {seen}")
            self.steps = self.steps or self.make()
            if self.waiting is None or self.waiting():
                self.waiting = next(self.steps)
            return TICK
        except StopIteration:
            pass
        except Exception:
            seen["errors"].append(traceback.format_exc())
        _answer()
        return None


def _answer() -> None:
    temporary = FOLDER / "seen.part"
    temporary.write_text(json.dumps(seen), encoding="utf-8")
    temporary.rename(FOLDER / "seen.json")
    bpy.ops.wm.quit_blender()
