# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender properties made from the contract's settings, so that each name, bound and help text is written once.

``Scene.reconstruct`` keeps what the user chose; ``Object.reconstruct`` shows what a result looks like; ``WindowManager.reconstruct`` shows
what is happening and is never saved.
"""

import contextlib
import dataclasses
import typing
from typing import Any, Literal

import bpy

from ..engine.contract.errors import UserError
from ..engine.contract.job import TrainStage
from ..engine.contract.methods import METHODS
from ..engine.contract.methods.nerf import NerfSettings
from ..engine.contract.presets import PRESETS, with_preset
from ..engine.contract.schema import about, check, from_mapping
from ..engine.contract.settings import CaptureSettings, ImportSettings, PlaceSettings, TrainSettings
from ..engine.contract.voxels import VoxelSettings, VoxelShape
from .blender.results.looks import LOOKS, is_lit, looks_of, show, shown_as
from .blender.results.voxel_objects import is_voxels, reshape, shape_of
from .blender.scene_folders import CAPTURE, HOME, TRAINED, VOXELS

_LARGEST = 2**31 - 1
_UNITS = {"degrees": "°", "m": "m", "min": "min", "stops": "stops"}
_NAMES = {
    "base": "Coarsest Cells",
    "batch": "Samples of a Step",
    "cascades": "Occupancy Grids",
    "cells": "Occupancy Cells",
    "depth": "Network Depth",
    "finest": "Finest Cells",
    "lit": "Lit by the Room",
    "log2_table": "Table Size (log2)",
    "look": "Import As",
    "looks": "Occupancy Looks",
    "mesh_cells": "Mesh Detail",
    "ndc": "Cameras' Perspective",
    "only_object": "Only This Object",
    "out": "Folder",
    "rate": "Learning Rate",
    "rays": "Rays of a Step",
    "result": "Folder",
    "sampler": "Samples",
    "sh_degree": "Color Detail",
    "sh_rate": "Color Rate",
    "ssim_weight": "D-SSIM Weight",
    (NerfSettings, "width"): "Network Width",
}
_CHOICES = {
    "adc": "Clone and Split",
    "auto": "Automatic",
    "bfloat16": "bfloat16",
    "both": "Room and Object",
    "cpu": "Processor",
    "cuda": "NVIDIA or AMD GPU",
    "float32": "float32",
    "gsplat": "gsplat",
    "gsplat-mcmc": "gsplat, MCMC",
    "ipex": "Intel Extension for PyTorch",
    "longest": "Longest Side",
    "mcmc": "MCMC",
    "nerf-simple": "NeRF, the Smallest",
    "occupancy": "Where Something Is (Faster)",
    "orbit": "Around an Object",
    "paper": "As Published",
    "paper-fern": "NeRF as Published, Fern",
    "paper-lego": "NeRF as Published, Lego",
    "paper-ngp": "Instant-NGP as Published",
    "points": "Point Cloud",
    "published": "As Published",
    "room": "Inside the Room",
    "scene": "The Scene's Cameras",
    "simple": "The Smallest",
    "splats": "Splats",
    "srgb": "sRGB",
    "xpu": "Intel GPU",
} | {name: method.label for name, method in METHODS.items()}
# What the panel says of a choice, and the list where it is taken.
_ADVICE = {
    "points": "Colored points",
    "proxy": "A light, closed, textured mesh, which the room's lights can fall on",
    "mesh": "The fine surface, with a color for each vertex",
} | {name: method.advice for name, method in METHODS.items()}
_DEFAULTS = {
    (CaptureSettings, "out"): f"{HOME}/{CAPTURE}",
    (TrainStage, "out"): f"{HOME}/{TRAINED}",
    # These may be None; the panel starts from here once the user wants them.
    (TrainSettings, "minutes"): 3.0,
    (TrainSettings, "steps"): 2000,
    (PlaceSettings, "location"): (0.0, 0.0, 0.0),
    (PlaceSettings, "rotation"): 0.0,
}
# Blender keeps no copy of the texts of a list that is made while it is drawn.
_LOOKS = {
    "box": ("box", "Box", "The box about its solid part, in its real size", 0),
    "points": ("points", "Point Cloud", _ADVICE["points"], 1),
    "mesh": ("mesh", "Mesh", _ADVICE["mesh"], 2),
    "proxy": ("proxy", "Proxy", _ADVICE["proxy"], 3),
    "splats": ("splats", "Splats", "Gaussian splats, as they were captured", 4),
}
_FOLDERS = {"out", "result", "capture"}
_VOXELS = {"threshold": "FACTOR", "smoothness": "FACTOR", "length": "DISTANCE", "weights": "FILE_PATH"}
_BUDGETS = (
    ("minutes", "Minutes", "Train for a time; the number of steps is fitted to it"),
    ("steps", "Steps", "Train for a number of steps; the result is then the same on every run"),
)


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The type of a setting, and whether it may be None."""
    options = typing.get_args(hint)
    if type(None) in options:
        return next(option for option in options if option is not type(None)), True
    return hint, False


