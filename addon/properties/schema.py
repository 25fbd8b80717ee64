# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties of scenes made from the contract's settings, so that each name, bound and help text is written once."""

import dataclasses
import typing
from typing import Any, Literal

import bpy

from ...engine.contract.job import TrainStage
from ...engine.contract.methods import METHODS
from ...engine.contract.presets import PRESETS, with_preset
from ...engine.contract.schema import about, check, from_mapping
from ...engine.contract.settings import CaptureSettings, ImportSettings, PlaceSettings, TrainSettings
from ...engine.contract.voxels import VoxelSettings, VoxelShape
from ..core.folder_names import CAPTURE, HOME, TRAINED, VOXELS
from . import labels

_LARGEST = 2**31 - 1
_DEFAULTS = {
    (CaptureSettings, "out"): f"{HOME}/{CAPTURE}",
    (TrainStage, "out"): f"{HOME}/{TRAINED}",
    # These may be None; the panel starts from here once the user wants them.
    (TrainSettings, "minutes"): 3.0,
    (TrainSettings, "steps"): 2000,
    (PlaceSettings, "location"): (0.0, 0.0, 0.0),
    (PlaceSettings, "rotation"): 0.0,
}
_FOLDERS = {"out", "result", "capture"}
_VOXELS = {"threshold": "FACTOR", "smoothness": "FACTOR", "length": "DISTANCE", "weights": "FILE_PATH"}
_BUDGETS = (
    ("minutes", "Minutes", "Train for a fixed time; the number of steps adapts to it"),
    ("steps", "Steps", "Train for a fixed number of steps; every run gives the same result"),
)


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The type of a setting, and whether it may be None."""
    options = typing.get_args(hint)
    if type(None) in options:
        return next(option for option in options if option is not type(None)), True
    return hint, False


def setting_property(cls: type, field: dataclasses.Field, hint: Any, **more: Any) -> Any:
    """The bpy property of one setting."""
    its = about(field)
    default = _DEFAULTS.get((cls, field.name), field.default)
    # Lengths of voxels are in the scene's units, and are typed and shown in them.
    subtype = _VOXELS.get(field.name, "NONE") if issubclass(cls, VoxelShape) else "NONE"
    name = labels.label(cls, field.name, "" if subtype == "DISTANCE" else its.unit)
    common = {"name": name, "description": its.help.rstrip("."), "options": set(), **more}
    if typing.get_origin(hint) is Literal:
        items = [(value, labels.CHOICES.get(value, value.title()), labels.ADVICE.get(value, "")) for value in typing.get_args(hint)]
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

    common = {"name": labels.label(cls, field.name), "description": about(field).help.rstrip("."), "options": set(), "get": get, "set": put}
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
        annotations[field.name] = setting_property(cls, field, hint)
        if about(field).unit == "m" and not issubclass(cls, VoxelShape):
            annotations[f"{field.name}_shown"] = _shown_length(cls, field, hint)
        if optional and cls is not TrainSettings:
            annotations[f"use_{field.name}"] = bpy.props.BoolProperty(
                name=f"Set {labels.label(cls, field.name)}", description=about(field).help.rstrip("."), options=set()
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


GROUPS = _group_classes(
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
        description="An image of one complete piece of furniture in front of a plain or transparent background, or with a mask",
        update=_forget_mask,
    )
    mask: bpy.props.PointerProperty(
        type=bpy.types.Image,
        name="Mask",
        description="An image that is bright where the furniture is, for backgrounds that are neither plain nor transparent",
    )
    out: bpy.props.StringProperty(
        name="Folder",
        description="Folder with a subfolder for each result",
        default=f"{HOME}/{VOXELS}",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    settings: bpy.props.PointerProperty(type=GROUPS[VoxelSettings])


class RECONSTRUCT_PG_scene(bpy.types.PropertyGroup):
    """What the user chose for this scene."""

    capture: bpy.props.PointerProperty(type=GROUPS[CaptureSettings])
    train: bpy.props.PointerProperty(type=GROUPS[TrainStage])
    import_: bpy.props.PointerProperty(type=GROUPS[ImportSettings])
    place: bpy.props.PointerProperty(type=GROUPS[PlaceSettings])
    voxels: bpy.props.PointerProperty(type=RECONSTRUCT_PG_pictures)
    home: bpy.props.StringProperty(name="Home", description="What the default folders begin with; kept by the add-on", options={"HIDDEN"})


CLASSES = (*GROUPS.values(), RECONSTRUCT_PG_pictures, RECONSTRUCT_PG_scene)
