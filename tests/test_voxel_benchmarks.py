# SPDX-License-Identifier: GPL-3.0-or-later
"""The baselines that voxels of pictures are measured against."""

import numpy as np
import pytest
import torch

from engine.contract.result import WEIGHTS
from engine.voxels.dataset import Shapes
from engine.voxels.networks import new_network
from engine.voxels.weights import write_weights
from scripts.benchmarks import voxel_pictures, voxels


def shapes(names, cells, colors):
    """Shapes of boxes of cells, whose pictures are of one color each: [N, V] of 0 to 255."""
    full = np.zeros((len(names), 32, 32, 32), bool)
    for row, (low, high) in enumerate(cells):
        full[row, low:high] = True
    views = np.zeros((*np.shape(colors), 127, 127, 4), np.uint8)
    views[...] = np.asarray(colors)[:, :, None, None, None]
    views[..., 3] = 255
    return Shapes(views, np.packbits(full.reshape(len(names), -1), axis=1), [name.split("/")[0] for name in names], names)


@pytest.fixture
def train():
    return shapes(["chair/a", "chair/b", "lamp/c"], [(0, 8), (0, 16), (24, 32)], [[10, 50], [90, 130], [170, 210]])


def test_the_mean_shape_is_that_of_the_category(train):
    # Half of the chairs fill 8 to 16: with them the mean fits as well as without. Lamps have one shape.
    test = shapes(["lamp/d", "chair/e", "sofa/f"], [(24, 32), (0, 16), (0, 4)], [[0], [0], [0]])
    lamp, chair, unknown = voxels.mean_shape(train, test)
    assert lamp == 1 and chair in (0.5, 1) and unknown == 0


def test_the_nearest_picture_is_found_among_all_views(train):
    test = shapes(["lamp/d", "sofa/e"], [(24, 32), (0, 16)], [[205], [128]])
    assert voxels.nearest_picture(train, test).tolist() == [1, 1]
    assert voxels.nearest_picture(train, shapes(["lamp/d"], [(24, 32)], [[11]])).tolist() == [0]


def test_test_shapes_are_scored_and_none_that_is_learnt_from(tmp_path, monkeypatch, capsys, train):
    torch.manual_seed(0)
    network = new_network("simple").eval()
    write_weights(tmp_path / WEIGHTS, network, {"network": "simple"})
    test = shapes(["lamp/d", "sofa/e", "sofa/g"], [(24, 32), (0, 16), (0, 16)], [[205, 3], [128, 4], [128, 4]])
    one = voxels.scores(network, test, 1)
    assert one.shape == (3,) and ((0 <= one) & (one <= 1)).all() and one[1] == one[2] != one[0]
    monkeypatch.setattr(voxels, "load_split", lambda data, split: train if (data.name, split) == ("data", "train") else test)
    assert voxels.main(["data", str(tmp_path), "--test", "other"]) == 0
    # Two pictures are too few for five views.
    assert "| 1 view |" in capsys.readouterr().out
    monkeypatch.setattr(voxels, "load_split", lambda data, split: train)
    with pytest.raises(SystemExit):
        voxels.main(["data", str(tmp_path)])


def test_the_table_has_means_by_category_and_source():
    test = shapes(["chair/made-up-1", "chair/made-up-2", "lamp/kept"], [(0, 1)] * 3, [[0]] * 3)
    lines = voxels.table(test, {"one": np.array([0.25, 0.75, 1.0])}).splitlines()
    assert lines[2:] == [
        "| made up, chair | 2 | 0.500 |",
        "| **made up, all** | 2 | 0.500 |",
        "| meshes, lamp | 1 | 1.000 |",
        "| **meshes, all** | 1 | 1.000 |",
    ]


def test_pictures_of_voxels_show_which_side_is_which():
    assert np.ptp(voxel_pictures.surface_picture(np.zeros((32, 32, 32)), 0.0)) == 0
    cells = np.zeros((32, 32, 32))
    cells[:, :, :8] = cells[:16, :, 8:] = 1
    front, back = (voxel_pictures.surface_picture(cells, azimuth) < 230 for azimuth in (0.0, 180.0))
    half = front.shape[1] // 2
    # Low x is on the left from the front, on the right from behind.
    assert front[:half, :half].sum() > 2 * front[:half, half:].sum() and back[:half, half:].sum() > 2 * back[:half, :half].sum()
