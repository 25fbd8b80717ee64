# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures that the bench times."""

import pytest

from engine import bench
from engine.contract.errors import UserError


def test_shells_have_the_size_that_their_name_says():
    gaussians, camera, pixels, _ = bench.fixture("shells-2k-64x48")()
    assert len(gaussians) == 2000
    assert (camera.width, camera.height) == (64, 48) and pixels.shape == (48, 64, 3)
    assert (camera.cx, camera.cy) == (32, 24) and camera.fx == camera.fy


def test_a_fixture_is_the_same_every_time():
    one, two = (bench.fixture("shells-1k-32x32")() for _ in range(2))
    assert one[0].table.tobytes() == two[0].table.tobytes() and one[2].tobytes() == two[2].tobytes()


@pytest.mark.parametrize("name", ["", "shells", "shells-0k-64x64", "shells-1k-0x64", "shells-1k-64", "shells--1k-64x64", "object-50k "])
def test_other_names_are_refused_with_those_that_there_are(name):
    with pytest.raises(UserError) as refused:
        bench.fixture(name)
    assert "object-50k" in f"{refused.value} {refused.value.hint}"
