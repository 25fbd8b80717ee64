# SPDX-License-Identifier: GPL-3.0-or-later
"""Which held-out views are scored where there is no time for all."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cameras import Camera
from engine.data.views import View
from engine.runs import scoring


class Black:
    """A model that shows nothing."""

    def render(self, camera, background):
        return np.zeros((3, camera.height, camera.width), np.float32), np.zeros((camera.height, camera.width), np.float32)


def views_of(count):
    camera = Camera(64, 48, 60.0, 60.0, 32.0, 24.0, np.eye(4))
    return [View(str(index), camera, np.full((48, 64, 3), index, np.uint8)) for index in range(count)]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.floats(0, 4e4))
def test_scorable_views_fit_and_are_spread(count, pixels):
    views = views_of(count)
    chosen, factor = scoring.scorable(views, pixels)
    sizes = [view.image.shape[0] * view.image.shape[1] for view in chosen]
    if factor == 1:
        assert sum(sizes) <= pixels and (len(chosen) == count or sum(sizes) + 64 * 48 > pixels)
        assert len({view.name for view in chosen}) == len(chosen) and chosen[0].name == "0"
    else:
        assert len(chosen) == 1 and min(chosen[0].image.shape[:2]) >= 32 and (sizes[0] <= 1.1 * pixels or sizes[0] < 43 * 33)


def test_scoring_stops_in_time_with_views_spread_over_all():
    left = iter([60.0, 60.0, 0.0])
    some = scoring.score(Black(), views_of(12), "srgb", seconds_left=lambda: next(left))
    names = [int(row["name"]) for row in some["views"]]
    assert len(names) == 3 and names == sorted(names) and max(names) - min(names) > 5
    assert some["psnr"] == np.mean([row["psnr"] for row in some["views"]])
    one = scoring.score(Black(), views_of(12), "srgb", seconds_left=lambda: -5.0)
    assert len(one["views"]) == 1
    assert [row["name"] for row in scoring.score(Black(), views_of(12), "srgb")["views"]] == [str(index) for index in range(12)]
