# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network has to beat: the mean shape of a category, and the shape whose picture looks most alike."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .batches import BACKGROUND, composed
from .dataset import Shapes
from .scores import THRESHOLD

_SMALL = 16
_AT_ONCE = 64


def mean_shape(train: Shapes, test: Shapes) -> np.ndarray:
    """IoU of each test shape with the mean of its category's training shapes, cut where the mean of the scores is best there. [N]."""
    made = np.zeros(len(test))
    categories = np.array(test.categories)
    for category in sorted(set(test.categories)):
        learnt = _flat(train, np.flatnonzero(np.array(train.categories) == category))
        if not len(learnt):
            continue
        mean = learnt.mean(axis=0)
        cuts = np.unique([*np.linspace(0.1, 0.6, 11), THRESHOLD])
        best = max(cuts, key=lambda cut: _overlap(learnt, (mean >= cut)[None]).mean())
        which = np.flatnonzero(categories == category)
        made[which] = _overlap(_flat(test, which), (mean >= best)[None])
    return made


def nearest_picture(train: Shapes, test: Shapes) -> np.ndarray:
    """IoU of each test shape with the training shape of which a picture is nearest to the test shape's first, by the mean square of small
    pictures. [N].
    """
    learnt = _small(train, train.views.shape[1])
    asked = _small(test, 1)
    owner = np.repeat(np.arange(len(train)), train.views.shape[1])
    far = (asked**2).sum(axis=1)[:, None] + (learnt**2).sum(axis=1) - 2 * asked @ learnt.T
    nearest = owner[far.argmin(axis=1)]
    return np.concatenate(
        [
            _overlap(_flat(test, np.arange(first, min(first + _AT_ONCE, len(test)))), _flat(train, nearest[first : first + _AT_ONCE]))
            for first in range(0, len(test), _AT_ONCE)
        ]
    )


def _flat(shapes: Shapes, which: np.ndarray) -> np.ndarray:
    return shapes.cells(which).reshape(len(which), -1)


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union row by row."""
    return (first & second).sum(axis=1) / np.maximum((first | second).sum(axis=1), 1)


def _small(shapes: Shapes, views: int) -> np.ndarray:
    """The first views of shapes as rows of few numbers, [N views, 768]."""
    rows = []
    ground = np.full((1, 1, 1, 3), BACKGROUND / 255, np.float32)
    for pictures in shapes.views:
        codes = (composed(np.asarray(pictures[:views]), ground) * 255).astype(np.uint8)
        rows += [
            np.asarray(Image.fromarray(code).resize((_SMALL, _SMALL), Image.Resampling.BOX), np.float32).ravel() / 255 for code in codes
        ]
    return np.stack(rows)
