# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering one view after another: color with alpha, depth, and the colors of surfaces without light.

Everything happens in a copy of the scene that shares its objects and is removed at the end, so there is nothing of the user's to put
back, whatever goes wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from ....engine.cameras import Camera
from ....engine.color import linear_to_srgb
from ....engine.contract.errors import UserError
from ....engine.contract.result import replacing
from ....engine.contract.settings import CaptureSettings
from ...core import private_folders
from .. import compat, console
from ..noise import use_clean_samples
from ..pixels import read_pixels, write_pixels
from .cameras import in_units, read_camera
from .space import in_shown_collections, render_layer
from .views import View

# Cycles writes 1e10 where a ray meets nothing.
_NOTHING = 1e9
_DEPTH, _ALBEDO = "depth", "albedo"
# Drawn over the render whatever is in front.
_DRAWN_OVER = {"GPENCIL", "GREASEPENCIL"}
# Noise is measured in so many of the views.
_TEST_VIEWS = 6
_RENDER_HINT = "Check the scene and the free disk space."


class Studio:
    """A copy of the scene, ready to render views. Made by :func:`studio`."""

    def __init__(self, scene: bpy.types.Scene, camera: bpy.types.Object, folder: Path):
        self._scene, self._camera, self._folder = scene, camera, folder
        self._lenses: dict[bpy.types.Camera, bpy.types.Camera] = {}

    def use_clean_samples(self, views: list[View]) -> str:
        """Raises the samples where Blender cannot denoise; says so in a sentence, which is else empty."""
        tests = [views[index * len(views) // _TEST_VIEWS] for index in range(min(_TEST_VIEWS, len(views)))]
        aims = [lambda view=view: self.aim(view.pose, view.lens) for view in tests]
        try:
            return use_clean_samples(self._scene, self._scene.cycles.samples, aims, len(views))
        except RuntimeError as error:
            raise UserError(f"Blender could not render a test view: {str(error).strip()}", _RENDER_HINT) from None

    @property
    def samples(self) -> int:
        """Samples a pixel."""
        return self._scene.cycles.samples

    @samples.setter
    def samples(self, samples: int) -> None:
        self._scene.cycles.samples = samples

    def aim(self, pose: np.ndarray, lens: bpy.types.Camera) -> Camera:
        """Points the camera.

        Args:
            pose: camera-to-world in meters, [4, 4], rigid.
            lens: the camera's data; its depth of field is left out.

        Returns:
            The camera as it will be rendered.
        """
        self._camera.data = self._without_blur(lens)
        self._camera.matrix_world = Matrix(in_units(pose, self._scene))
        return read_camera(self._scene, self._camera)

    def shoot(
        self, pose: np.ndarray, lens: bpy.types.Camera, seed: int, picture: Path, albedo: Path | None = None
    ) -> tuple[Camera, np.ndarray]:
        """Renders one view. Files appear when they are complete.

        Args:
            pose, lens: as for :meth:`aim`.
            seed: of Cycles' noise.
            picture: PNG that receives the colors: 8-bit sRGB with straight alpha.
            albedo: PNG that receives the diffuse colors, in the same way; None where they are not wanted.

        Returns:
            The camera as rendered, and the depth: [H, W] float32, planar z in meters at the pixels' centers, 0 where nothing is.

        Raises:
            UserError: Blender cannot render the view or write the picture.
        """
        scene = self._scene
        camera = self.aim(pose, lens)
        scene.cycles.seed = seed
        for old in self._folder.iterdir():
            old.unlink()
        rendered = self._folder / "view.png"
        scene.render.filepath = str(rendered)
        try:
            with console.quiet():
                bpy.ops.render.render(write_still=True, scene=scene.name)
        except RuntimeError as error:
            raise UserError(f"Blender could not render {picture.name}: {str(error).strip()}", _RENDER_HINT) from None
        written = next(self._folder.glob(f"{_DEPTH}*.exr"), None)
        if written is None or not rendered.is_file() or rendered.stat().st_size == 0:
            message = f"{picture.name} and its depth could not be written to {self._folder}."
            raise UserError(message, "Check the free disk space.", "disk_full")
        with replacing(picture) as part:
            shutil.copyfile(rendered, part)
        if albedo is not None:
            made = self._folder / "albedo.png"
            self._write_albedo(made, picture)
            with replacing(albedo) as part:
                shutil.copyfile(made, part)
        depth = read_pixels(written)[..., 0]
        unit = scene.unit_settings.scale_length
        return camera, np.where(depth < _NOTHING, depth * np.float32(unit), np.float32(0))

    def _write_albedo(self, file: Path, picture: Path) -> None:
        light = read_pixels(next(self._folder.glob(f"{_ALBEDO}*.exr")))[..., :3]
        alpha = read_pixels(picture)[..., 3:]
        # Multiplied by alpha, as all that is rendered over nothing.
        light = np.clip(light / np.maximum(alpha, 1e-6), 0, 1) * (alpha > 0)
        write_pixels(file, np.concatenate([linear_to_srgb(light).astype(np.float32), alpha], axis=2))

    def close(self) -> None:
        for lens in self._lenses.values():
            bpy.data.cameras.remove(lens)

    def _without_blur(self, lens: bpy.types.Camera) -> bpy.types.Camera:
        if lens not in self._lenses:
            copy = self._lenses[lens] = lens.copy()
            copy.dof.use_dof = False
        return self._lenses[lens]


@contextmanager
def studio(
    scene: bpy.types.Scene, settings: CaptureSettings, subject: Set[bpy.types.Object] | None = None, background: bool = False
) -> Iterator[Studio]:
    """A copy of the scene that is set up to render the views of a capture.

    Args:
        scene: what is captured; it is not changed.
        settings: size, samples and exposure.
        subject: the objects that cameras see alone, while all others keep their light and shadows; None shows all.
        background: whether the world shows where nothing else does, instead of being transparent.

    Raises:
        UserError: Cycles or the view transform Standard is not there.
    """
    copy = scene.copy()
    lens = bpy.data.cameras.new("Reconstruct capture")
    camera = bpy.data.objects.new("Reconstruct capture", lens)
    tree = opened = None
    collections: list[bpy.types.Collection] = []
    try:
        if subject is not None:
            _show_alone(copy, subject, collections)
        copy.collection.objects.link(camera)
        copy.camera = camera
        # A marker that is bound to a camera would put that one in its place at every render.
        copy.timeline_markers.clear()
        _prepare(copy, settings)
        copy.render.film_transparent = not background
        tree = compat.compositor_tree(copy)
        with private_folders.temporary() as folder:
            _write_passes(copy, tree, str(folder))
            opened = Studio(copy, camera, folder)
            yield opened
    finally:
        if tree is not None:
            compat.drop_compositor_tree(copy)
        bpy.data.scenes.remove(copy)
        bpy.data.objects.remove(camera)
        bpy.data.cameras.remove(lens)
        for collection in collections:
            bpy.data.collections.remove(collection)
        if opened is not None:
            opened.close()


def _show_alone(scene: bpy.types.Scene, subject: Set[bpy.types.Object], made: list[bpy.types.Collection]) -> None:
    """Sorts the objects of a scene's copy into collections of its own, of which its cameras see only the one with the subject.

    Unlike an object's ray visibility, ``indirect_only`` belongs to the view layer of the copy, and for an instance its instancer decides.
    """
    shown = in_shown_collections(scene.collection)
    present = {thing for thing in render_layer(scene).objects if thing.type not in _DRAWN_OVER or thing in subject}
    for name, members in (
        ("subject", present & shown & subject),
        ("rest", present & shown - subject),
        ("hidden", present - shown),
    ):
        collection = bpy.data.collections.new(f"Reconstruct {name}")
        made.append(collection)
        for thing in members:
            collection.objects.link(thing)
    for child in scene.collection.children.values():
        scene.collection.children.unlink(child)
    for thing in scene.collection.objects.values():
        scene.collection.objects.unlink(thing)
    for collection in made:
        scene.collection.children.link(collection)
    made[2].hide_render = True
    for layer in scene.view_layers:
        layer.layer_collection.children[made[1].name].indirect_only = True


def _prepare(scene: bpy.types.Scene, settings: CaptureSettings) -> None:
    """The state that every capture is rendered in, whatever the user's is."""
    compat.use_cycles(scene)
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = settings.width, settings.height, 100
    for name in ("use_border", "use_crop_to_border", "use_motion_blur", "use_sequencer", "use_multiview", "use_simplify", "use_freestyle"):
        setattr(render, name, False)
    # The stamp's parts end in the PNG's text chunks even where no stamp is drawn, the .blend's path among them.
    for name in [name for name in render.bl_rna.properties.keys() if name.startswith("use_stamp")]:
        setattr(render, name, False)
    render.dither_intensity = 0.0
    render.use_overwrite, render.use_placeholder, render.use_file_extension = True, False, True
    # Views differ only in the camera, so the scene's search trees are built once.
    render.use_persistent_data = True
    compat.set_picture_format(render.image_settings, "PNG")
    render.image_settings.color_mode, render.image_settings.color_depth, render.image_settings.compression = "RGBA", "8", 15
    render.image_settings.color_management = "FOLLOW_SCENE"

    cycles = scene.cycles
    cycles.samples, cycles.time_limit, cycles.use_animated_seed = settings.samples, 0.0, False
    if compat.use_denoiser(scene):
        # The other prefilters denoise albedo and normals in passes of their own: a second a view more, for 1 dB at 8 samples.
        cycles.denoising_input_passes, cycles.denoising_prefilter = "RGB_ALBEDO_NORMAL", "FAST"
    cycles.film_transparent_glass, cycles.film_exposure = False, 1.0
    # Depth is the first sample's, which this pattern puts at the pixel's center.
    cycles.sampling_pattern = "AUTOMATIC"

    view = scene.view_settings
    try:
        scene.display_settings.display_device = "sRGB"
        view.view_transform, view.look = "Standard", "None"
    except TypeError:
        message = "Blender's color configuration has no view transform Standard."
        raise UserError(message, "Start Blender without the environment variable OCIO.") from None
    view.exposure, view.gamma, view.use_curve_mapping = settings.exposure, 1.0, False
    if hasattr(view, "use_white_balance"):
        view.use_white_balance = False

    layer = render_layer(scene)
    for other in scene.view_layers:
        other.use = other == layer
    layer.use_pass_z, layer.use_pass_diffuse_color, layer.samples = True, True, 0
    layer.cycles.use_denoising = True


def _write_passes(scene: bpy.types.Scene, tree: bpy.types.NodeTree, folder: str) -> None:
    scene.render.use_compositing = True
    layers = tree.nodes.new("CompositorNodeRLayers")
    layers.scene = scene
    layers.layer = render_layer(scene).name
    compat.output_picture(tree, layers.outputs["Image"])
    compat.output_float_exr(tree, layers.outputs["Depth"], folder, _DEPTH)
    # Renamed in 5.0.
    albedo = next(socket for socket in layers.outputs if socket.name in ("DiffCol", "Diffuse Color"))
    compat.output_float_exr(tree, albedo, folder, _ALBEDO, "RGBA")
