# SPDX-License-Identifier: GPL-3.0-or-later
"""Image files as arrays, read and written by Blender."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from ...engine.contract.errors import UserError


def read_pixels(file: Path) -> np.ndarray:
    """The stored values of a picture, [H, W, channels] float32, from the top row; 8-bit codes are divided by 255."""
    image = bpy.data.images.load(str(file), check_existing=False)
    try:
        image.colorspace_settings.name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"
        width, height = image.size
        pixels = np.empty(width * height * image.channels, dtype=np.float32)
        image.pixels.foreach_get(pixels)
        return pixels.reshape(height, width, -1)[::-1]
    finally:
        bpy.data.images.remove(image)


def write_pixels(file: Path, pixels: np.ndarray) -> None:
    """Writes values [H, W, 4], 0 to 1, from the top row, as the codes of an 8-bit PNG."""
    image = bpy.data.images.new("Reconstruct", pixels.shape[1], pixels.shape[0], alpha=True)
    try:
        image.colorspace_settings.name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"
        image.pixels.foreach_set(np.ascontiguousarray(pixels[::-1], np.float32).ravel())
        image.filepath_raw, image.file_format = str(file), "PNG"
        image.save()
    except RuntimeError:
        raise UserError(f"{file} could not be written.", "Check the free disk space, or choose another folder.", "disk_full") from None
    finally:
        bpy.data.images.remove(image)
