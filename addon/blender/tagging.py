# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark on everything we make in a .blend: only what carries it is ever changed or deleted without being asked."""

from __future__ import annotations

from typing import Any

import bpy

# Not "reconstruct": up to Blender 4.5 that is where the registered Object.reconstruct keeps its values, and its setters would replace the
# group that they are called on.
_KEY = "reconstruct_tag"
# Where files of version 0.1 have the tag.
_OLD_KEY = "reconstruct"


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
    for key in (_KEY, _OLD_KEY):
        values = block.get(key)
        if hasattr(values, "to_dict") and "kind" in values:
            return values.to_dict()
    return {}


def update_tag(block: bpy.types.ID, **values: Any) -> None:
    """Changes some of the values of a block of ours."""
    known = tagged(block)
    tag(block, known.pop("kind"), **{**known, **values})


def kind_of(block: bpy.types.ID) -> str:
    """The kind of a block of ours, "" where it is not ours."""
    for key in (_KEY, _OLD_KEY):
        values = block.get(key)
        if hasattr(values, "to_dict") and "kind" in values:
            return values["kind"]
    return ""


def is_ours(block: bpy.types.ID, kind: str) -> bool:
    """Whether we made this block as one of a kind. A duplicate that the user made of it carries the tag, but not the name in it."""
    return kind_of(block) == kind and tagged(block).get("name") == block.name
