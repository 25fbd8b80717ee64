# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of the events."""

import pytest

from engine.runs.reporter import Reporter


@pytest.mark.parametrize(("last", "shown"), [("next", "9/9"), ("done", "9/9"), ("cancelled", "8/9"), ("failed", "8/9")])
def test_the_bar_of_a_stage_ends_full_unless_it_was_cut_short(monkeypatch, capsys, last, shown):
    monkeypatch.setenv("COLUMNS", "200")
    reporter = Reporter(None, None)
    reporter("progress", stage="depth", step=8, steps=9, seconds=1.0)
    if last == "next":
        reporter("progress", stage="fuse", step=0, steps=3, seconds=2.0)
    elif last == "failed":
        reporter("failed", code="internal", message="No.", hint="")
    else:
        reporter("done", seconds=2.0, cancelled=last == "cancelled")
    reporter.close()
    lines = [line for line in capsys.readouterr().err.splitlines() if "Rendering depth" in line]
    assert shown in lines[-1], lines


@pytest.mark.parametrize("count, said", [(1200, True), (None, False)])
def test_the_bar_speaks_of_gaussians_only_where_there_are_some(monkeypatch, capsys, count, said):
    monkeypatch.setenv("COLUMNS", "200")
    reporter = Reporter(None, None)
    reporter("progress", stage="train", step=1, steps=2, seconds=1.0, loss=0.25, count=count)
    reporter.close()
    shown = capsys.readouterr().err
    assert "loss 0.2500" in shown and ("gaussians" in shown) == said
