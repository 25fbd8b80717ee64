# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty Cycles scene, pictures of it as linear light, and results to import."""

import math

import bpy
import numpy as np
import pytest
from reconstruct.addon.blender.compat import has_native_splats
from reconstruct.addon.blender.results import importing, looks
from reconstruct.addon.blender.results import splats as splats_of
from reconstruct.engine.contract.result import Artifact, Result, write_result
from reconstruct.engine.formats.splats import Splats, write_splats

SIZE = 33
FIELD_OF_VIEW = 40.0


@pytest.fixture
def scene():
    """An empty scene with a camera at (0, -5, 0) that looks along +Y; every sample of a pixel goes through its center."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.render.film_transparent = True
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = 0.01
    # Rays through nearly opaque gaussians end by chance otherwise, which is unbiased but not exact.
    scene.cycles.min_transparent_bounces = 1024 if hasattr(scene.cycles, "min_transparent_bounces") else 0
    lens = bpy.data.cameras.new("Camera")
    lens.sensor_width = 36.0
    lens.lens = 18.0 / math.tan(math.radians(FIELD_OF_VIEW / 2))
    camera = bpy.data.objects.new("Camera", lens)
    camera.location, camera.rotation_euler = (0, -5, 0), (math.pi / 2, 0, 0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene


@pytest.fixture
def nodes(monkeypatch):
    """Has nodes draw gaussians also in a Blender that draws them itself, as in files of earlier ones."""
    for module in (importing, looks, splats_of):
        monkeypatch.setattr(module, "has_native_splats", lambda: False)


@pytest.fixture(params=["nodes", "native"] if has_native_splats() else ["nodes"])
def alike(request, scene):
    """Draws gaussians in each of the ways that this Blender has; gives a function that compares pictures.

    Rays hit or miss Blender's own gaussians by chance, so that many samples are taken, and their mean has to be right.
    """
    if request.param == "nodes":
        request.getfixturevalue("nodes")
        return lambda found, expected, atol: np.testing.assert_allclose(found, expected, atol=atol)
    scene.cycles.samples = 1024

    def compare(found: np.ndarray, expected: np.ndarray, atol: float) -> None:
        assert np.abs(found - expected).mean() < 4e-3
        # Five standard deviations of the least certain pixel, and of brighter colors.
        np.testing.assert_allclose(found, expected, atol=5 * 0.5 / math.sqrt(scene.cycles.samples) * max(1.0, expected.max()))

    return compare


@pytest.fixture
def picture(scene, tmp_path):
    """Renders the scene; gives [H, W, 4] premultiplied linear light, first row on top."""

    def render() -> np.ndarray:
        settings = scene.render.image_settings
        if hasattr(settings, "media_type"):
            settings.media_type = "IMAGE"
        settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
        file = tmp_path / "picture.exr"
        scene.render.filepath = str(file)
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(str(file))
        width, height = image.size
        pixels = np.empty(width * height * 4, dtype=np.float32)
        image.pixels.foreach_get(pixels)
        bpy.data.images.remove(image)
        return pixels.reshape(height, width, 4)[::-1]

    return render


@pytest.fixture
def rays(scene):
    """The camera's rays: origin [3], directions [H, W, 3], through the pixel centers, or, for many samples, through all of each pixel."""
    count = SIZE if scene.cycles.samples == 1 else 8 * SIZE
    steps = ((np.arange(count) + 0.5) / count - 0.5) * 2 * math.tan(math.radians(FIELD_OF_VIEW / 2))
    directions = np.stack(np.broadcast_arrays(steps[None, :], np.ones(1), -steps[:, None]), axis=-1)
    return np.array([0.0, -5.0, 0.0]), directions


def make_splats(means, sigmas, quats, opacities, colors, blend="linear") -> Splats:
    """Splats of degree 0 from plain values; ``colors`` are what the file's colors stand for."""
    opacities = np.asarray(opacities, dtype=np.float64)
    return Splats(
        means=np.asarray(means, dtype=np.float32),
        log_scales=np.log(np.asarray(sigmas, dtype=np.float64)).astype(np.float32),
        quats=np.asarray(quats, dtype=np.float32),
        opacity_logits=np.log(opacities / (1 - opacities)).astype(np.float32),
        sh=((np.asarray(colors, dtype=np.float32) - 0.5) / 0.28209479)[:, None, :],
        blend=blend,
        antialias=True,
    )


@pytest.fixture
def splats():
    """Makes splats; see :func:`make_splats`."""
    return make_splats


@pytest.fixture
def result(tmp_path):
    """Writes splats as a finished result and gives its folder."""

    def write(splats: Splats, **values):
        folder = tmp_path / "chair"
        folder.mkdir(exist_ok=True)
        write_splats(folder / "splats.ply", splats)
        write_result(folder, Result("done", "splat", "capture", artifacts=(Artifact("splats", "splats.ply"),), **values))
        return folder

    return write