def _label(cls: type, name: str, unit: str = "") -> str:
    label = _NAMES.get((cls, name)) or _NAMES.get(name, name.replace("_", " ").title().replace(" Of ", " of "))
    return f"{label} ({_UNITS[unit]})" if unit in _UNITS else label


def label_of_flag(flag: str) -> str:
    """What panels call a setting that the command line has as a flag, such as ``--ngp.ray-steps``; empty where they have none."""
    *groups, name = flag.removeprefix("--").replace("-", "_").split(".")
    for cls in (TrainSettings, VoxelSettings):
        for group in groups:
            cls = typing.get_type_hints(cls).get(group)
        if dataclasses.is_dataclass(cls) and name in cls.__dataclass_fields__:
            return _label(cls, name)
    return ""


def _property(cls: type, field: dataclasses.Field, hint: Any, **more: Any) -> Any:
    """The bpy property of one setting."""
    its = about(field)
    default = _DEFAULTS.get((cls, field.name), field.default)
    # Lengths of voxels are in the scene's units, and are typed and shown in them.
    subtype = _VOXELS.get(field.name, "NONE") if issubclass(cls, VoxelShape) else "NONE"
    name = _label(cls, field.name, "" if subtype == "DISTANCE" else its.unit)
    common = {"name": name, "description": its.help.rstrip("."), "options": set(), **more}
    if typing.get_origin(hint) is Literal:
        items = [(value, _CHOICES.get(value, value.title()), _ADVICE.get(value, "")) for value in typing.get_args(hint)]
        changed = {"update": _take_preset} if (cls, field.name) == (TrainSettings, "preset") else {}
        return bpy.props.EnumProperty(items=items, default=default, **changed, **common)
    if hint is bool:
        return bpy.props.BoolProperty(default=default, **common)
    if hint is str:
        if field.name in _FOLDERS:
            common |= {"subtype": "DIR_PATH", "options": {"PATH_SUPPORTS_BLEND_RELATIVE"}}
        elif subtype != "NONE":
            common |= {"subtype": subtype, "options": {"PATH_SUPPORTS_BLEND_RELATIVE"}}
        return bpy.props.StringProperty(default=default, **common)
    bounds = {key: value for key, value in (("min", its.minimum), ("max", its.maximum)) if value is not None}
    if hint is int:
        bounds = {key: min(int(value), _LARGEST) for key, value in bounds.items()}
        return bpy.props.IntProperty(default=default, subtype="PIXEL" if its.unit == "px" else "NONE", **common, **bounds)
    if hint is float:
        precision = 6 if 0 < abs(default) < 0.01 else 2
        return bpy.props.FloatProperty(default=default, precision=precision, subtype=subtype, **common, **bounds)
    return bpy.props.FloatVectorProperty(size=len(typing.get_args(hint)), default=default, precision=2, **common, **bounds)


