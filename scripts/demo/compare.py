# SPDX-License-Identifier: GPL-3.0-or-later
"""Held-out views of the imported splats, rendered by Blender, against the originals and the engine's own pictures: comparison.json,
comparison.png, and blender/.

Its arguments are the demo's folder, and samples for each pixel (1). Runs with the bpy wheel.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

ROOT = Path(__file__).resolve().parents[2]


def _package(name: str):
    """A module of the checkout, loaded as one package."""
    if "reconstruct" not in sys.modules:
        spec = importlib.util.spec_from_file_location("reconstruct", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
        sys.modules["reconstruct"] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"reconstruct.{name}")


def main(out: Path, samples: int = 1) -> None:
    """Renders and compares."""
    settings = _package("engine.contract.settings")
    frames = _package("engine.formats.capture").read_capture(out / "capture").split("test")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    _package("addon.blender.results.importing").import_result(scene, out / "result", settings.ImportSettings())
    scene.render.use_persistent_data = True
    lens = bpy.data.cameras.new("Held-out")
    camera = bpy.data.objects.new("Held-out", lens)
    scene.collection.objects.link(camera)
    scene.camera = camera
    (out / "blender").mkdir(exist_ok=True)
    rows = []
    for frame in frames:
        # The rig's cameras are symmetric, so the angle of view is all there is to set.
        lens.sensor_fit, lens.sensor_width, lens.lens = "HORIZONTAL", 36.0, 36.0 * frame.fl_x / frame.w
        lens.clip_start = 0.02
        camera.matrix_world = Matrix(frame.transform_matrix)
        name = f"{Path(frame.name).stem}.png"
        picture = settings.RenderSettings(out=name, width=frame.w, height=frame.h, samples=samples, camera="Held-out")
        _package("addon.blender.rooms.rendering").render_picture(scene, out / "blender" / name, picture)
        shown = _pixels(out / "blender" / name)
        scores = {"psnr": _psnr(shown, _pixels(frame.image)), "engine": _psnr(shown, _pixels(out / "engine" / name))}
        rows.append({"name": frame.name, **scores})
        print(f"compare  {frame.name}   {rows[-1]['psnr']:.2f} dB, against the engine's {rows[-1]['engine']:.2f} dB", flush=True)
    means = {key: float(np.mean([row[key] for row in rows])) for key in ("psnr", "engine")}
    (out / "comparison.json").write_text(json.dumps({**means, "views": rows}, indent=1) + "\n", encoding="utf-8")
    middle = sorted(range(len(rows)), key=lambda index: rows[index]["psnr"])[len(rows) // 2]
    name = f"{Path(frames[middle].name).stem}.png"
    _side_by_side(out / "comparison.png", [frames[middle].image, out / "engine" / name, out / "blender" / name])


def _pixels(file: Path) -> np.ndarray:
    """[H, W, 3] sRGB codes, 0 to 1, top row first."""
    image = bpy.data.images.load(str(file), check_existing=False)
    image.colorspace_settings.name = "Non-Color"
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    width, height = image.size
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1, :, :3]


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


def _side_by_side(file: Path, pictures: list[Path]) -> None:
    pixels = np.concatenate([_pixels(picture) for picture in pictures], axis=1)
    height, width, _ = pixels.shape
    image = bpy.data.images.new("side by side", width, height)
    image.colorspace_settings.name = "Non-Color"
    image.pixels.foreach_set(np.concatenate([pixels, np.ones((height, width, 1), np.float32)], axis=2)[::-1].ravel())
    image.filepath_raw, image.file_format = str(file), "PNG"
    image.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
    # The bpy wheel's own clean-up can hang or crash at the end of Python.
    sys.stdout.flush()
    os._exit(0)
