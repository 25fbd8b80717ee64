# SPDX-License-Identifier: GPL-3.0-or-later
"""What a method is to the rest of the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """A way to train a scene from posed images. Code is named, not imported, so that Blender can read this too.

    Attributes:
        name: on the command line and in files.
        label: in Blender's list of methods.
        advice: what the panel says of it: what it is good for, and what it costs.
        settings: dataclass of its settings.
        panel: names of the settings that the panel shows; it shows advanced ones in a closed sub-panel.
        presets: named sets of settings, as tables [train] of a job file.
        devices: on which all its operations have kernels.
        trainer: "MODULE:CLASS" below engine, see :class:`engine.methods.interface.Trainer`.
        loader: "MODULE:FUNCTION" below engine, which loads the model of a result, given (folder, result, threads).
        cost: "MODULE:FUNCTION" that estimates the cost of a training, given its settings; "" where it depends on the scene.
        state: dataclass of what its checkpoints hold beside arrays.
        artifacts: names of the files that a training may write.
        looks: what Blender can import of them.
        depth_side: longest side of the depth maps that a surface is fused from, px; fields render a thousand times as slowly as splats.
        check: refuses settings that exclude each other, with a UserError.
    """

    name: str
    label: str
    advice: str
    settings: type
    panel: tuple[str, ...] = ()
    presets: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    devices: tuple[str, ...] = ("cpu",)
    trainer: str
    loader: str
    cost: str = ""
    state: type
    artifacts: tuple[str, ...]
    looks: tuple[str, ...]
    depth_side: int
    check: Callable[[Any], None] = lambda settings: None
