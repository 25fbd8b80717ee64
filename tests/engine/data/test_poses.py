# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused or warned of by camera poses alone."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import cli
from engine.cameras import rigid_pose
from engine.contract.capture import Capture, Frame
from engine.contract.errors import UserError
from engine.data.poses import check_poses
from engine.kernels import compiling


def frame(name, pose, tmp_path="/nowhere", test=False):
    return Frame(name, tmp_path, tuple(map(tuple, np.asarray(pose).tolist())), 40, 30, 50.0, 50.0, 20.0, 15.0, test=test)


def orbit(count=9, radius=2.0, center=(0.0, 0.0, 0.0)):
    """Frames on a circle that look at its middle."""
    made = []
    for index in range(count):
        angle = 2 * np.pi * index / count
        pose = np.eye(4)
        pose[:3, 2] = np.cos(angle), np.sin(angle), 0
        pose[:3, 0], pose[:3, 1] = np.cross((0, 0, 1), pose[:3, 2]), (0, 0, 1)
        pose[:3, 3] = np.array(center) + radius * pose[:3, 2]
        made.append(frame(str(index), pose))
    return made


def capture(frames):
    return Capture(None, tuple(frames), "nerfstudio")


def moved(frame, position):
    pose = np.array(frame.transform_matrix)
    pose[:3, 3] = position
    return replace(frame, transform_matrix=tuple(map(tuple, pose.tolist())))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([1e-9, 1e-3, 1.0, 1e6]), st.tuples(*[st.floats(-1e3, 1e3)] * 3), st.integers(2, 9))
def test_parallax_does_not_depend_on_the_unit_or_the_origin(unit, center, count):
    frames = orbit(count, unit, np.array(center) * unit)
    assert check_poses(capture(frames)) == ()
    with pytest.raises(UserError, match="one position"):
        check_poses(capture([moved(one, np.array(center) * unit) for one in frames]))


def test_a_single_training_view_is_refused_and_says_why():
    first, second = orbit(2)
    with pytest.raises(UserError, match="a single training view,"):
        check_poses(capture([first]))
    with pytest.raises(UserError, match="held out"):
        check_poses(capture([first, replace(second, test=True)]))
    with pytest.raises(UserError, match="no view to train on"):
        check_poses(capture([replace(first, test=True)]))


def test_held_out_views_that_repeat_training_views_are_named():
    frames = orbit(9, 1e-3, (5.0, 0, 0))
    again = [replace(one, name=f"again{one.name}", test=True) for one in frames[:3]]
    between = moved(again[0], (5.0, 0.0005, 0))
    assert check_poses(capture([*frames, between])) == ()
    (said,) = check_poses(capture([*frames, between, *again]))
    assert said.startswith("3 of 4 held-out views have the poses of training views")
    # Files keep some digits.
    shaken = rigid_pose(np.array(again[0].transform_matrix) + 1e-12)
    assert len(check_poses(capture([*frames, frame("shaken", shaken, test=True)]))) == 1


@pytest.mark.parametrize("method", ["splat", "ngp", "nerf"])
@pytest.mark.parametrize("count", [1, 9])
def test_every_method_refuses_views_without_parallax_before_it_compiles(small_capture, tmp_path, capsys, monkeypatch, method, count):
    monkeypatch.setattr(compiling, "is_compiled", lambda: pytest.fail("kernels were asked for"))
    table = json.loads((small_capture / "transforms.json").read_text())
    for entry in table["frames"]:
        for row, value in zip(entry["transform_matrix"], (1.0, 2.0, 3.0), strict=False):
            row[3] = value
    folder = shutil.copytree(small_capture, tmp_path / "capture")
    (folder / "transforms.json").write_text(json.dumps({**table, "frames": table["frames"][:count]}))
    assert cli.main(["train", str(folder), "--out", str(tmp_path / "out"), "--method", method, "--steps", "5"]) == 1
    said = capsys.readouterr().err
    assert ("single training view" if count == 1 else "one position") in said and "Traceback" not in said


@pytest.mark.parametrize(
    "wrong",
    [{"fl_x": 1.2, "fl_y": 1.2, "cx": 0.5, "cy": 0.5}, {"cx": 9e8}, {"cy": 5000.0}, {"cx": -100.0}],
    ids=["normalized", "far", "below", "left"],
)
def test_lenses_that_are_hardly_in_pixels_are_warned_of(wrong):
    frames = orbit(9)
    assert check_poses(capture(frames)) == ()
    (warning,) = check_poses(capture([replace(frames[0], **wrong), *frames[1:]]))
    assert "1 of 9 views is implausible" in warning and "pixels" in warning
