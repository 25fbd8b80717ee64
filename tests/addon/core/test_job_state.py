# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about a job, and how it is said."""

import pytest
from reconstruct.addon.core.job_state import JobState, duration
from reconstruct.engine.contract.events import Event


@pytest.mark.parametrize("seconds, words", [(44.6, "45 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_events_are_folded_into_a_state_that_is_said_in_words(tmp_path):
    state = JobState()
    assert state.in_words().line == "Starting" and not state.in_words().numbers
    values = {"stage": "train", "step": 30, "steps": 120, "eta_seconds": 200.0, "loss": 0.12345, "psnr": 23.46, "count": 12_345}
    state.take(Event("progress", values), tmp_path)
    assert state.fraction == 0.25 and not state.ended
    assert state.in_words().line == "Training   30 of 120   About 3 min 20 s left   Loss 0.1235   PSNR 23.5 dB   Gaussians 12,345"
    state.take(Event("progress", {"stage": "own words", "step": None, "loss": float("nan"), "count": True}), tmp_path)
    assert state.fraction is None and state.in_words().line == "Own words", "what is not told any more is not known"


def test_how_a_job_ends(tmp_path):
    for values, status in (({}, "done"), ({"cancelled": True}, "cancelled")):
        state = JobState()
        state.take(Event("metric", {"name": "psnr", "value": 30}), tmp_path)
        state.take(Event("warning", {"message": "This is a fake."}), tmp_path)
        state.take(Event("done", {"seconds": 2.5, **values}), tmp_path)
        assert (state.status, state.ended, state.seconds) == (status, True, 2.5)
        assert state.metrics == {"psnr": 30.0} and state.warnings == ["This is a fake."]
    state = JobState()
    state.take(Event("failed", {"code": "no_views", "message": "No views.", "hint": "Capture."}), tmp_path)
    assert (state.status, state.code, state.message, state.hint) == ("failed", "no_views", "No views.", "Capture.")
