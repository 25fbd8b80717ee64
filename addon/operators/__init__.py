# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators, thin: gather settings, call, report. One file a step."""

import bpy

from . import camera_path, capture, check_engine, job, looks, make_voxels, place, results, train

_CLASSES = (
    *(*capture.CLASSES, *train.CLASSES, *results.CLASSES, *camera_path.CLASSES, *place.CLASSES),
    *(*looks.CLASSES, *make_voxels.CLASSES, *job.CLASSES, *check_engine.CLASSES),
)


def register() -> None:
    """Adds the operators."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Takes the operators away."""
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    check_engine.stop()