def _shown_length(cls: type, field: dataclasses.Field, hint: Any) -> Any:
    """A length as the panels show it: in the scene's units, where the setting itself is in meters."""
    vector = typing.get_origin(hint) is tuple

    def get(self: bpy.types.PropertyGroup) -> Any:
        unit = self.id_data.unit_settings.scale_length
        value = getattr(self, field.name)
        return [side / unit for side in value] if vector else value / unit

    def put(self: bpy.types.PropertyGroup, value: Any) -> None:
        unit = self.id_data.unit_settings.scale_length
        setattr(self, field.name, [typed(side * unit) for side in value] if vector else typed(value * unit))

    common = {"name": _label(cls, field.name), "description": about(field).help.rstrip("."), "options": set(), "get": get, "set": put}
    if not vector:
        return bpy.props.FloatProperty(subtype="DISTANCE", precision=3, **common)
    subtype = "TRANSLATION" if field.name == "location" else "XYZ_LENGTH"
    return bpy.props.FloatVectorProperty(size=len(typing.get_args(hint)), subtype=subtype, precision=3, **common)


def shown_name(group: bpy.types.PropertyGroup, name: str) -> str:
    """The property that a panel draws for a setting."""
    return f"{name}_shown" if f"{name}_shown" in group.bl_rna.properties else name


