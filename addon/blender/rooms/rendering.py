# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a finished room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy

from ....engine.contract.errors import UserError
from ....engine.contract.settings import RenderSettings
from ..compat import has_modifier_input, set_modifier_input, set_picture_format, use_cycles
from ..console import quiet
from ..noise import use_clean_samples
from ..results.looks import has_node_splats, look_modifier
from ..results.splats import raise_transparent_bounces
from ..tagging import kind_of
from .building import frame_camera


def render_picture(
    scene: bpy.types.Scene, file: Path, settings: RenderSettings, report: Callable[[str], None] = lambda message: None
) -> None:
    """Renders a PNG with Cycles, in the look that results were captured in.

    The scene keeps these render settings, so that the picture can be rendered again from the saved file.

    Args:
        scene: what is rendered.
        file: receives the picture.
        settings: its size, samples and camera; without one, see :func:`~.building.frame_camera`.
        report: receives a sentence where this Blender has no denoiser and more samples are rendered.

    Raises:
        UserError: there is no camera of that name, Cycles is switched off, or the file is no .png or cannot be written.
    """
    file = Path(file).resolve()
    if file.suffix.lower() != ".png":
        raise UserError(f"The picture {file} does not end in .png.", "Give it a name that ends in .png.")
    results = [item for item in scene.objects if kind_of(item) == "result"]
    scene.camera = find_camera(scene, settings.camera) if settings.camera else frame_camera(scene, results)
    if scene.camera.data.type == "ORTHO":
        # Splats face the place of the camera, which is not where an orthographic one looks from.
        for modifier in filter(None, map(look_modifier, scene.objects)):
            if has_modifier_input(modifier, "Face Camera"):
                set_modifier_input(modifier, "Face Camera", False)
    use_cycles(scene)
    render, cycles = scene.render, scene.cycles
    render.resolution_x, render.resolution_y, render.resolution_percentage = settings.width, settings.height, 100
    cycles.use_adaptive_sampling = False
    plain_look(scene)
    if any(map(has_node_splats, scene.objects)):
        raise_transparent_bounces(scene)
    set_picture_format(render.image_settings, "PNG")
    render.image_settings.color_mode, render.image_settings.color_depth = "RGB", "8"
    before = render.filepath
    # A marker that is bound to a camera would put that one in the place of the named one.
    bound = [(marker, marker.camera) for marker in scene.timeline_markers] if settings.camera else []
    try:
        for marker, _ in bound:
            marker.camera = None
        if message := use_clean_samples(scene, settings.samples, [lambda: None], 1):
            report(message)
        render.filepath = str(file)
        with quiet():
            bpy.ops.render.render(write_still=True, scene=scene.name)
    except RuntimeError as error:
        raise UserError(f"The picture {file} could not be rendered: {str(error).strip()}", "Choose another file.") from None
    finally:
        render.filepath = before
        for marker, camera in bound:
            marker.camera = camera


def empty_scene(source: bpy.types.Scene) -> bpy.types.Scene:
    """Adds an empty scene with the units of another one, which shows colors as they were captured."""
    scene = bpy.data.scenes.new("Reconstruct")
    for name in ("system", "length_unit", "scale_length"):
        setattr(scene.unit_settings, name, getattr(source.unit_settings, name))
    plain_look(scene)
    return scene


def plain_look(scene: bpy.types.Scene) -> None:
    """Shows colors as they were captured: view transform Standard, no look, no exposure."""
    scene.display_settings.display_device = "sRGB"
    view = scene.view_settings
    view.view_transform, view.look, view.exposure, view.gamma = "Standard", "None", 0.0, 1.0
    view.use_curve_mapping = False


def find_camera(scene: bpy.types.Scene, name: str) -> bpy.types.Object:
    """A camera of a scene.

    Raises:
        UserError: the scene has no camera of that name.
    """
    camera = scene.objects.get(name)
    if camera is None or camera.type != "CAMERA":
        raise UserError(f"The scene has no camera named {name!r}.", "Give the name of a camera, or none.")
    return camera
