# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of the events."""

import pytest

from engine.runs.reporter import Reporter


@pytest.mark.parametrize("count, said", [(1200, True), (None, False)])
def test_the_bar_speaks_of_gaussians_only_where_there_are_some(monkeypatch, capsys, count, said):
    monkeypatch.setenv("COLUMNS", "200")
    reporter = Reporter(None, None)
    reporter("progress", stage="train", step=1, steps=2, seconds=1.0, loss=0.25, count=count)
    reporter.close()
    shown = capsys.readouterr().err
    assert "loss 0.2500" in shown and ("gaussians" in shown) == said