def _take_preset(group: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """Shows what the chosen preset sets; what any other preset sets goes back to its default."""
    settings = from_mapping(TrainSettings, with_preset({"preset": group.preset}))
    group.budget = "minutes" if settings.steps is None else "steps"
    for preset in PRESETS.values():
        for name, value in preset.items():
            if isinstance(value, dict):
                for inner in value:
                    setattr(getattr(group, name), inner, getattr(getattr(settings, name), inner))
            elif name not in ("minutes", "steps"):
                setattr(group, name, getattr(settings, name))
    for name in ("minutes", "steps"):
        group.property_unset(name)
        if getattr(settings, name) is not None:
            setattr(group, name, getattr(settings, name))


def _group_class(cls: type, groups: dict[type, type]) -> type:
    """The property group of a settings dataclass; ``groups`` holds those of the dataclasses nested in it."""
    hints = typing.get_type_hints(cls)
    annotations: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        hint, optional = _without_none(hints[field.name])
        if dataclasses.is_dataclass(hint):
            annotations[field.name] = bpy.props.PointerProperty(type=groups[hint])
            continue
        annotations[field.name] = _property(cls, field, hint)
        if about(field).unit == "m" and not issubclass(cls, VoxelShape):
            annotations[f"{field.name}_shown"] = _shown_length(cls, field, hint)
        if optional and cls is not TrainSettings:
            annotations[f"use_{field.name}"] = bpy.props.BoolProperty(
                name=f"Set {_label(cls, field.name)}", description=about(field).help.rstrip("."), options=set()
            )
    if cls is TrainSettings:
        annotations["budget"] = bpy.props.EnumProperty(name="Budget", description="What ends the training", items=_BUDGETS, options=set())
    name = f"RECONSTRUCT_PG_{cls.__name__.removesuffix('Settings').lower()}"
    return type(name, (bpy.types.PropertyGroup,), {"__annotations__": annotations, "__doc__": cls.__doc__})


def _group_classes(*settings: type) -> dict[type, type]:
    groups: dict[type, type] = {}
    for cls in settings:
        groups[cls] = _group_class(cls, groups)
    return groups


_GROUPS = _group_classes(
    *(method.settings for method in METHODS.values()),
    *(CaptureSettings, TrainSettings, TrainStage, ImportSettings, PlaceSettings, VoxelSettings),
)

T = typing.TypeVar("T")


def to_settings(group: bpy.types.PropertyGroup, cls: type[T]) -> T:
    """The settings that a property group holds, checked.

    Args:
        group: a group made from ``cls``.
        cls: the settings dataclass.

    Raises:
        UserError: a value is out of bounds.
    """
    values = _values(group, cls)
    check(values)
    return values


def _values(group: bpy.types.PropertyGroup, cls: type[T]) -> T:
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        hint, optional = _without_none(hints[field.name])
        value = getattr(group, field.name)
        if dataclasses.is_dataclass(hint):
            value = _values(value, hint)
        elif optional and not _is_set(group, field.name):
            value = None
        elif typing.get_origin(hint) is tuple:
            value = tuple(map(typed, value))
        elif hint is float:
            value = typed(value)
        values[field.name] = value
    return cls(**values)


def typed(value: float) -> float:
    """The number that was typed: Blender keeps 32 bits of it, which 7 digits tell apart."""
    return float(f"{value:.7g}")


def _is_set(group: bpy.types.PropertyGroup, name: str) -> bool:
    return group.budget == name if hasattr(group, "budget") else getattr(group, f"use_{name}")


def advanced_names(cls: type) -> list[str]:
    """The settings that belong into a closed sub-panel."""
    return [field.name for field in dataclasses.fields(cls) if about(field).advanced]


def _forget_mask(group: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """Another picture has another outline."""
    group.mask = None


class RECONSTRUCT_PG_pictures(bpy.types.PropertyGroup):
    """What voxels are made of, and how."""

    image: bpy.props.PointerProperty(
        type=bpy.types.Image,
        name="Picture",
        description="A picture of one piece of furniture, whole, before a plain or transparent background, or with a mask",
        update=_forget_mask,
    )
    mask: bpy.props.PointerProperty(
        type=bpy.types.Image,
        name="Mask",
        description="An image of the picture's shape, bright where the piece is, where the background is neither plain nor transparent",
    )
    out: bpy.props.StringProperty(
        name="Folder",
        description="Folder that receives a folder for each result",
        default=f"{HOME}/{VOXELS}",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    settings: bpy.props.PointerProperty(type=_GROUPS[VoxelSettings])


class RECONSTRUCT_PG_scene(bpy.types.PropertyGroup):
    """What the user chose for this scene."""

    capture: bpy.props.PointerProperty(type=_GROUPS[CaptureSettings])
    train: bpy.props.PointerProperty(type=_GROUPS[TrainStage])
    import_: bpy.props.PointerProperty(type=_GROUPS[ImportSettings])
    place: bpy.props.PointerProperty(type=_GROUPS[PlaceSettings])
    voxels: bpy.props.PointerProperty(type=RECONSTRUCT_PG_pictures)
    home: bpy.props.StringProperty(name="Home", description="What the default folders begin with; kept by the add-on", options={"HIDDEN"})


def _look_items(self: bpy.types.PropertyGroup, context: bpy.types.Context | None) -> list[tuple[str, str, str, int]]:
    """The looks that this object has."""
    held = looks_of(self.id_data)
    return [_LOOKS[look] for look in LOOKS if look in held]


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
    """The bpy property of what is made of an object's voxels. Its mesh keeps the value, and is made anew when it is set."""
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

    return _property(VoxelShape, field, hint, get=get, set=choose)


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
        description="Let the room's lights fall on its mesh and proxy, which then cast shadows; off shows the light they were captured in",
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


_CLASSES = (
    *_GROUPS.values(),
    RECONSTRUCT_PG_pictures,
    RECONSTRUCT_PG_scene,
    RECONSTRUCT_PG_object_voxels,
    RECONSTRUCT_PG_object,
    RECONSTRUCT_PG_window,
)


def register() -> None:
    """Adds the properties to scenes, objects and the window manager."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.reconstruct = bpy.props.PointerProperty(type=RECONSTRUCT_PG_scene, name="Reconstruct")
    bpy.types.Object.reconstruct = bpy.props.PointerProperty(
        type=RECONSTRUCT_PG_object, name="Reconstruct", override={"LIBRARY_OVERRIDABLE"}
    )
    bpy.types.WindowManager.reconstruct = bpy.props.PointerProperty(type=RECONSTRUCT_PG_window, options={"SKIP_SAVE"})


def unregister() -> None:
    """Takes the properties away; what scenes hold stays in their files."""
    del bpy.types.WindowManager.reconstruct
    del bpy.types.Object.reconstruct
    del bpy.types.Scene.reconstruct
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
