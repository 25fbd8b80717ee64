# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark on everything we make in a .blend: only what carries it is ever changed or deleted without being asked."""

from __future__ import annotations

from typing import Any

import bpy

_KEY = "reconstruct"


def tag(block: bpy.types.ID, kind: str, **values: Any) -> None:
    """Marks a data-block as ours.

    Args:
        block: object, collection, material, …
        kind: what it is: result, room, camera, …
        values: what should be remembered; numbers, texts, and lists of numbers.
    """
    block[_KEY] = {"kind": kind, **values}


def tagged(block: bpy.types.ID) -> dict[str, Any]:
    """What :func:`tag` wrote, ``kind`` included; empty where the block is not ours."""
    values = block.get(_KEY)
    return values.to_dict() if hasattr(values, "to_dict") else {}


def made_in(item: bpy.types.Object, unit: float) -> float:
    """Metres in the units that an imported result's data is in; ``unit`` is that of its scene, where it does not say."""
    return tagged(item).get("unit", unit)


def kind_of(block: bpy.types.ID) -> str:
    """The kind of a block of ours, "" where it is not ours."""
    return tagged(block).get("kind", "")


def is_ours(block: bpy.types.ID, kind: str) -> bool:
    """Whether we made this block as one of a kind. A duplicate that the user made of it carries the tag, but not the name in it."""
    return kind_of(block) == kind and tagged(block).get("name") == block.name
