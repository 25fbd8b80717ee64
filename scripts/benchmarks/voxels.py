# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of a training of 3D-R2N2 beside two baselines on the same shapes: a table for docs/voxels.md, and the learning curve.

python -m scripts.benchmarks.voxels DATA RESULT [--curve docs/voxels_curve.png]

The baselines learn from the same shapes: the mean shape of the category (which they are told), and the shape of which a picture looks most
like the first one that is scored.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from engine.contract.result import EVENTS, METRICS, read_result
from engine.training.voxels import SCORED
from engine.voxels.batches import composed
from engine.voxels.dataset import Shapes, load_split
from engine.voxels.make_data import MADE_UP
from engine.voxels.scores import THRESHOLD
from engine.voxels.shapes import SIDE

# Pixels along the side of the small pictures that are compared.
_SMALL = 16
_AT_ONCE = 64


def main(arguments: list[str]) -> int:
    """Prints the table, and draws the curve where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("result", type=Path, help="of voxels train on the data")
    parser.add_argument("--curve", type=Path)
    given = parser.parse_args(arguments)
    train, test = load_split(given.data, "train"), load_split(given.data, "test")
    scored = {row["name"]: row for row in json.loads((given.result / METRICS).read_text(encoding="utf-8"))["each"]}
    columns = {
        "mean shape": mean_shape(train, test),
        "nearest picture": nearest_picture(train, test),
        **{f"{views} view{'s' if views > 1 else ''}": np.array([scored[name][f"iou_{views}"] for name in test.names]) for views in SCORED},
    }
    print(table(test, columns))
    if given.curve:
        events = [json.loads(line) for line in (given.result / EVENTS).read_text(encoding="utf-8").splitlines()]
        _draw(given.curve, [event for event in events if event["event"] == "metric"], read_result(given.result).settings["batch"])
    return 0


def table(test: Shapes, columns: dict[str, np.ndarray]) -> str:
    """Means by category and in all, made up shapes first, as Markdown."""
    categories = np.array(test.categories)
    made_up = np.array([name.split("/")[1].startswith(MADE_UP) for name in test.names])
    lines = ["| shapes | | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    for title, chosen in (("made up", made_up), ("meshes", ~made_up)):
        rows = [(f"{title}, {kind}", chosen & (categories == kind)) for kind in sorted(set(categories[chosen]))]
        for name, which in [*rows, (f"**{title}, all**", chosen)] if chosen.any() else []:
            means = " | ".join(f"{values[which].mean():.3f}" for values in columns.values())
            lines.append(f"| {name} | {which.sum()} | {means} |")
    return "\n".join(lines)


def mean_shape(train: Shapes, test: Shapes) -> np.ndarray:
    """IoU of each test shape with the mean of its category's training shapes, cut where that fits these best. [N]."""
    made = np.zeros(len(test))
    for category in sorted(set(test.categories)):
        known = np.flatnonzero(np.array(train.categories) == category)
        if not len(known):
            continue
        learnt = _cells(train, known)
        mean = learnt.mean(axis=0)
        best = max(np.unique([*np.linspace(0.1, 0.6, 11), THRESHOLD]), key=lambda cut: _overlap(learnt, (mean >= cut)[None]).mean())
        which = np.flatnonzero(np.array(test.categories) == category)
        made[which] = _overlap(_cells(test, which), (mean >= best)[None])
    return made


def nearest_picture(train: Shapes, test: Shapes) -> np.ndarray:
    """IoU of each test shape with the training shape of which a picture is nearest to the test shape's first, by the mean square of small
    pictures. [N].
    """
    learnt, asked = _pictures(train, train.views.shape[1]), _pictures(test, 1)
    owner = np.repeat(np.arange(len(train)), train.views.shape[1])
    nearest = np.concatenate([_nearest(asked[first : first + _AT_ONCE], learnt) for first in range(0, len(asked), _AT_ONCE)])
    return _overlap(_cells(test, np.arange(len(test))), _cells(train, owner[nearest]))


def _nearest(asked: np.ndarray, learnt: np.ndarray) -> np.ndarray:
    return ((learnt**2).sum(axis=1) - 2 * asked @ learnt.T).argmin(axis=1)


def _cells(shapes: Shapes, which: np.ndarray) -> np.ndarray:
    return shapes.cells(which).reshape(len(which), SIDE**3)


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union row by row."""
    return (first & second).sum(axis=1) / np.maximum((first | second).sum(axis=1), 1)


def _pictures(shapes: Shapes, views: int) -> np.ndarray:
    """The first views of shapes, small, as rows: [N views, 768]."""
    rows = []
    for pictures in shapes.views:
        for codes in (composed(np.array(pictures[:views])).permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8):
            small = Image.fromarray(codes).resize((_SMALL, _SMALL), Image.Resampling.BOX)
            rows.append(np.asarray(small, np.float32).ravel() / 255)
    return np.stack(rows)


def _draw(file: Path, metrics: list[dict], batch: int) -> None:
    """IoU on the shapes that are held out for looks while training, over how often a shape was learnt from."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for views in SCORED:
        points = [(event["step"] * batch / 1000, event["value"]) for event in metrics if event["name"] == f"val_iou_{views}"]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=f"{views} view{'s' if views > 1 else ''}")
    axes.set(xlabel="thousand looks at shapes to learn from", ylabel="mean IoU at 0.4, held-out shapes", xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(file, dpi=100, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
