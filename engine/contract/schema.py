# SPDX-License-Identifier: GPL-3.0-or-later
"""Dataclasses as the one source of settings: their help, units and bounds, and their way from and to plain mappings.

A field made by :func:`setting` carries what the command line, the TOML reader and Blender's panel need to show it, so that every help
text is written once. Files that a program writes for itself (results, checkpoints) are checked in the same way.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import math
import types
import typing
from typing import Any, Literal, TypeVar

from .errors import UserError

# Files of another major version are refused; a minor one only adds keys.
SCHEMA = "1.0"

# Levels of tables and lists within a value that may hold anything, and characters of a value in a message.
_MAX_DEPTH, _MAX_SHOWN = 20, 60

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


def bounded(minimum: float | None = None, maximum: float | None = None, *, default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field for a file's number or numbers, which no user sets. Without ``default`` the key is required."""
    return dataclasses.field(default=default, metadata={"about": About("", minimum=minimum, maximum=maximum)})


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


def from_mapping(cls: type[T], mapping: Any, where: str = "", *, ignore_unknown: bool = False) -> T:
    """Builds a dataclass from a TOML table or JSON object, and checks it.

    Args:
        cls: the dataclass.
        mapping: its keys and plain values; missing ones take the default.
        where: the table's name, for messages.
        ignore_unknown: skip keys that the dataclass does not have, instead of refusing them.

    Raises:
        UserError: an unknown key, a wrong type, a value out of bounds.
    """
    label = where or "it"
    if not isinstance(mapping, dict):
        raise UserError(f"{label} must be a table of settings, not {type(mapping).__name__}.")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(mapping) - set(fields))
    if unknown and not ignore_unknown:
        raise UserError(f"{label} has no setting named {_shown(unknown[0])}.", f"It knows: {', '.join(fields)}.")
    values = {
        name: _from_plain(value, hints[name], f"{where}.{name}" if where else name, ignore_unknown)
        for name, value in mapping.items()
        if name in fields
    }
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
    # TOML and JSON may hold it as a number, too.
    written = version if isinstance(version, str) else _shown(version)
    if written.split(".")[0] != SCHEMA.split(".")[0]:
        raise UserError(
            f"{what} was written by another release of Reconstruct (version {written[:_MAX_SHOWN]}; this one reads {SCHEMA}).",
            "Use the release that wrote it.",
            "version",
        )


def _options(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a type hint: ``float | None`` gives (float, NoneType)."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.get_args(hint)
    return (hint,)


def _items(hint: Any, count: int) -> collections.abc.Sequence[Any] | None:
    """The type hints of a tuple's items; None where ``hint`` is not a tuple of so many."""
    if typing.get_origin(hint) is not tuple:
        return None
    items = typing.get_args(hint)
    if items[-1] is Ellipsis:
        return items[:1] * count
    return items if len(items) == count else None


def _from_plain(value: Any, hint: Any, name: str, ignore_unknown: bool) -> Any:
    """A JSON or TOML value as the type that a hint asks for, where it can be; :func:`check` refuses the rest."""
    for option in _options(hint):
        if dataclasses.is_dataclass(option) and value is not None:
            return from_mapping(option, value, name, ignore_unknown=ignore_unknown)
        if isinstance(value, list) and (items := _items(option, len(value))) is not None:
            pairs = enumerate(zip(value, items, strict=True))
            return tuple(_from_plain(item, inner, f"{name}[{index}]", ignore_unknown) for index, (item, inner) in pairs)
        if typing.get_origin(option) is dict and isinstance(value, dict):
            inner = typing.get_args(option)[1]
            return {key: _from_plain(item, inner, f"{name}.{str(key)[:_MAX_SHOWN]}", ignore_unknown) for key, item in value.items()}
        if option is float and isinstance(value, int) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                raise UserError(f"{name} is {_shown(value)}, which is too large a number.") from None
    return tuple(value) if isinstance(value, list) else value


def _check_value(value: Any, hint: Any, about: About | None, name: str) -> None:
    options = _options(hint)
    if value is None and type(None) in options:
        return
    for option in options:
        origin = typing.get_origin(option)
        if option is Any:
            _check_plain(value, name)
            return
        if dataclasses.is_dataclass(option) and isinstance(value, option):
            check(value, name)
            return
        if origin is Literal:
            if isinstance(value, (str, int)) and value in typing.get_args(option):
                return
            choices = ", ".join(map(repr, typing.get_args(option)))
            raise UserError(f"{name} is {_shown(value)}; it may be {choices}.")
        if origin is tuple and isinstance(value, tuple) and (items := _items(option, len(value))) is not None:
            for index, (item, inner) in enumerate(zip(value, items, strict=True)):
                _check_value(item, inner, about, f"{name}[{index}]")
            return
        if origin is dict and isinstance(value, dict):
            for key, item in value.items():
                _check_value(item, typing.get_args(option)[1], about, f"{name}.{str(key)[:_MAX_SHOWN]}")
            return
        if option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            _check_bounds(value, about, name)
            return
        if option is int and isinstance(value, int) and not isinstance(value, bool):
            _check_bounds(value, about, name)
            return
        if option in (str, bool) and isinstance(value, option):
            return
    raise UserError(f"{name} is {_shown(value)}, which is not {_plain_type(options)}.")


def _check_bounds(value: float, about: About | None, name: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name} is {value}; it must be a finite number.")
    if about is None:
        return
    unit = f" {about.unit}" if about.unit else ""
    if about.minimum is not None and value < about.minimum:
        raise UserError(f"{name} is {_shown(value)}{unit}; the least it may be is {about.minimum}{unit}.")
    if about.maximum is not None and value > about.maximum:
        raise UserError(f"{name} is {_shown(value)}{unit}; the most it may be is {about.maximum}{unit}.")


def _check_plain(value: Any, name: str, depth: int = 0) -> None:
    """Checks what may hold anything that JSON can: a finite number of levels, and finite numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name} is {value}; it must be a finite number.")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    if depth >= _MAX_DEPTH and inner:
        raise UserError(f"{name} is nested too deeply.")
    for item in inner:
        _check_plain(item, name, depth + 1)


def _shown(value: Any) -> str:
    """A value for a message, shortened; the conversion of huge numbers and deep lists may fail."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a huge {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _plain_type(options: tuple[Any, ...]) -> str:
    words = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}

    def word(option: Any) -> str:
        if dataclasses.is_dataclass(option) or typing.get_origin(option) is dict:
            return "a table"
        if typing.get_origin(option) is tuple:
            items = typing.get_args(option)
            return "a list" if items[-1] is Ellipsis else f"a list of {len(items)}"
        return words[option]

    return " or ".join(word(option) for option in options if option is not type(None))
