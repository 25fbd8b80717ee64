# SPDX-License-Identifier: GPL-3.0-or-later
"""Clock and budget of a run."""

import time

from hypothesis import given
from hypothesis import strategies as st

from engine.runs.budget import Budget, Clock, Pace


class Hands:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = 0.0

    def seconds(self):
        return self.now


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 30)), min_size=2, max_size=30))
def test_progress_never_falls(moves):
    budget = Budget(Hands(), seconds=60.0)
    seen = []
    for step, (seconds, reserve) in enumerate(moves):
        budget.clock.now += seconds
        budget.reserve = reserve
        seen.append(budget.progress(step))
        assert budget.total(step) >= step
    assert seen == sorted(seen) and 0 <= seen[0] and seen[-1] <= 1


@given(st.floats(0.01, 20), st.floats(0, 18))
def test_no_step_is_begun_that_would_end_too_late(duration, reserve):
    budget = Budget(Hands(), seconds=60.0, reserve=reserve)
    step = 0
    while not budget.finished(step):
        budget.clock.now += duration
        budget.step_seconds, step = duration, step + 1
    assert step == 1 or budget.clock.now <= 60 - reserve + 1e-9
    assert budget.clock.now + duration > 60 - reserve - 1e-9


def test_the_first_step_does_not_set_the_pace():
    pace = Pace()
    pace.add(9.0)
    assert pace.seconds == 0
    for _ in range(3):
        pace.add(0.1)
    assert abs(pace.seconds - 0.1) < 1e-9


def test_a_pause_is_left_out_whatever_the_wall_clock_does(monkeypatch):
    clock = Clock(time.time())
    moment, wall = time.monotonic(), time.time()
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    monkeypatch.setattr(time, "time", lambda: wall)
    before = clock.seconds()
    with clock.paused():
        moment, wall = moment + 100, wall - 86400
    moment += 2
    assert abs(clock.seconds() - before - 2) < 1e-6
