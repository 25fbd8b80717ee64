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
from ..results.assets import describe
from ..results.tagging import made_in, tagged
from .building import build_room
from .layouts import Extent, placement


def place(objects: Sequence[bpy.types.Object], settings: PlaceSettings) -> None:
    """Puts results where the settings say; what these do not say stays as it is.

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
    for layer in scene.view_layers:
        # What was moved just now by a script has its old matrix until then.
        layer.update()
    moves = [(item, _pose(item, settings, unit)) for item in results]
    if settings.room:
        build_room(scene, settings.room_size)
    for item, pose in moves:
        item.matrix_world = pose
        if item.asset_data is not None and item.library is None:
            describe(item, unit)


def _pose(item: bpy.types.Object, settings: PlaceSettings, unit: float) -> mathutils.Matrix:
    """The object's matrix at its place. Its own origin is the foot of what was captured."""
    values, matrix = tagged(item), np.array(item.matrix_world, dtype=np.float64)
    extent = Extent(np.array(values["low"]), np.array(values["high"]))
    own = Extent(extent.low - extent.foot, extent.high - extent.foot)
    # From the capture's metres to the scene's. Both may count them in units of their own, where it was brought in from another file.
    inner = made_in(item, unit) / unit
    matrix[:3, :3] /= inner
    matrix[:3, 3] *= unit
    scaled = abs(np.cbrt(np.linalg.det(matrix[:3, :3])) - 1) > 1e-6
    if values.get("scale") == "unknown" and not settings.known_length and not scaled:
        raise UserError(f"The scale of {item.name} is not known.", "Give the real length of its longest side.")
    placed = placement(own, matrix, settings.location, settings.rotation, settings.on_floor, settings.known_length)
    placed[:3, :3] *= inner
    placed[:3, 3] /= unit
    return mathutils.Matrix(placed.tolist())


def _scene_of(item: bpy.types.Object) -> bpy.types.Scene:
    return bpy.context.scene if bpy.context.scene in item.users_scene or not item.users_scene else item.users_scene[0]
