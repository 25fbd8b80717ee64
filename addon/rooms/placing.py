# SPDX-License-Identifier: GPL-3.0-or-later
"""Imported results move to their place in a room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import bpy
import mathutils
import numpy as np

from ...engine.contract.errors import UserError
from ...engine.contract.settings import PlaceSettings
from ..results.tagging import tagged
from .building import build_room
from .layouts import Extent, placement


def place(objects: Sequence[bpy.types.Object], settings: PlaceSettings) -> None:
    """Puts results where the settings say. They start from where they were captured, so placing twice is placing once.

    Args:
        objects: imported results; others among them stay where they are.
        settings: where to; with ``room``, a room is built about the origin, and results stand in its middle where no ``location`` is given.

    Raises:
        UserError: there is no result among the objects, several would stand in one place, one of unknown scale has no known length, or a
            known length cannot be used.
    """
    results = [item for item in objects if tagged(item).get("kind") == "result"]
    if not results:
        raise UserError("There is no imported result among the selected objects.", "Select what you imported, then place it.")
    scene = _scene_of(results[0])
    if settings.room:
        settings = replace(settings, location=settings.location or (0.0, 0.0, 0.0), on_floor=True)
    if settings.location is not None and len(results) > 1:
        raise UserError(f"{len(results)} results would stand in the same place.", "Select one of them, and place one after the other.")
    unit = scene.unit_settings.scale_length
    moves = [(item, _pose(item, settings, unit)) for item in results]
    if settings.room:
        build_room(scene, settings.room_size)
    for item, pose in moves:
        item.matrix_world = pose


def _pose(item: bpy.types.Object, settings: PlaceSettings, unit: float) -> mathutils.Matrix:
    """The object's matrix at its place. Its own origin is the foot of what was captured, in metres times 1/unit."""
    values = tagged(item)
    if values.get("scale") == "unknown" and not settings.known_length:
        raise UserError(f"The scale of {item.name} is not known.", "Give the real length of its longest side.")
    extent = Extent(np.array(values["low"]), np.array(values["high"]))
    matrix = placement(extent, settings.location, settings.rotation, settings.on_floor, settings.known_length)
    captured = np.eye(4)
    captured[:3, 3] = extent.foot
    matrix = matrix @ captured
    matrix[:3, 3] /= unit
    return mathutils.Matrix(matrix.tolist())


def _scene_of(item: bpy.types.Object) -> bpy.types.Scene:
    return bpy.context.scene if bpy.context.scene in item.users_scene or not item.users_scene else item.users_scene[0]
