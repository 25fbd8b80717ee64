# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.formats.splats import Splats
from engine.formats.splats.gaussians import opacities
from engine.splats import editing

relaxed = settings(max_examples=40, deadline=None)


def splats_at(means, size=0.01, opacity_logits=None, degree=1, seed=0) -> Splats:
    means = np.asarray(means, np.float32)
    count, rng = len(means), np.random.default_rng(seed)
    return Splats(
        means,
        np.full((count, 3), np.log(size), np.float32),
        np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        np.zeros(count, np.float32) if opacity_logits is None else np.asarray(opacity_logits, np.float32),
        rng.uniform(-1, 1, (count, (degree + 1) ** 2, 3)).astype(np.float32),
        blend="srgb",
        antialias=True,
    )


def test_crop_keeps_what_is_inside_with_its_faces():
    splats = splats_at([[0, 0, 0], [1, 1, 1], [-0.1, 0, 0], [0, 1.1, 0], [0.5, 0.5, 2]])
    kept = editing.crop(splats, [0, 0, 0], [1, 1, 1])
    np.testing.assert_array_equal(kept.means, splats.means[:2])
    np.testing.assert_array_equal(kept.sh, splats.sh[:2])
    assert kept.blend == "srgb" and kept.antialias
    assert len(editing.crop(splats, [5, 5, 5], [6, 6, 6])) == 0


def test_opacity_floor_is_included():
    splats = splats_at(np.zeros((4, 3)), opacity_logits=[-5, 0, 5, -0.01])
    assert list(editing.at_least_opaque(splats, 0.5).opacity_logits) == [0, 5]
    assert len(editing.at_least_opaque(splats, 0)) == 4
    assert len(editing.at_least_opaque(splats, 1)) == 0


def room(count=4000, seed=0):
    """Points on the faces of a box of 5 m, denser on the floor."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 5, (count, 3))
    face = rng.choice(6, count, p=[0.1, 0.1, 0.1, 0.1, 0.1, 0.5])
    points[np.arange(count), face // 2] = 5.0 * (face % 2)
    return points


def test_floaters_go_and_the_room_stays():
    rng = np.random.default_rng(1)
    floaters = rng.uniform(1.5, 3.5, (8, 3)) + 30 * np.eye(3)[rng.integers(0, 3, 8)]
    splats = splats_at(np.concatenate([room(), floaters]))
    np.testing.assert_array_equal(editing.without_floaters(splats).means, splats.means[:4000])


def test_what_reaches_its_neighbours_is_no_floater():
    sky = np.array([[40.0, 0, 30], [-40, 10, 30], [0, 45, 30]])
    splats = splats_at(np.concatenate([room(), sky]))
    splats.log_scales[-3:] = np.log(25)
    assert len(editing.without_floaters(splats)) == 4003
    splats.log_scales[-3:] = np.log(0.5)
    assert len(editing.without_floaters(splats)) == 4000


def test_scenes_without_floaters_lose_nothing():
    grid = np.stack(np.meshgrid(*[np.arange(9.0)] * 3), -1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    falling = rng.normal(size=(3000, 3)) * np.exp(rng.uniform(0, 3, (3000, 1)))  # dense in the middle, sparse outside
    same = np.zeros((500, 3))
    for points in (grid, same, room()):
        assert len(editing.without_floaters(splats_at(points))) == len(points)
    assert len(editing.without_floaters(splats_at(falling))) > 0.98 * len(falling)


@given(st.integers(0, 40), st.floats(1e-3, 1e3))
@relaxed
def test_floaters_do_not_depend_on_the_unit(count, unit):
    rng = np.random.default_rng(count)
    points = np.concatenate([rng.normal(size=(count, 3)), rng.normal(size=(2, 3)) * 50])
    kept = [len(editing.without_floaters(splats_at(points * scale, 0.01 * scale))) for scale in (1.0, unit)]
    assert kept[0] == kept[1]


def test_decimation_keeps_the_most_important_in_order():
    splats = splats_at(np.arange(15).reshape(5, 3), opacity_logits=[0, 0, 0, 8, -8])
    splats.log_scales[:] = np.log([[1, 1, 1], [3, 1, 1], [0.1, 0.1, 0.1], [1, 1, 1], [9, 1, 1]])
    # Opacity times the root of the largest side: 0.5, 0.87, 0.16, 1, 0.001.
    for count, expected in ((3, [0, 1, 3]), (2, [1, 3]), (1, [3]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])):
        np.testing.assert_array_equal(editing.decimate(splats, count).means, splats.means[expected])
    splats.opacity_logits[:] = -1e30
    assert len(editing.decimate(splats, 2)) == 2
    same = splats_at(np.arange(30).reshape(10, 3))
    np.testing.assert_array_equal(editing.decimate(same, 4).means, same.means[:4])


@pytest.mark.parametrize("count", [0, 1])
def test_few_splats(count):
    splats = splats_at(np.zeros((count, 3)))
    assert len(editing.without_floaters(splats)) == len(editing.decimate(splats, 1)) == count
    assert len(editing.crop(splats, [-1] * 3, [1] * 3)) == count
    assert opacities(splats).shape == (count,)
