# SPDX-License-Identifier: GPL-3.0-or-later
"""What panels call the command line's flags."""

import pytest
from reconstruct.addon.properties.labels import in_panel_words


@pytest.mark.parametrize(
    "said, shown",
    [
        ("Use --resume to go on with it, or --overwrite to replace it.", "Use Continue to go on with it, or Start Over to replace it."),
        ("Give --ngp.ray-steps 32 or more, or 0.", "Give Ray Steps 32 or more, or 0."),
        ("Use --nerf.ndc off or --nerf.sampler paper.", "Use NDC off or Sampler paper."),
        ("Give either --minutes or --steps, not both.", "Give either Minutes or Steps, not both."),
        ("Use --device auto or cpu.", "Use Device auto or cpu."),
        ("Nothing -- as such - stays --here.", "Nothing -- as such - stays --here."),
    ],
)
def test_messages_name_buttons_and_settings_in_place_of_flags(said, shown):
    assert in_panel_words(said) == shown
