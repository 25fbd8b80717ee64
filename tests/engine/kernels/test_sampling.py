# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking up places in pictures, against the reference."""

import numpy as np
import pytest
import torch

from engine.kernels import sampling
from engine.kernels.sampling import cpu, reference


@pytest.mark.parametrize("channels", [3, 6])
def test_equals_the_reference(channels):
    rng = np.random.default_rng(channels)
    f = np.float32
    places, normals = rng.uniform(-1, 1, (3000, 3)), rng.normal(size=(3000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    depth = rng.uniform(1.5, 4, (30, 40)) * (rng.random((30, 40)) < 0.9)
    trust = rng.uniform(0, 1, (30, 40)) * (rng.random((30, 40)) < 0.9)
    parts = [places, normals, turn, np.array([0.1, -0.2, 3]), np.array([30.0, 31, 20, 15]), depth]
    parts = [np.ascontiguousarray(part, f) for part in parts]
    picture, trust = rng.uniform(0, 255, (30, 40, channels)).astype(f), trust.astype(f)
    totals = np.zeros((3000, channels + 1), f)
    cpu.gather(*parts, 0.1, picture, trust, 10.0, 3.0, totals)
    tensors = [torch.from_numpy(part).double() for part in parts]
    others = reference.gather(*tensors, 0.1, torch.from_numpy(picture).double(), torch.from_numpy(trust).double(), 10.0, 3.0).numpy()
    same = np.isclose(totals, others, rtol=1e-3, atol=1e-4).all(axis=1)
    assert same.mean() > 0.998 and 0.05 < (totals[:, -1] > 0).mean() < 0.95


def test_what_is_behind_or_faces_away_is_not_seen():
    f = np.float32
    view = (np.eye(3, dtype=f), np.zeros(3, f), np.array([10, 10, 5, 5], f), np.full((10, 10), 2, f))
    picture, trust = np.full((10, 10, 3), 80, f), np.ones((10, 10), f)
    places = np.array([[0, 0, 2], [0, 0, 2.3], [0, 0, 2], [0, 0, -2], [9, 0, 2]], f)
    normals = np.array([[0, 0, -1], [0, 0, -1], [0, 0, 1], [0, 0, 1], [0, 0, -1]], f)
    totals = np.zeros((5, 4), f)
    cpu.gather(places, normals, *view, 0.1, picture, trust, 5.0, 2.0, totals)
    np.testing.assert_allclose(totals[0], [80, 80, 80, 1], rtol=1e-5)
    assert (totals[1:] == 0).all()


def view(**changes):
    f = np.float32
    parts = {
        "places": np.array([[0, 0, 2], [0.1, 0.2, 2]], f),
        "normals": np.array([[0, 0, -1]] * 2, f),
        "turn": np.eye(3, dtype=f),
        "shift": np.zeros(3, f),
        "lens": np.array([10, 10, 5, 5], f),
        "depth": np.full((10, 10), 2, f),
        "tolerance": 0.1,
        "picture": np.full((10, 10, 3), 80, f),
        "trust": np.ones((10, 10), f),
        "unit": 5.0,
        "sharpness": 2.0,
        "totals": np.zeros((2, 4), f),
    }
    return parts | changes


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9, 1e-40])
@pytest.mark.parametrize("name", ["places", "normals", "turn", "shift", "lens", "depth", "trust"])
def test_numbers_of_any_kind_read_nothing_outside_the_picture(name, value):
    """A read outside it would be of other memory: 80 is the only colour there is."""
    for index in np.ndindex(view()[name].shape[-2:]):
        parts = view()
        parts[name][(0,) * (parts[name].ndim - len(index)) + index] = value
        with np.errstate(all="ignore"):
            sampling.gather(**parts)
        color, weight = parts["totals"][:, :3], parts["totals"][:, 3:]
        known = np.isfinite(parts["totals"]).all(axis=1) & (weight[:, 0] > 1e-20)
        np.testing.assert_allclose(color[known], np.broadcast_to(80 * weight, color.shape)[known], rtol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": np.ones((10, 9), np.float32)},
        {"trust": np.ones((1, 10), np.float32)},
        {"picture": np.ones((11, 10, 3), np.float32)},
        {"picture": np.ones((10, 10), np.float32)},
        {"normals": np.ones((1, 3), np.float32)},
        {"places": np.ones((3, 3), np.float32)},
        {"totals": np.zeros((2, 3), np.float32)},
        {"totals": np.zeros((2, 4))},
        {"lens": np.ones(3, np.float32)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes):
    with pytest.raises(ValueError, match="has to be"):
        sampling.gather(**view(**changes))
