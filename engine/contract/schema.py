# SPDX-License-Identifier: GPL-3.0-or-later
"""Dataclasses as the one source of settings: their help, units and bounds, and their way from and to plain mappings.

A field made by :func:`setting` carries what the command line, the TOML reader and Blender's panel need to show it, so that every help
text is written once.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, Literal, TypeVar

from .errors import UserError

# Files of another major version are refused; a minor one only adds keys.
SCHEMA = "1.0"

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class About:
    """What a person needs to know about a setting. Bounds are inclusive; ``unit`` is "" where there is none."""

    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    advanced: bool = False


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    advanced: bool = False,
) -> Any:
    """A dataclass field with what a person needs to know about it."""
    about = About(help, unit, minimum, maximum, advanced)
    if dataclasses.is_dataclass(default) and isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata={"about": about})
    return dataclasses.field(default=default, metadata={"about": about})


def about(field: dataclasses.Field) -> About:
    """What :func:`setting` said about a field."""
    return field.metadata["about"]


def check(values: Any, where: str = "") -> None:
    """Checks every value of a settings dataclass against its bounds and choices, nested ones too.

    Raises:
        UserError: names the setting, its value and what it may be.
    """
    hints = typing.get_type_hints(type(values))
    for field in dataclasses.fields(values):
        name = f"{where}.{field.name}" if where else field.name
        _check_value(getattr(values, field.name), hints[field.name], field.metadata.get("about"), name)


def from_mapping(cls: type[T], mapping: Any, where: str = "") -> T:
    """Builds a settings dataclass from a TOML table or JSON object, and checks it.

    Args:
        cls: the dataclass.
        mapping: its keys and plain values; missing ones take the default.
        where: the table's name, for messages.

    Raises:
        UserError: an unknown key, a wrong type, a value out of bounds.
    """
    label = where or "the job"
    if not isinstance(mapping, dict):
        raise UserError(f"{label} must be a table of settings, not {type(mapping).__name__}.")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(mapping) - set(fields))
    if unknown:
        raise UserError(f"{label} has no setting named {unknown[0]!r}.", f"It knows: {', '.join(fields)}.")
    values = {}
    for name, value in mapping.items():
        inner = f"{where}.{name}" if where else name
        nested = _dataclass_in(hints[name])
        if nested is not None and value is not None:
            value = from_mapping(nested, value, inner)
        elif isinstance(value, list):
            value = tuple(value)
        elif isinstance(value, int) and not isinstance(value, bool) and float in _options(hints[name]):
            value = float(value)
        values[name] = value
    missing = [
        name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UserError(f"{label} needs {missing[0]!r}.")
    result = cls(**values)
    check(result, where)
    return result


def to_mapping(values: Any) -> dict[str, Any]:
    """The plain mapping of a settings dataclass: what :func:`from_mapping` reads and JSON or TOML can hold."""
    result = {}
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        if dataclasses.is_dataclass(value):
            value = to_mapping(value)
        elif isinstance(value, tuple):
            value = list(value)
        if value is not None:
            result[field.name] = value
    return result


def check_version(version: Any, what: str) -> None:
    """Refuses a file written under another major version of the contract."""
    if str(version).split(".")[0] != SCHEMA.split(".")[0]:
        raise UserError(
            f"{what} follows version {version} of the contract; this program reads version {SCHEMA}.",
            "Use the add-on and the engine of one release.",
            "version",
        )


def _options(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a type hint: ``float | None`` gives (float, NoneType)."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.get_args(hint)
    return (hint,)


def _dataclass_in(hint: Any) -> type | None:
    return next((option for option in _options(hint) if dataclasses.is_dataclass(option)), None)


def _check_value(value: Any, hint: Any, about: About | None, name: str) -> None:
    if dataclasses.is_dataclass(value):
        check(value, name)
        return
    options = _options(hint)
    if value is None and type(None) in options:
        return
    for option in options:
        origin = typing.get_origin(option)
        if origin is Literal:
            if value in typing.get_args(option):
                return
            choices = ", ".join(map(repr, typing.get_args(option)))
            raise UserError(f"{name} is {value!r}; it may be {choices}.")
        if origin is tuple:
            inner = typing.get_args(option)
            length_fits = len(inner) == 2 and inner[1] is Ellipsis or isinstance(value, tuple) and len(value) == len(inner)
            if isinstance(value, tuple) and length_fits:
                for index, item in enumerate(value):
                    _check_value(item, inner[0 if inner[-1] is Ellipsis else index], about, f"{name}[{index}]")
                return
            continue
        if option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            _check_bounds(value, about, name)
            return
        if option is int and isinstance(value, int) and not isinstance(value, bool):
            _check_bounds(value, about, name)
            return
        if option in (str, bool) and isinstance(value, option):
            return
    raise UserError(f"{name} is {value!r}, which is not {_plain_type(options)}.")


def _check_bounds(value: float, about: About | None, name: str) -> None:
    if not math.isfinite(value):
        raise UserError(f"{name} is {value}; it must be a finite number.")
    if about is None:
        return
    unit = f" {about.unit}" if about.unit else ""
    if about.minimum is not None and value < about.minimum:
        raise UserError(f"{name} is {value}{unit}; the least it may be is {about.minimum}{unit}.")
    if about.maximum is not None and value > about.maximum:
        raise UserError(f"{name} is {value}{unit}; the most it may be is {about.maximum}{unit}.")


def _plain_type(options: tuple[Any, ...]) -> str:
    words = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
    return " or ".join(words.get(option, "a list") for option in options if option is not type(None))
