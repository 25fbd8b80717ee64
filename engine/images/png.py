# SPDX-License-Identifier: GPL-3.0-or-later
"""8-bit PNG images for the screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..contract.result import replacing

# The origin that images and films of this program state.
SOFTWARE = "Reconstruct"
_ORIGIN = PngInfo()
_ORIGIN.add_text("Software", SOFTWARE)


def to_pixels(image: np.ndarray) -> np.ndarray:
    """[3, H, W] sRGB, 0 to 1, as [H, W, 3] uint8."""
    return np.ascontiguousarray(np.rint(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def is_ours(file: Path) -> bool:
    """Whether :func:`write_png` wrote a PNG."""
    try:
        with Image.open(file) as image:
            return image.info.get("Software") == SOFTWARE
    except (OSError, ValueError):
        return False


def write_png(file: Path, image: np.ndarray) -> None:
    """Writes [3, H, W] sRGB, 0 to 1, as an 8-bit PNG."""
    with replacing(file) as temporary:
        # Level 6, the default, takes five times as long as the image took to render, and saves a quarter.
        Image.fromarray(to_pixels(image)).save(temporary, "PNG", compress_level=1, pnginfo=_ORIGIN)
