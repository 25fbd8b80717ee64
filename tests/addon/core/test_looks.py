# SPDX-License-Identifier: GPL-3.0-or-later
"""The one list of what an imported result can be shown as."""

import typing

import pytest
from reconstruct.addon.core.looks import BEST, DESCRIPTIONS, LABELS, LOOKS, nearest
from reconstruct.engine.contract.settings import ImportSettings


def test_the_list_is_that_of_the_import_and_the_box():
    asked = typing.get_args(typing.get_type_hints(ImportSettings)["look"])
    assert {*LOOKS} == {*asked, "box"} - {"auto"} and LABELS.keys() == DESCRIPTIONS.keys()
    assert BEST == ("splats", "proxy", "mesh", "points")


@pytest.mark.parametrize(
    "look, held, shown",
    [
        ("splats", ["points", "splats"], "splats"),
        ("splats", ["box", "points", "mesh", "proxy"], "proxy"),
        ("mesh", ["box", "points", "proxy"], "proxy"),
        ("proxy", ["box", "points"], "points"),
        ("points", ["box", "mesh"], "box"),
        ("mesh", [], "points"),
    ],
)
def test_what_a_result_does_not_hold_is_shown_as_what_is_nearest(look, held, shown):
    assert nearest(look, held) == shown
