# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets: named sets of training settings, from which settings that are given explicitly deviate.

A preset holds what differs from the defaults, arranged as the table [train] of a job file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .methods import METHODS

PRESETS: dict[str, dict[str, Any]] = {name: preset for method in METHODS.values() for name, preset in method.presets.items()}


def with_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training with those of the preset that they name below them.

    Args:
        given: a table [train] as it was written; unknown keys and names pass, for the check of settings to name them.
    """
    name = given.get("preset")
    preset = PRESETS.get(name, {}) if isinstance(name, str) else {}
    if "minutes" in given or "steps" in given:
        # There is one budget.
        preset = {key: value for key, value in preset.items() if key not in ("minutes", "steps")}
    merged = {**preset, **given}
    for key, value in given.items():
        if isinstance(value, Mapping) and isinstance(preset.get(key), Mapping):
            merged[key] = {**preset[key], **value}
    return merged
