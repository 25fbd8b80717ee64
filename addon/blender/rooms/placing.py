# SPDX-License-Identifier: GPL-3.0-or-later
"""Imported results move to their place in a room."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import bpy
import mathutils
import numpy as np

from ....engine.contract.errors import UserError
from ....engine.contract.settings import PlaceSettings
from ...core.extents import Extent
from ...core.placement import placement
from ..results.assets import describe
from ..results.edits import applied_transform, captured_pose
from ..results.measuring import check_extent, depth_below_floor, extent_of, has_known_scale, length_of
from ..tagging import kind_of
from .building import build_room


def place(objects: Sequence[bpy.types.Object], settings: PlaceSettings, selections: Collection[bpy.types.Object] = ()) -> None:
    """Puts results where the settings say; what these do not say stays as it is.

    Args:
        objects: imported results; others among them stay where they are.
        selections: results of which only the vertices selected in Edit Mode are measured. These are placed on the floor and at the
            location, and have the known length.
        settings: where to; with ``room``, a room is built about the origin, and results stand in its middle where no ``location`` is given.

    Raises:
        UserError: there is no result among the objects, or one that is linked from another file; several would get one location or one
            length; one of unknown scale has no known length, or a known length cannot be used.
    """
    results = [item for item in objects if kind_of(item) == "result"]
    if not results:
        raise UserError("There is no imported result among the selected objects.", "Select an imported result, then place it.")
    linked = [item.name for item in results if not item.is_editable]
    if linked:
        hint = "Choose Object > Library Override > Make, then place the override."
        raise UserError(f"{', '.join(linked)}: linked from another file, where alone it can be moved.", hint)
    scene = _scene_of(results[0])
    if settings.room:
        settings = replace(settings, location=settings.location or (0.0, 0.0, 0.0), on_floor=True)
    if settings.location is not None and len(results) > 1:
        raise UserError(f"{len(results)} results would stand in the same place.", "Select one of them, and place one after the other.")
    if settings.known_length and len(results) > 1:
        raise UserError(f"{len(results)} results would get the same length.", "Select one of them, and give its length alone.")
    unit = scene.unit_settings.scale_length
    for layer in scene.view_layers:
        # What was moved just now by a script has its old matrix until then.
        layer.update()
    moves = [(item, _pose(item, settings, unit, item in selections)) for item in results]
    for item, pose in moves:
        item.matrix_world = pose
        if item.asset_data is not None:
            describe(item, unit)
    if settings.room:
        for layer in scene.view_layers:
            layer.update()
        # A captured room brings its floor along, which a second one at the same height would shine through.
        build_room(scene, settings.room_size, max(depth_below_floor(item) for item in results))


def _pose(item: bpy.types.Object, settings: PlaceSettings, unit: float, selection: bool) -> mathutils.Matrix:
    """The object's matrix at its place."""
    extent, pose, scale = extent_of(item, selection), captured_pose(item), 1.0
    check_extent(item, pose)
    if settings.known_length:
        length = length_of(item, unit, selection)
        if length <= 0:
            what = "The selection" if selection else "The result"
            raise UserError(f"{what} has no size, so a known length says nothing about its scale.", "Select points that are apart.")
        scale = settings.known_length / length
    elif not has_known_scale(item, unit):
        raise UserError(f"The scale of {item.name} is not known.", "Give the real length of its longest side as Length.")
    pose[:3, 3] *= unit
    extent = Extent(unit * extent.low, unit * extent.high)
    placed = placement(extent, pose, settings.location, settings.rotation, settings.on_floor, scale)
    placed[:3, 3] /= unit
    return mathutils.Matrix((placed @ np.linalg.inv(applied_transform(item))).tolist())


def _scene_of(item: bpy.types.Object) -> bpy.types.Scene:
    return bpy.context.scene if bpy.context.scene in item.users_scene or not item.users_scene else item.users_scene[0]
