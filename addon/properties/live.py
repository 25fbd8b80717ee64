# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties that keep nothing themselves: an object's show what its modifier and mesh hold, the window's show the job that runs."""

import contextlib
import dataclasses
import typing
from typing import Any

import bpy

from ...engine.contract.errors import UserError
from ...engine.contract.schema import about
from ...engine.contract.voxels import VoxelShape
from ..blender.results.looks import is_lit, looks_of, show, shown_as
from ..blender.results.voxel_objects import is_voxels, reshape, shape_of
from ..core.looks import DESCRIPTIONS, LABELS, LOOKS
from .schema import setting_property

# Blender keeps no copy of the texts of a list that is made while it is drawn.
_LOOK_ITEMS = {look: (look, LABELS[look], DESCRIPTIONS[look], number) for number, look in enumerate(LOOKS)}


def _look_items(self: bpy.types.PropertyGroup, context: bpy.types.Context | None) -> list[tuple[str, str, str, int]]:
    """The looks that this object has."""
    held = looks_of(self.id_data)
    return [_LOOK_ITEMS[look] for look in LOOKS if look in held]


def _look(where: str) -> Any:
    def choose(self: bpy.types.PropertyGroup, number: int) -> None:
        if self.id_data.is_editable:
            show(self.id_data, **{where.lower(): LOOKS[number]})

    return bpy.props.EnumProperty(
        name=where,
        description={"Viewport": "What this is shown as while you work", "Render": "What this is shown as in renders"}[where],
        items=_look_items,
        get=lambda self: LOOKS.index(shown_as(self.id_data, where)) if looks_of(self.id_data) else 0,
        set=choose,
        options=set(),
        override={"LIBRARY_OVERRIDABLE"},
    )


def _light(self: bpy.types.PropertyGroup, lit: bool) -> None:
    if self.id_data.is_editable:
        show(self.id_data, lit=lit)


def _live(field: dataclasses.Field, hint: Any) -> Any:
    """The bpy property of a setting of a voxel object. Its mesh stores the value and is rebuilt when it changes."""
    choices = typing.get_args(hint)

    def get(self: bpy.types.PropertyGroup) -> Any:
        value = getattr(shape_of(self.id_data), field.name)
        return choices.index(value) if choices else value

    def choose(self: bpy.types.PropertyGroup, value: Any) -> None:
        if is_voxels(self.id_data):
            # Blender keeps no bounds where a value is kept elsewhere.
            value = choices[value] if choices else min(max(value, about(field).minimum), about(field).maximum)
            # A surface that is too large stays as it was, and so does the slider.
            with contextlib.suppress(UserError):
                reshape(self.id_data, **{field.name: value})

    return setting_property(VoxelShape, field, hint, get=get, set=choose)


class RECONSTRUCT_PG_object_voxels(bpy.types.PropertyGroup):
    """What is made of the voxels of an object, see VoxelShape; lengths in the scene's units."""

    __annotations__ = {field.name: _live(field, typing.get_type_hints(VoxelShape)[field.name]) for field in dataclasses.fields(VoxelShape)}


class RECONSTRUCT_PG_object(bpy.types.PropertyGroup):
    """What an imported result is shown as, which the object's modifier keeps, and what is made of its voxels."""

    # Not overridable: the mesh, which keeps them, is none that Blender overrides.
    voxels: bpy.props.PointerProperty(type=RECONSTRUCT_PG_object_voxels)

    viewport: _look("Viewport")
    render: _look("Render")
    lit: bpy.props.BoolProperty(
        name="Lit by the Room",
        description="Light the mesh and the proxy by the room's lights, so that they cast shadows; off shows the captured light",
        get=lambda self: bool(looks_of(self.id_data)) and is_lit(self.id_data),
        set=_light,
        options=set(),
        override={"LIBRARY_OVERRIDABLE"},
    )


class RECONSTRUCT_PG_window(bpy.types.PropertyGroup):
    """The job that is followed now, as the panels show it; jobs/running.py keeps it up to date. Unknown numbers are -1."""

    kind: bpy.props.StringProperty(description="What runs or ran last: capture, train, proxy or voxels; empty before the first job")
    status: bpy.props.StringProperty(description="running, done, cancelled, stopped or failed")
    cancelling: bpy.props.BoolProperty(description="Cancel was asked for and the job is ending its step")
    folder: bpy.props.StringProperty(description="Folder that the job writes", subtype="DIR_PATH")
    stage: bpy.props.StringProperty(description="What the job is doing")
    step: bpy.props.IntProperty(default=-1)
    steps: bpy.props.IntProperty(default=-1)
    seconds: bpy.props.FloatProperty(default=-1.0)
    eta: bpy.props.FloatProperty(default=-1.0)
    loss: bpy.props.FloatProperty(default=-1.0)
    psnr: bpy.props.FloatProperty(default=-1.0)
    count: bpy.props.IntProperty(default=-1)
    preview: bpy.props.StringProperty(description="The newest preview picture", subtype="FILE_PATH")
    message: bpy.props.StringProperty(description="What went wrong")
    hint: bpy.props.StringProperty(description="What to do about it")
    note: bpy.props.StringProperty(description="What the user should know of the job, such as what it costs")
    warning: bpy.props.StringProperty(description="The newest warnings of the job, one per line")
    engine: bpy.props.StringProperty(description="What the last check of the engine found, one line each")
    engine_ok: bpy.props.BoolProperty(description="The last check found a working engine")


CLASSES = (RECONSTRUCT_PG_object_voxels, RECONSTRUCT_PG_object, RECONSTRUCT_PG_window)
