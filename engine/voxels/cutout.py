# SPDX-License-Identifier: GPL-3.0-or-later
"""The object of a picture, cut out as the network knows objects: alone, upright as it was, filling most of 127×127 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from ..contract.errors import UserError
from ..data.image_files import DAMAGED_HINT, read_upright
from .views import PICTURE

# Share of the picture's side that the object's longer side takes.
_FILL = 0.92
# The largest picture that is taken apart; larger ones are made smaller first.
_MOST = 1024
# A background is plain where most of the picture's edge is within this of its own median, in codes.
_PLAIN, _EVEN = 24, 0.9
# A hole shows the background where it is within this of it in the mean, in codes, and takes this share of the picture.
_SAME, _HOLE = 2.0, 0.0005
# What takes less of the picture than this is no object, and more is no background.
_LEAST, _FULLEST = 0.003, 0.97


def cut_out(file: Path, mask: Path | None = None) -> np.ndarray:
    """Cuts the object out of a picture.

    Args:
        file: the picture; where it has no transparent part, its background has to be plain.
        mask: a picture of the same shape, bright where the object is, instead.

    Returns:
        [127, 127, 4] uint8, straight alpha.

    Raises:
        UserError: a file is no picture, or no object can be told from a background.
    """
    picture = _read(file).convert("RGBA")
    if mask is not None:
        shape = _read(mask).convert("L")
        if abs(shape.width / shape.height - picture.width / picture.height) > 0.02:
            raise UserError(f"The mask {mask} has another shape than {file}.", "Give a mask of the same width and height.")
        alpha = np.asarray(shape.resize(picture.size, Image.Resampling.BILINEAR))
    else:
        alpha = np.asarray(picture)[..., 3]
        if (alpha < 128).mean() < 1 - _FULLEST:
            alpha = _before_plain(np.asarray(picture)[..., :3], file)
    alpha = _largest(alpha)
    share = (alpha > 127).mean()
    if not _LEAST < share <= _FULLEST:
        raise UserError(f"No object is found in {file}.", "Give a picture with a transparent background, or a mask of the object.")
    return framed(np.dstack([np.asarray(picture)[..., :3], alpha]))


def _read(file: Path) -> Image.Image:
    try:
        image = read_upright(file)
    except UserError as error:
        # Not of a capture.
        hint = "Save it again, or choose another picture." if error.hint == DAMAGED_HINT else error.hint
        raise UserError(error.message, hint, error.code) from None
    image.thumbnail((_MOST, _MOST), Image.Resampling.BOX)
    return image


def _before_plain(codes: np.ndarray, file: Path) -> np.ndarray:
    """Alpha [H, W] of what stands before a plain background: all that cannot be reached from the edge over its color, but for what shows
    just that color, as between the slats of a back.
    """
    edge = np.concatenate([codes[0], codes[-1], codes[:, 0], codes[:, -1]]).astype(int)
    ground = np.median(edge, axis=0)
    if (np.abs(edge - ground).max(axis=1) <= _PLAIN).mean() < _EVEN:
        raise UserError(f"The background of {file} is not plain.", "Cut the object out first, or give a mask of it.")
    apart = np.abs(codes.astype(int) - ground).max(axis=2)
    label, count = ndimage.label(apart <= _PLAIN)
    outer = np.unique(np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]]))
    outer = outer[outer > 0]
    # What is enclosed may be a light part of the piece itself, so it has to be as much the background's color as the background.
    parts = np.arange(1, count + 1)
    sizes, means = ndimage.sum_labels(apart < 256, label, parts), ndimage.mean(apart, label, parts)
    holes = parts[(sizes >= _HOLE * apart.size) & (means <= apart[np.isin(label, outer)].mean() + _SAME)]
    return np.where(np.isin(label, [*outer, *holes]), 0, 255).astype(np.uint8)


def _largest(alpha: np.ndarray) -> np.ndarray:
    """Alpha without specks: parts below a fiftieth of the largest."""
    label, count = ndimage.label(alpha > 127, structure=np.ones((3, 3)))
    if count < 2:
        return alpha
    sizes = np.bincount(label.ravel())[1:]
    speck = np.flatnonzero(sizes < sizes.max() / 50) + 1
    return np.where(np.isin(label, speck), 0, alpha).astype(np.uint8)


def framed(picture: np.ndarray) -> np.ndarray:
    """The object in the middle, as large as the network always sees it: it need not learn what does not matter.

    Args:
        picture: [H, W, 4] uint8, straight alpha, above 127 somewhere.

    Returns:
        [127, 127, 4] uint8, straight alpha.
    """
    rows, columns = np.nonzero(picture[..., 3] > 127)
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1
    side = (high - low).max() / _FILL
    left, top = (low + high - side) / 2
    # Pillow's crop may reach outside a picture, its resize may not.
    around = (int(np.floor(left)), int(np.floor(top)), int(np.ceil(left + side)), int(np.ceil(top + side)))
    box = (left - around[0], top - around[1], left - around[0] + side, top - around[1] + side)
    return np.asarray(Image.fromarray(picture).crop(around).resize((PICTURE, PICTURE), Image.Resampling.BILINEAR, box))
