# SPDX-License-Identifier: GPL-3.0-or-later
"""How many gaussians there may be follows the size of the views that are trained on."""

from engine.contract.methods.splat import SplatSettings
from engine.contract.settings import TrainSettings
from engine.data.views import load_views
from engine.formats.capture import read_capture
from engine.methods.splat import SplatTrainer


def test_small_views_get_few_gaussians(small_capture):
    capture = read_capture(small_capture)
    settings = TrainSettings(splat=SplatSettings(max_gaussians=1000, half_until=0.5, grow_gradient=0.0, refine_start=10, refine_every=10))
    trainer = SplatTrainer(settings, capture, load_views(capture, "train"), "srgb", 2)
    counts = [trainer.count]
    for step in range(200):
        trainer.step(step / 200)
        counts.append(trainer.count)
    # Half of each side at the start of it, and a little more towards its end.
    assert counts[0] == 60 and max(counts[:31]) <= 60 + 940 / 2**1.85 and max(counts[:100]) <= 60 + 940 / 2**1.5
    assert max(counts[:100]) > 200 and max(counts) > 700
