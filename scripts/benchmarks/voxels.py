# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of a training of 3D-R2N2 beside two baselines on the same shapes: a table for docs/voxels.md, and the learning curve.

python -m scripts.benchmarks.voxels DATA RESULT [--test OTHER] [--curve docs/voxels_curve.png] [--before FIRST SECOND …]

The baselines learn from the same shapes: the mean shape of the category (which they are told), and the shape of which a picture looks most
like the first one that is scored. ``--test`` scores the test shapes of other data, such as have more pictures of each.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from engine.contract.result import EVENTS, read_result
from engine.jobs.train_voxels import SCORED
from engine.voxels.batches import composed, scoring_batch
from engine.voxels.dataset import Shapes, load_split
from engine.voxels.make_data import MADE_UP
from engine.voxels.prediction import mean_logits
from engine.voxels.scores import THRESHOLD, full, intersection_over_union
from engine.voxels.shapes import SIDE
from engine.voxels.weights import read_weights

# Pixels along the side of the small pictures that are compared.
_SMALL = 16
_AT_ONCE = 64


def main(arguments: list[str]) -> int:
    """Prints the table, and draws the curve where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("result", type=Path, help="of voxels train on the data")
    parser.add_argument("--test", type=Path, help="other data, whose test shapes are scored")
    parser.add_argument("--curve", type=Path)
    parser.add_argument("--before", type=Path, nargs="*", default=[], help="results whose weights it started from, one from the other")
    given = parser.parse_args(arguments)
    train, test = load_split(given.data, "train"), load_split(given.test or given.data, "test")
    seen = sorted(set(train.names) & set(test.names))
    if seen:
        parser.error(f"{seen[0]} of the test shapes is learnt from")
    network, _ = read_weights(given.result)
    columns = {
        "mean shape": mean_shape(train, test),
        "nearest picture": nearest_picture(train, test),
        **{f"{views} view{'s' if views > 1 else ''}": scores(network, test, views) for views in SCORED if views <= test.views.shape[1]},
    }
    print(table(test, columns))
    if given.curve:
        _draw(given.curve, [*given.before, given.result])
    return 0


def scores(network: nn.Module, test: Shapes, views: int) -> np.ndarray:
    """IoU of what the network makes of each test shape's first views, in float32 as pictures are recognized. [N]."""
    made = []
    with torch.no_grad():
        for first in range(0, len(test), _AT_ONCE):
            pictures, cells = scoring_batch(test, np.arange(first, min(first + _AT_ONCE, len(test))), views)
            made.append(intersection_over_union(full(mean_logits(network, pictures)), cells.bool()).numpy())
    return np.concatenate(made)


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


def _draw(file: Path, results: list[Path]) -> None:
    """IoU on the shapes that are held out for looks while training, over how often a shape was learnt from, in all of the results."""
    looks, points = 0.0, {views: [] for views in SCORED}
    for folder in results:
        batch = read_result(folder).settings["batch"]
        events = [json.loads(line) for line in (folder / EVENTS).read_text(encoding="utf-8").splitlines()]
        for views in SCORED:
            found = [event for event in events if event["event"] == "metric" and event["name"] == f"val_iou_{views}"]
            points[views] += [(looks + event["step"] * batch / 1000, event["value"]) for event in found]
            if found:
                # No line from one training to the next, which is scored on other shapes.
                points[views].append((float("nan"), float("nan")))
        # Other stages count other things, packing counts shapes.
        looks += max((event["step"] for event in events if event.get("stage") == "train"), default=0) * batch / 1000
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for views, made in points.items():
        if made:
            axes.plot(*zip(*made, strict=True), marker=".", label=f"{views} view{'s' if views > 1 else ''}")
    axes.set(xlabel="thousand looks at shapes to learn from", ylabel="mean IoU at 0.4, held-out shapes", xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(file, dpi=100, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
