# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures that are loaded in Blender, as files for the engine."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...engine.contract.errors import UserError

_HINT = "Choose a still picture, or save it as PNG and choose the file."


def picture_file(image: bpy.types.Image, copy: Path) -> Path:
    """The file of a picture. One that is packed, generated or painted on is written first.

    Args:
        image: stays as it is.
        copy: the PNG that is written where there is no file.

    Raises:
        UserError: there is no such picture, or it cannot be written.
    """
    if image.source not in ("FILE", "GENERATED"):
        raise UserError(f"{image.name} is no still picture of its own.", _HINT)
    file = Path(bpy.path.abspath(image.filepath, library=image.library)).absolute() if image.filepath else None
    if image.source == "FILE" and not image.is_dirty and image.packed_file is None and file is not None:
        if file.is_file():
            return file
        raise UserError(f"The file of {image.name}, {file}, is not there.", "Find it again, or choose another picture.")
    format_before = image.file_format
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        # Blender writes the format that the image names.
        image.file_format = "PNG"
        image.save(filepath=str(copy), save_copy=True)
    except RuntimeError as error:
        raise UserError(f"{image.name} cannot be saved: {str(error).strip()}", _HINT) from None
    finally:
        if image.file_format != format_before:
            image.file_format = format_before
    if not copy.is_file():
        raise UserError(f"{image.name} holds no picture.", _HINT)
    return copy
