# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: captures a second window's scene in a file that is saved afterwards, and meets damaged results."""

import sys
from pathlib import Path

import bpy

sys.path.append(str(Path(__file__).parent))
from inside import FOLDER, drawn_again, in_viewport, module, press, seen, use_fake_engine, walk, watch  # noqa: E402


def steps():
    shown = bpy.context.window_manager.reconstruct
    bpy.context.view_layer.objects.active = None
    second = bpy.data.scenes.new("Second 🛏")
    for name in ("Cube", "Camera"):
        second.collection.objects.link(bpy.data.objects[name])
    bpy.data.objects["Camera"].name = "Second's camera"
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("First's camera", bpy.data.cameras.new("Lens")))
    settings = second.reconstruct.capture
    settings.rig, settings.width, settings.height, settings.samples = "scene", 32, 32, 1
    bpy.ops.wm.window_new_main()
    windows = bpy.context.window_manager.windows
    windows[1].scene = second
    yield
    area = next(area for area in windows[1].screen.areas if area.type == "VIEW_3D")
    with bpy.context.temp_override(window=windows[1], area=area, region=next(item for item in area.regions if item.type == "UI")):
        bpy.ops.reconstruct.capture("INVOKE_DEFAULT")
    folder = module("blender.scene_folders").own_capture(second)
    seen["unsaved"] = str(folder)
    yield lambda: shown.status != "running"
    seen["capture"] = [shown.status, shown.message, shown.hint]
    seen["views"] = sorted(file.name for file in (folder / "images").glob("*.png"))
    seen["first"] = (module("blender.scene_folders").own_capture(windows[0].scene)).exists()
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "flat.blend"))
    folder = module("blender.scene_folders").own_capture(second)
    seen["saved"] = [str(folder), (folder / "transforms.json").is_file(), shown.folder]
    with bpy.context.temp_override(window=windows[1]):
        bpy.ops.wm.window_close()
    yield
    bpy.context.window_manager.windows[0].scene = second
    second.view_layers[0].objects.active = None
    yield drawn_again()
    seen["can_train"] = in_viewport(bpy.ops.reconstruct.train.poll)

    result = module("blender.scene_folders").own_result(second)
    press(bpy.ops.reconstruct.train)
    yield lambda: shown.status != "running"
    for text in ("{", '{"schema": "9.0"}'):
        (result / "result.json").write_text(text)
        yield drawn_again()
    (result / "result.json").unlink()
    (result / "events.jsonl").unlink()
    yield drawn_again()
    in_viewport(lambda: bpy.ops.reconstruct.new_folder(step="train"))
    yield drawn_again()
    press(bpy.ops.reconstruct.train)
    yield lambda: shown.status != "running"
    seen["second_result"] = str(Path(shown.folder).relative_to(FOLDER))
    bpy.ops.wm.read_homefile()
    yield
    # What was read before the load is gone.
    shown = bpy.context.window_manager.reconstruct
    seen["other_file"] = [shown.kind, shown.status, shown.folder]


def prepare() -> None:
    watch(module("ui.capture").RECONSTRUCT_PT_capture, module("ui.train").RECONSTRUCT_PT_train, module("ui.results").RECONSTRUCT_PT_results)
    use_fake_engine()


walk(steps, prepare, tab="Tool")
