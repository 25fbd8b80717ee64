# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats in a GLB: the glTF extension KHR_gaussian_splatting. Axes: x right, y up, z towards the viewer; meters.

https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Khronos/KHR_gaussian_splatting
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...color import srgb_to_linear
from ...contract.errors import UserError
from ...harmonics import SH_C0
from ..gltf import HINT, Glb, Writer, opened
from .gaussians import Note, Splats, logarithms, logits, opacities, unit_quats
from .transform import moved

_EXTENSION = "KHR_gaussian_splatting"
_SPACES = {"linear": "lin_rec709_display", "srgb": "srgb_rec709_display"}


def read_glb(file: Path, note: Note | None = None) -> Splats:
    """Reads all splats of a GLB's scene, where its nodes put them.

    Raises:
        UserError: the file is damaged, holds no splats, or holds them in a way that is not read.
    """
    with opened(file, note) as glb:
        found: list[Splats] = []
        others, unknown = 0, set()
        for primitive, matrix in glb.primitives():
            if _EXTENSION not in primitive.get("extensions", {}):
                others += 1
                continue
            unknown |= _unknown(primitive["extensions"][_EXTENSION])
            found.append(_placed(_primitive(glb, primitive), matrix))
            # A splat takes 44 bytes at least: nodes may share splats, but not without end.
            if sum(len(part) for part in found) > len(glb.body):
                raise UserError("shows the same splats too many times.", HINT)
    if not found:
        raise UserError(f"{file} holds no splats.", f"Choose a GLB with {_EXTENSION}.")
    if note is not None and others:
        note(f"Its primitives that are no splats ({others}) were ignored.")
    if note is not None and unknown:
        note(f"Its {' and '.join(sorted(unknown))} of splats is not known, and was ignored.")
    return _joined(found)


def write_glb(file: Path, splats: Splats) -> None:
    """Writes a GLB with one node of splats. Where they do not say how they blend, the file says sRGB, as the field's viewers do.

    Raises:
        UserError: there are no splats, one's size is beyond float32, or the disk is full.
    """
    if not len(splats):
        raise UserError(f"There are no splats to write to {file}, and glTF has no empty lists.")
    with np.errstate(over="ignore"):
        scales = np.exp(splats.log_scales.astype(np.float64)).astype("<f4")
    if not np.isfinite(scales).all():
        raise UserError(f"A splat is too large to be written to {file}.", "Remove it first, for example with --remove-floaters.")
    blend = splats.blend or "srgb"
    opacity = opacities(splats)
    attributes: dict[str, np.ndarray] = {
        "POSITION": splats.means.astype("<f4"),
        # What programs without the extension show: points in linear colors.
        "COLOR_0": _point_colors(splats.sh[:, 0], opacity, blend),
        f"{_EXTENSION}:ROTATION": unit_quats(splats.quats)[:, [1, 2, 3, 0]].astype("<f4"),
        f"{_EXTENSION}:SCALE": scales,
        f"{_EXTENSION}:OPACITY": opacity.astype("<f4"),
    }
    for index in range(splats.sh.shape[1]):
        attributes[_coefficient(index)] = splats.sh[:, index].astype("<f4")
    writer = Writer()
    numbers = {name: writer.add(values, bounds=name == "POSITION", normalized=name == "COLOR_0") for name, values in attributes.items()}
    facts = {"kernel": "ellipse", "colorSpace": _SPACES[blend], "sortingMethod": "cameraDistance", "projection": "perspective"}
    document = {
        "extensionsUsed": [_EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"mode": 0, "attributes": numbers, "extensions": {_EXTENSION: facts}}]}],
    }
    writer.write(file, document, "Write another format, or use --decimate.")


def _coefficient(index: int) -> str:
    degree = int(np.sqrt(index))
    return f"{_EXTENSION}:SH_DEGREE_{degree}_COEF_{index - degree * degree}"


def _point_colors(base: np.ndarray, opacity: np.ndarray, blend: str) -> np.ndarray:
    colors = np.clip(base * SH_C0 + 0.5, 0, 1)
    if blend == "srgb":
        colors = srgb_to_linear(colors)
    return np.rint(np.concatenate([colors, opacity[:, None]], axis=1) * 255).astype(np.uint8)


def _placed(splats: Splats, matrix: np.ndarray) -> Splats:
    if np.array_equal(matrix, np.eye(4)):
        return splats
    linear = matrix[:3, :3]
    scale = np.cbrt(np.linalg.det(linear))
    with np.errstate(all="ignore"):
        even = np.abs(linear.T @ linear / scale**2 - np.eye(3)).max() < 1e-3
    if not (scale > 0 and even):
        raise UserError("mirrors, shears or unevenly scales its splats, which is not read.", "Apply the transform before it is exported.")
    # Off by rounding the least: the rotation nearest to it.
    left, _, right = np.linalg.svd(linear)
    return moved(splats, left @ right, float(scale), matrix[:3, 3])


def _primitive(glb: Glb, primitive: dict[str, Any]) -> Splats:
    """The splats of one primitive, in its own space."""
    attributes, facts = primitive["attributes"], primitive["extensions"][_EXTENSION]
    if facts.get("extensions"):
        raise UserError("holds compressed splats, which are not read.", "Export them without compression.")

    def values(name: str, width: int = 3) -> np.ndarray:
        return glb.numbers(attributes[name], width)

    means = values("POSITION")
    degree = max(degree for degree in range(4) if f"{_EXTENSION}:SH_DEGREE_{degree}_COEF_0" in attributes)
    sh = np.stack([values(_coefficient(index)) for index in range((degree + 1) ** 2)], axis=1)
    return Splats(
        means=means.astype(np.float32),
        log_scales=logarithms(values(f"{_EXTENSION}:SCALE")),
        quats=values(f"{_EXTENSION}:ROTATION", 4)[:, [3, 0, 1, 2]].astype(np.float32),
        opacity_logits=logits(values(f"{_EXTENSION}:OPACITY", 1)[:, 0]),
        sh=sh.astype(np.float32),
        blend=next((blend for blend, space in _SPACES.items() if facts.get("colorSpace") == space), None),
    )


def _unknown(facts: dict[str, Any]) -> set[str]:
    """What the extension says of splats that is not drawn here."""
    known = {"kernel": ("ellipse",), "colorSpace": tuple(_SPACES.values()), "projection": ("perspective",)}
    return {f"{name} {str(facts[name])[:40]}" for name, values in known.items() if name in facts and facts[name] not in values}


def _joined(parts: list[Splats]) -> Splats:
    """One set of all; those of a lower degree get harmonics of 0."""
    most = max(part.sh.shape[1] for part in parts)
    blends = {part.blend for part in parts}
    return replace(
        parts[0],
        means=np.concatenate([part.means for part in parts]),
        log_scales=np.concatenate([part.log_scales for part in parts]),
        quats=np.concatenate([part.quats for part in parts]),
        opacity_logits=np.concatenate([part.opacity_logits for part in parts]),
        sh=np.concatenate([np.pad(part.sh, ((0, 0), (0, most - part.sh.shape[1]), (0, 0))) for part in parts]),
        blend=blends.pop() if len(blends) == 1 else None,
    )
