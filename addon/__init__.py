# SPDX-License-Identifier: GPL-3.0-or-later
"""The part that lives in Blender. Its registration is here; each piece adds and removes what is its own."""

import bpy

from . import batch, operators, properties, ui
from .blender.preferences import engine_python
from .blender.results import assets, edits
from .jobs import carrying, running

_PIECES = (properties, operators, ui, carrying, running, assets, edits)
_command = None


def register() -> None:
    """Adds properties, operators, panels, the followers of jobs and files, and the command ``reconstruct``."""
    global _command
    for piece in _PIECES:
        piece.register()
    _command = bpy.utils.register_cli_command("reconstruct", lambda arguments: batch.main(arguments, engine_python()))


def unregister() -> None:
    """Takes away all that :func:`register` added."""
    global _command
    bpy.utils.unregister_cli_command(_command)
    _command = None
    for piece in reversed(_PIECES):
        piece.unregister()
