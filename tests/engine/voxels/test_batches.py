# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step learns from: the same for the same step, every shape once an epoch, mirrored together with its voxels."""

import numpy as np
import torch

from engine.voxels.batches import BACKGROUND, composed, order, scoring_batch, training_batch
from engine.voxels.dataset import Shapes, load_split
from engine.voxels.scores import full, intersection_over_union, table


def marked(count=6, views=4):
    """Shapes that can be told apart: pictures that are opaque on their left third only, voxels that are full at low x only."""
    pictures = np.zeros((count, views, 127, 127, 4), np.uint8)
    pictures[:, :, :, :42] = 255
    pictures[..., :3] = (np.arange(count) * 10)[:, None, None, None, None]
    cells = np.zeros((count, 32, 32, 32), bool)
    cells[:, :16] = True
    for row in range(count):
        cells[row, 16:, row, row] = True
    return Shapes(pictures, np.packbits(cells.reshape(count, -1), axis=1), ["chair"] * count, [f"chair/{row}" for row in range(count)])


def test_a_step_is_the_same_whatever_came_before():
    shapes = marked()
    views, cells = training_batch(shapes, 4, 3, seed=1, step=7)
    again, same = training_batch(shapes, 4, 3, seed=1, step=7)
    assert torch.equal(views, again) and torch.equal(cells, same)
    other, _ = training_batch(shapes, 4, 3, seed=1, step=8)
    assert views.shape != other.shape or not torch.equal(views, other)
    assert views.dtype == torch.float32 and 0 <= views.min() and views.max() <= 1 and views.shape[2:] == (3, 127, 127)
    assert cells.shape == (4, 32, 32, 32) and set(cells.unique().tolist()) <= {0, 1}


def test_every_shape_comes_once_an_epoch():
    shapes = marked(6)
    # Batches of four cross the end of an epoch.
    seen = []
    for step in range(3):
        _, cells = training_batch(shapes, 4, 1, seed=0, step=step)
        for grid in cells.numpy():
            upright = grid if grid[:16].all() else grid[::-1]
            seen.append(int(np.argwhere(upright[16:])[0, 1]))
    assert sorted(seen[:6]) == sorted(seen[6:]) == list(range(6))
    assert sorted(order(6, 0, 0)) == list(range(6)) and (order(50, 0, 0) != order(50, 0, 1)).any()


def test_pictures_are_mirrored_with_their_voxels():
    shapes, turned = marked(), 0
    for step in range(6):
        views, cells = training_batch(shapes, 6, 2, seed=3, step=step)
        for pictures, grid in zip(views, cells, strict=True):
            flipped = bool(grid[-1].all())
            turned += flipped
            # The dark third is where the full voxels are.
            red = pictures[:, 0].mean(dim=(0, 1))
            assert (red[:20].mean() > red[-20:].mean()) == flipped
    assert 5 < turned < 31


def test_backgrounds():
    shapes = marked(8, views=1)
    grounds = training_batch(shapes, 8, 1, seed=4, step=0)[0][:, 0, :, 10:117, 60:66]
    # Tinted by a tenth with what stands before it.
    assert (grounds[:, [0, 2]] > 0.89).all() and (grounds[:, 1] == 0).all()
    grounds = torch.cat([training_batch(shapes, 8, 1, 4, step, random_backgrounds=0.5)[0][:, 0, 1, 10:117, 60:66] for step in range(6)])
    other = (grounds.flatten(1).mean(dim=1) > 0).float().mean()
    assert 0.3 < other < 0.7


def test_all_numbers_of_views_come_and_few_more_often():
    counts = [training_batch(marked(), 2, 3, seed=0, step=step)[0].shape[1] for step in range(60)]
    assert counts.count(1) > counts.count(2) > counts.count(3) > 0 and len(counts) == sum(map(counts.count, (1, 2, 3)))
    assert training_batch(marked(views=2), 2, 5, seed=0, step=0)[0].shape[1] <= 2


def test_some_of_the_shapes():
    some = marked(10).at_most(4)
    assert some.names == [f"chair/{row}" for row in (0, 3, 6, 9)] and len(some.categories) == len(some) == 4
    assert some.cells(np.array([1]))[0, 16:, 3, 3].all() and some.views[2].max() == 255 and marked(3).at_most(9).names[2] == "chair/2"


def test_composing():
    pictures = np.array([[[[255, 0, 0, 255], [255, 0, 0, 0], [255, 0, 0, 51]]]], np.uint8)
    made = composed(pictures, 0.5)
    np.testing.assert_allclose(made[0, :, 0].T, [[1, 0, 0], [0.5, 0.5, 0.5], [0.6, 0.4, 0.4]], atol=1e-6)
    ground = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 1, 3)
    np.testing.assert_allclose(composed(pictures, ground)[0, :, 0, 1], [0.2, 0.4, 0.6], atol=1e-6)


def test_scoring_is_plain(little_data):
    shapes = load_split(little_data, "test")
    views, cells = scoring_batch(shapes, np.array([0, 2]), 2)
    assert views.shape == (2, 2, 3, 127, 127) and torch.equal(views[0, 0, :, 0, 0], BACKGROUND.view(3))
    np.testing.assert_array_equal(cells.numpy().astype(bool), shapes.cells(np.array([0, 2])))


def test_scores():
    truth = torch.zeros(3, 2, 2, 2, dtype=torch.bool)
    truth[0, 0], truth[1, 0] = True, True
    predicted = torch.zeros_like(truth)
    predicted[0], predicted[1, 0, 0] = True, True
    assert intersection_over_union(predicted, truth).tolist() == [0.5, 0.5, 1.0]
    logits = torch.tensor([0.0, np.log(0.4 / 0.6) + 1e-4, np.log(0.4 / 0.6) - 1e-2]).view(1, 1, 1, 1, 3)
    logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    assert full(logits).flatten().tolist() == [True, True, False]
    rows = table(["chair/made-up-1", "chair/x", "bed/y"], {1: np.array([0.2, 0.4, 0.9])}, "made-up-")
    assert (
        rows["iou_1"] == 0.5
        and rows["sources"]["meshes"]["iou_1"] == 0.65
        and rows["sources"]["meshes"]["categories"]["bed"]["shapes"] == 1
    )
