# SPDX-License-Identifier: GPL-3.0-or-later
"""What a field costs, in numbers and in words."""

import pytest
from torch import nn

from engine.fields.cost import Cost, duration, measured_rate, multiply_adds


def test_multiply_adds_are_those_of_all_layers():
    assert multiply_adds(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))) == 25


def test_times_and_words_follow_from_the_rate():
    cost = Cost(sample=593_408, samples=256, rays=1024, rate=1e11)
    assert cost.pixel_seconds == pytest.approx(593_408 * 256 / 1e11)
    assert cost.step_seconds == pytest.approx(4.667, rel=1e-3)
    assert cost.plain(1024, 1024) == (
        "A sample takes 593 thousand multiply-adds, a pixel 256 samples, a picture of 1024 × 1024 takes 159 tera multiply-adds, "
        "27 minutes here, and a step of 1024 rays 4.7 seconds."
    )


@pytest.mark.parametrize(
    "seconds, words",
    [(0.0042, "4 milliseconds"), (1.2, "1.2 seconds"), (45, "45 seconds"), (100, "1.7 minutes"), (7200, "2.0 hours"), (1.1e6, "13 days")],
)
def test_times_in_words(seconds, words):
    assert duration(seconds) == words


def test_the_rate_is_measured():
    calls = []
    assert 0 < measured_rate(lambda places, directions: calls.append(places.shape), 10, 100, "cpu") < 1e12
    assert len(calls) >= 2 and calls[0] == (100, 3)
