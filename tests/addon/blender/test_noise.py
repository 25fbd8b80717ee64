# SPDX-License-Identifier: GPL-3.0-or-later
"""Without a denoiser, samples are raised until noise is small; with one, nothing is measured."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

bpy = pytest.importorskip("bpy", reason="needs Blender as a module")

from reconstruct.addon.blender import compat, noise  # noqa: E402
from reconstruct.addon.blender.pixels import read_pixels  # noqa: E402
from reconstruct.addon.blender.rooms.rendering import render_picture  # noqa: E402
from reconstruct.engine.contract.settings import RenderSettings  # noqa: E402


@given(st.floats(0.01, 2.0), st.integers(1, 64), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_samples_follow_the_noise(deviation, first, seed):
    """Gray images whose noise falls as 1/sqrt(samples), half of each covered."""
    tried = []

    def render(samples, number):
        tried.append(samples)
        random = np.random.default_rng((seed, samples, number))
        image = np.full((40, 40, 4), 0.5)
        image[..., :3] += random.normal(0.0, deviation / math.sqrt(samples), (40, 40, 3))
        image[:20] = 0.0
        return [np.clip(image, 0.0, 1.0)]

    samples, remaining = noise.clean_samples(render, first)
    needed = (deviation / noise.MAX_NOISE) ** 2
    assert first <= samples <= 1024
    assert remaining <= noise.MAX_NOISE or samples == 1024
    assert samples == first or 0.8 * needed <= samples <= 1.6 * needed + 1 or samples == 1024
    assert len(tried) <= 10


@pytest.fixture
def dim(monkeypatch):
    """A floor lit by a lamp that half hides behind a board, rendered by a Blender that was built without a denoiser."""
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    for name, height, size in (("Floor", 0.0, 4.0), ("Board", 1.0, 0.7)):
        mesh = bpy.data.meshes.new(name)
        corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        mesh.from_pydata([(size * x, size * y, height) for x, y in corners], [], [(0, 1, 2, 3)])
        scene.collection.objects.link(bpy.data.objects.new(name, mesh))
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "AREA"))
    lamp.location, lamp.data.size, lamp.data.energy = (0.0, 0.0, 2.0), 1.0, 300.0
    scene.collection.objects.link(lamp)
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.location, scene.camera.rotation_euler = (0.0, -4.0, 3.0), (math.radians(55), 0.0, 0.0)

    def use_denoiser(scene):
        scene.cycles.use_denoising = False
        return False

    monkeypatch.setattr(compat, "use_denoiser", use_denoiser)
    # A ninth of the samples, for a fast test.
    monkeypatch.setattr(noise, "MAX_NOISE", 3 * noise.MAX_NOISE)
    return scene


def test_a_picture_without_a_denoiser_is_clean_and_says_what_it_cost(dim, tmp_path):
    said = []
    render_picture(dim, tmp_path / "a.png", RenderSettings(width=32, height=24, samples=4), said.append)
    raised = dim.cycles.samples
    assert raised > 8 and not dim.cycles.use_denoising
    assert f"{raised} samples" in said[0] and "OpenImageDenoise" in said[0] and "less than a minute" in said[0]
    render = dim.render
    assert (render.use_border, render.use_crop_to_border, render.border_max_x, render.filepath) == (False, False, 1.0, "/tmp/")
    dim.cycles.seed = 77
    dim.render.filepath = str(tmp_path / "b.png")
    bpy.ops.render.render(write_still=True)
    first, second = (read_pixels(tmp_path / name)[..., :3] for name in ("a.png", "b.png"))
    assert np.square(first - second).mean() / 2 < (1.2 * noise.MAX_NOISE) ** 2


def test_a_plain_object_takes_no_more_samples(dim):
    """Its edges are no noise."""
    dim.objects["Lamp"].data.type = "SUN"
    dim.objects["Lamp"].data.energy = 2.0
    bpy.data.objects.remove(dim.objects["Board"])
    dim.objects["Floor"].scale = (0.2, 0.2, 0.2)
    dim.render.engine, dim.render.film_transparent = "CYCLES", True
    dim.render.resolution_x, dim.render.resolution_y = 96, 72
    dim.render.image_settings.color_mode = "RGBA"
    assert noise.use_clean_samples(dim, 4, [lambda: None], 1) == "" and dim.cycles.samples == 4


def test_a_denoiser_makes_test_renders_needless(dim, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(noise, "clean_samples", None)
    said = []
    render_picture(dim, tmp_path / "a.png", RenderSettings(width=32, height=24, samples=1), said.append)
    assert not said and dim.cycles.samples == 1 and dim.cycles.use_denoising


def test_the_panel_knows_which_renders_are_noisy(dim, monkeypatch):
    assert compat.has_denoiser() and not noise.renders_noisy(dim), "the modules of blender.org have one"
    monkeypatch.setattr(compat, "has_denoiser", lambda: False)
    for engine, samples, noisy in (("CYCLES", 16, True), ("CYCLES", 4096, False), ("BLENDER_WORKBENCH", 16, False)):
        dim.render.engine, dim.cycles.samples = engine, samples
        assert noise.renders_noisy(dim) == noisy
