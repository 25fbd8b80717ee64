# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace
from pathlib import Path

import pytest

from engine.contract.capture import Capture, Frame, check_frame, hold_out
from engine.contract.errors import UserError

POSE = ((1.0, 0.0, 0.0, 5.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 2.0), (0.0, 0.0, 0.0, 1.0))
FRAME = Frame("a.png", Path("a.png"), POSE, 40, 30, 50.0, 50.0, 20.0, 15.0)
FILE = Path("transforms.json")


def test_a_plain_frame_passes():
    check_frame(FRAME, FILE)
    drifted = [list(row) for row in POSE]
    drifted[0][0] = 1.001
    check_frame(replace(FRAME, transform_matrix=tuple(map(tuple, drifted))), FILE)


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [(0, 0, 2.0), (0, 0, -1.0), (0, 1, 0.3), (3, 3, 2.0), (3, 0, 1.0), (1, 3, float("nan")), (2, 2, float("inf"))],
)
def test_what_is_not_rigid_is_refused(row, column, value):
    rows = [list(line) for line in POSE]
    rows[row][column] = value
    with pytest.raises(UserError, match=r"transforms\.json.*a\.png"):
        check_frame(replace(FRAME, transform_matrix=tuple(map(tuple, rows))), FILE)


@pytest.mark.parametrize("change", [{"w": 0}, {"h": -1}, {"fl_x": 0.0}, {"fl_y": -2.0}, {"cx": float("nan")}, {"k2": float("inf")}])
def test_impossible_intrinsics_are_refused(change):
    with pytest.raises(UserError, match=r"a\.png"):
        check_frame(replace(FRAME, **change), FILE)


def test_every_eighth_by_name_is_held_out_from_the_first():
    frames = [replace(FRAME, name=f"{number:02}") for number in range(19)][::-1]
    marked = hold_out(frames)
    assert [frame.name for frame in marked if frame.test] == ["00", "08", "16"]
    capture = Capture(Path("."), tuple(marked), "nerfstudio")
    assert len(capture.split("train")) == 16 and len(capture.split("test")) == 3


def test_a_lone_frame_is_not_held_out():
    assert not hold_out([FRAME])[0].test
