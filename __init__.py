# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconstruct: a Blender extension that turns rooms and furniture into splats standing at true scale.

Nothing is imported before Blender enables the extension, so that the engine and scripts can load this package without bpy.
"""


def register() -> None:
    """Enables the add-on."""
    from . import addon

    addon.register()


def unregister() -> None:
    """Disables the add-on; running jobs go on."""
    from . import addon

    addon.unregister()
