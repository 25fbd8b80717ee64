# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab: four steps in the order they are walked, voxels of pictures, and the preferences."""

import bpy

from . import capture, looks, place, preferences, previews, results, train, voxel_panels

_CLASSES = (
    *(*preferences.CLASSES, *capture.CLASSES, *train.CLASSES, *results.CLASSES),
    *(*place.CLASSES, *looks.CLASSES, *voxel_panels.CLASSES),
)


def register() -> None:
    """Adds panels and preferences."""
    previews.register()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.IMAGE_MT_image.append(voxel_panels.draw_in_menu)


def unregister() -> None:
    """Takes panels and preferences away."""
    bpy.types.IMAGE_MT_image.remove(voxel_panels.draw_in_menu)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    previews.unregister()
