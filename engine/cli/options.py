# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags of the command line, made from the settings' dataclasses, so that help is written once."""

from __future__ import annotations

import dataclasses
import typing
from typing import Annotated, Any

import tyro

from ..contract.schema import about


def flags(cls: type) -> Any:
    """A twin of a settings dataclass whose fields carry their help for tyro. Nested settings keep a prefix: ``--splat.sh-degree``."""
    hints = typing.get_type_hints(cls)
    fields = []
    for field in dataclasses.fields(cls):
        facts = about(field)
        bounds = [f"at least {facts.minimum:g}"] if facts.minimum is not None else []
        bounds += [f"at most {facts.maximum:g}"] if facts.maximum is not None else []
        notes = ", ".join([facts.unit] * bool(facts.unit) + bounds)
        help = f"{facts.help} ({notes})" if notes else facts.help
        kind = flags(hints[field.name]) if dataclasses.is_dataclass(hints[field.name]) else hints[field.name]
        default = dataclasses.field(default_factory=kind) if dataclasses.is_dataclass(kind) else field.default
        fields.append((field.name, Annotated[kind, tyro.conf.arg(help=help)], default))
    return dataclasses.make_dataclass(cls.__name__, fields, frozen=True)


def like(twin: Any, values: Any) -> Any:
    """Settings as their twin of flags has them, or the other way; nested ones too."""
    inner = {name: like(value, getattr(values, name)) for name, value in vars(twin).items() if dataclasses.is_dataclass(value)}
    return type(twin)(**{**vars(values), **inner})


def argument(help: str, metavar: str = "") -> Any:
    """The help of an argument, and the word that stands for its value."""
    return tyro.conf.arg(help=help, metavar=metavar or None)
