# SPDX-License-Identifier: GPL-3.0-or-later
"""What the furniture of some data is like: a table for docs/voxels.md, and a sheet of pictures.

python -m scripts.benchmarks.voxel_data DATA [--sheet docs/furniture.png]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from engine.voxels.batches import composed
from engine.voxels.dataset import Shapes, load_split

_COLUMNS = 14
_BACK = 240


def main(arguments: list[str]) -> int:
    """Prints the table, and draws the sheet where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args(arguments)
    train, test = load_split(given.data, "train"), load_split(given.data, "test")
    print("| category | learnt from | for testing | full | alike | nearest | test to nearest | above 0.9 |")
    print("|---|---|---|---|---|---|---|---|")
    for category in sorted(set(train.categories)):
        print(_row(category, train, test))
    if given.sheet:
        _sheet(train).save(given.sheet, optimize=True)
    return 0


def _row(category: str, train: Shapes, test: Shapes) -> str:
    """A category's line: mean share of full voxels; mean IoU of pairs; of each to its nearest; of test shapes to the nearest learnt from,
    and how many of these are above 0.9.
    """
    learnt, held = (_cells(shapes, category) for shapes in (train, test))
    alike = _overlap(learnt, learnt)
    others = alike[~np.eye(len(learnt), dtype=bool)].reshape(len(learnt), -1)
    nearest = _overlap(held, learnt).max(axis=1)
    return (
        f"| {category} | {len(learnt)} | {len(held)} | {learnt.mean():.3f} | {others.mean():.2f} | {others.max(axis=1).mean():.2f} "
        f"| {nearest.mean():.2f} | {(nearest > 0.9).mean():.0%} |"
    )


def _cells(shapes: Shapes, category: str) -> np.ndarray:
    which = np.flatnonzero(np.array(shapes.categories) == category)
    return shapes.cells(which).reshape(len(which), -1).astype(np.float32)


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair."""
    both = first @ second.T
    return both / np.maximum(first.sum(axis=1)[:, None] + second.sum(axis=1) - both, 1)


def _sheet(shapes: Shapes) -> Image.Image:
    """Some pieces of each category, seen from somewhere."""
    rows = []
    for category in sorted(set(shapes.categories)):
        which = np.flatnonzero(np.array(shapes.categories) == category)[:_COLUMNS]
        codes = composed(shapes.views[which, 0], _BACK / 255).permute(0, 2, 3, 1).numpy()
        rows.append(np.concatenate(list(codes), axis=1))
    return Image.fromarray((np.concatenate(rows) * 255 + 0.5).astype(np.uint8))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
