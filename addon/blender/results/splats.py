# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats as the points of a result: each point carries its gaussian, which splat_nodes.py draws, or Blender itself from 5.3 on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from ....engine.contract.errors import UserError
from ....engine.formats.capture import read_capture
from ....engine.formats.splats import Splats
from ....engine.formats.splats.blending import to_blend
from ....engine.formats.transforms import Frame
from ....engine.harmonics import SH_C0, harmonics
from ..compat import has_native_splats
from .parts import POINTS, RADIUS, Part

# Alpha below this is not drawn, as in the field's rasterizers.
MINIMUM_ALPHA = 1.0 / 255.0
# Each gaussian on a ray is a transparent surface. A ray stops by itself where nothing more shines through, so the limit costs nothing.
TRANSPARENT_BOUNCES = 1024
# Gaussians less opaque than this are fog at most, and are left out of the points that stand for the splats.
_SOLID = 0.1
# Views that colors are averaged over, at most.
_VIEWS = 64


def splat_part(splats: Splats, blend: str, frames: Sequence[Frame], origin: np.ndarray, unit: float) -> Part:
    """The points of gaussians.

    Args:
        splats: the gaussians, in meters.
        blend: linear or srgb: what their colors are.
        frames: the views that they were trained on; may be empty.
        origin: [3] meters, the place of the object's origin.
        unit: meters in a Blender unit.
    """
    sh = to_blend(replace(splats, blend=blend), "linear").sh.astype(np.float64)
    opacities = opacities_of(splats)
    scales = np.exp(splats.log_scales.astype(np.float64)) / unit
    quats = splats.quats.astype(np.float64)
    colors = mean_colors(splats.means, sh, splats.degree, frames)
    attributes = {
        RADIUS: ("FLOAT", np.where(opacities >= _SOLID, np.median(scales, axis=1), 0.0)),
        "opacity": ("FLOAT", opacities),
        "scale": ("FLOAT_VECTOR", scales),
        "rotation": ("QUATERNION", quats / np.linalg.norm(quats, axis=1, keepdims=True)),
    }
    if has_native_splats():
        attributes |= radiance(splats, blend)
    elif splats.degree:
        # What is missing from the mean color to the harmonics' own middle, and the harmonics.
        attributes["sh_0"] = ("FLOAT_VECTOR", _middle(sh) - colors)
        attributes |= {f"sh_{number}": ("FLOAT_VECTOR", sh[:, number]) for number in range(1, sh.shape[1])}
    return Part(POINTS, (splats.means - np.asarray(origin, dtype=np.float64)) / unit, colors, attributes=attributes)


def opacities_of(splats: Splats) -> np.ndarray:
    """Opacities between 0 and 1, [N] float64."""
    return 1.0 / (1.0 + np.exp(-np.clip(splats.opacity_logits.astype(np.float64), -60, 60)))


def radiance(splats: Splats, blend: str) -> dict[str, tuple[str, np.ndarray]]:
    """What Blender's own gaussians take their color from, as attributes of :class:`~.parts.Part`: harmonics of sRGB codes (it makes light
    of what they sum to, and half), the lowest together with the opacity.
    """
    sh = to_blend(replace(splats, blend=blend), "srgb").sh.astype(np.float64)
    base = np.concatenate([sh[:, 0], opacities_of(splats)[:, None]], axis=1)
    rest = {f"radiance:sh_{number}": ("FLOAT_VECTOR", sh[:, number + 1]) for number in range(sh.shape[1] - 1)}
    return {"radiance:base": ("FLOAT4", base), **rest}


def mean_colors(means: np.ndarray, sh: np.ndarray, degree: int, frames: Sequence[Frame]) -> np.ndarray:
    """What gaussians look like on average from the views that have them in the picture, from all sides where none has.

    Args:
        means: [N, 3] meters.
        sh: [N, K, 3], harmonics of scene-linear light.
        degree: of the harmonics.
        frames: the views.

    Returns:
        [N, 3] scene-linear.
    """
    mean = np.zeros((len(means), sh.shape[1]))
    seen = np.zeros(len(means))
    for frame in [frames[index] for index in np.unique(np.linspace(0, len(frames) - 1, _VIEWS).astype(int))] if degree and frames else ():
        pose = np.asarray(frame.transform_matrix, dtype=np.float64)
        away = means - pose[:3, 3]
        local = away @ pose[:3, :3]
        ahead = local[:, 2] < 0
        depth = np.where(ahead, -local[:, 2], 1.0)
        x, y = frame.cx + frame.fl_x * local[:, 0] / depth, frame.cy - frame.fl_y * local[:, 1] / depth
        inside = np.flatnonzero(ahead & (x >= 0) & (x < frame.w) & (y >= 0) & (y < frame.h))
        directions = away[inside] / np.linalg.norm(away[inside], axis=1, keepdims=True)
        mean[inside] += harmonics(degree, directions)
        seen[inside] += 1
    mean /= np.maximum(seen, 1)[:, None]
    return np.where(seen[:, None] > 0, np.maximum(0.5 + np.einsum("nk,nkc->nc", mean, sh), 0.0), np.maximum(_middle(sh), 0.0))


def training_views(capture: str, turn: np.ndarray) -> list[Frame]:
    """The training views of a capture, turned about the origin by ``turn`` [3, 3]; none where it is not there any more."""
    whole = np.eye(4)
    whole[:3, :3] = turn
    try:
        frames = read_capture(Path(capture)).split("train")
    except UserError:
        return []
    return [replace(frame, transform_matrix=(whole @ np.asarray(frame.transform_matrix)).tolist()) for frame in frames]


def _middle(sh: np.ndarray) -> np.ndarray:
    return 0.5 + SH_C0 * sh[:, 0]


def most_visible(splats: Splats, count: int) -> Splats:
    """The ``count`` gaussians that cover most, by opacity times the area of their larger two axes, in the order that they had."""
    if count <= 0 or count >= len(splats):
        return splats
    scales = np.sort(splats.log_scales.astype(np.float64), axis=1)
    cover = np.log(opacities_of(splats)) + scales[:, 1] + scales[:, 2]
    return splats.select(np.sort(np.argpartition(-cover, count)[:count]))


def raise_transparent_bounces(scene: bpy.types.Scene) -> str:
    """Lets Cycles see through as many gaussians drawn by nodes as there are on a ray. Blender's own are not counted by the limit.

    Returns:
        A sentence that tells what was changed, "" where nothing had to be.
    """
    # Where the Cycles add-on is switched off, there is nothing to raise.
    before = scene.cycles.transparent_max_bounces if hasattr(scene, "cycles") else TRANSPARENT_BOUNCES
    if before >= TRANSPARENT_BOUNCES:
        return ""
    scene.cycles.transparent_max_bounces = TRANSPARENT_BOUNCES
    return f"Transparent bounces were raised from {before} to {TRANSPARENT_BOUNCES}, so that Cycles sees through the splats."
