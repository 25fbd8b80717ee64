# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the command line. Those of settings are made from the contract's dataclasses, so that help is written once."""

from __future__ import annotations

import dataclasses
import typing
from typing import Annotated, Any, Literal

import tyro

from ..contract.schema import about

PROGRAM = "python -m engine"

Positional = tyro.conf.Positional
# An option without a value, and without its --no- twin.
SWITCH = tyro.conf.FlagCreatePairsOff
# Settings among a command's own options, without a prefix.
SETTINGS = tyro.conf.arg(name="")

Precision = Literal["auto", "float32", "bfloat16", "int8"]
PRECISION_HELP = (
    "Inference precision of the networks of method nerf. auto: that of the training. int8: faster on processors, with half a minute "
    "before the first image; see doctor."
)


def option(help: str, metavar: str = "") -> Any:
    """The help of an option, and the word that stands for its value."""
    return tyro.conf.arg(help=help, metavar=metavar or None)


Events = Annotated[bool, SWITCH, option("Print events as lines of JSON for a program.")]
Overwrite = Annotated[bool, SWITCH, option("Replace a result that is already there.")]
Json = Annotated[bool, SWITCH, tyro.conf.arg(name="json", help="Print JSON for a program.")]


def options_of(settings: type) -> Any:
    """A twin of a settings dataclass whose fields carry their help for tyro. Nested settings keep a prefix: ``--splat.sh-degree``."""
    hints = typing.get_type_hints(settings)
    fields = []
    for field in dataclasses.fields(settings):
        facts = about(field)
        bounds = [f"at least {facts.minimum:g}"] if facts.minimum is not None else []
        bounds += [f"at most {facts.maximum:g}"] if facts.maximum is not None else []
        notes = ", ".join([facts.unit] * bool(facts.unit) + bounds)
        help = f"{facts.help} ({notes})" if notes else facts.help
        kind = options_of(hints[field.name]) if dataclasses.is_dataclass(hints[field.name]) else hints[field.name]
        default = dataclasses.field(default_factory=kind) if dataclasses.is_dataclass(kind) else field.default
        fields.append((field.name, Annotated[kind, tyro.conf.arg(help=help)], default))
    return dataclasses.make_dataclass(settings.__name__, fields, frozen=True)


def like(twin: Any, values: Any) -> Any:
    """Settings as their twin of options has them, or the other way; nested ones too."""
    inner = {name: like(value, getattr(values, name)) for name, value in vars(twin).items() if dataclasses.is_dataclass(value)}
    return type(twin)(**{**vars(values), **inner})
